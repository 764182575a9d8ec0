"""Admin pages of firmware, rollouts, jobs, and the files that charge points leave."""

from __future__ import annotations

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from cpo import admin_device_forms as forms
from cpo import device_job_states as states
from cpo.models import DeviceFile, DeviceJob, DeviceJobStatus, FirmwareImage, Rollout
from cpo.modules import device_files, device_jobs, rollouts
from ocpi import audit
from ocpi.admin_confirm import actor, ask, button
from ocpi.admin_links import link
from ocpi.admin_pages import Pages, Rows, badge, known, party, read_only
from ocpi.transitions import IllegalTransition

_TONES = {"DONE": "good", "FAILED": "bad", "RUNNING": "busy", "ASKED": "busy", "STOPPED": "bad", "PAUSED": "odd",
          "WAITING": "plain", "CANCELLED": "odd"}  # fmt: skip


def toned(word: str) -> str:
    return badge(word, _TONES.get(word, "plain"))


@admin.register(FirmwareImage)
class FirmwareImagePage(Pages):
    """Firmware that charge points can be told to install."""

    list_display = ("name", "version", "show_party", "show_for", "show_signed", "show_file", "created_at")
    list_select_related = ("file",)
    search_fields = ("name", "=version", "=model")
    ordering = ("-id",)
    actions_list = ("add_firmware",)
    actions_detail = ("roll_out",)
    show_party = party()
    show_for = read_only("for", lambda page, row: f"{row.vendor} {row.model}".strip() or "any")
    show_signed = read_only("signed", lambda page, row: "yes" if row.signature else "no")
    show_file = read_only("lies", lambda page, row: row.url or f"here, {row.file.size:,} bytes")

    @button("Add a firmware", icon="add")
    def add_firmware(self, request: HttpRequest) -> HttpResponse:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        form = forms.Firmware(*forms.given(request))
        if form.is_valid():
            row = form.keep()
            audit.record("firmware.add", actor=actor(request), about=str(row))
            messages.success(request, "It can be installed and rolled out.")
            return HttpResponseRedirect(reverse("admin:cpo_firmwareimage_change", args=[row.pk]))
        back = reverse("admin:cpo_firmwareimage_changelist")
        return forms.show(self, request, form, title="A firmware", back=back, answer="Add")

    @button("Roll out", icon="rocket_launch")
    def roll_out(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        image = get_object_or_404(FirmwareImage, pk=object_id)
        form = forms.Prepare(image, forms.given(request)[0])
        rollout = form.prepare(actor(request)) if form.is_valid() else None
        if rollout is not None:
            messages.success(request, "It is prepared. Nothing happens before it is started.")
            return HttpResponseRedirect(reverse("admin:cpo_rollout_change", args=[rollout.pk]))
        back = reverse("admin:cpo_firmwareimage_change", args=[object_id])
        return forms.show(self, request, form, title=f"Roll out {image}", back=back, answer="Prepare")


def bar(rollout: Rollout) -> str:
    """Return how far a rollout is, as a bar and in numbers."""
    now = rollouts.progress(rollout)
    if not now.total:
        return "–"
    parts = ((now.done, "good"), (now.failed, "bad"), (now.open, "busy"), (now.cancelled, "odd"))
    cells, at = list[tuple[str, str, str]](), 0.0
    for number, tone in parts:
        width = 200 * number / now.total
        if number:
            cells.append((tone, f"{at:.1f}", f"{width:.1f}"))
        at += width
    words = (f"{now.done} of {now.total} done", f"{now.failed} failed" if now.failed else "",
             f"{now.open} under way" if now.open else "", f"{now.waiting} waiting" if now.waiting else "",
             f"{now.cancelled} left out" if now.cancelled else "")  # fmt: skip
    return format_html(
        '<svg class="o-progress" width="200" height="10" viewBox="0 0 200 10" role="img"><rect class="o-fill-plain" '
        'x="0" y="0" width="200" height="10"/>{}</svg> {}',
        format_html_join("", '<rect class="o-fill-{}" x="{}" y="0" width="{}" height="10"/>', cells),
        ", ".join(word for word in words if word),
    )


class JobRows(Rows):
    model = DeviceJob
    verbose_name_plural = "charge points"
    fields = ("charge_point", "show_state", "status", "error", "started_at", "ended_at")
    ordering = ("pk",)
    per_page = 50
    show_change_link = True
    show_state = read_only("state", lambda page, row: toned(row.state))


@admin.register(Rollout)
class RolloutPage(Pages):
    """One firmware for many charge points; the page is the report."""

    list_display = ("name", "image", "show_state", "show_progress", "at_once", "stop_after", "created_by", "created_at")
    list_filter = (known("state", states.ROLLOUTS),)
    list_select_related = ("image",)
    search_fields = ("name",)
    ordering = ("-id",)
    shown = ("show_progress",)
    inlines = (JobRows,)
    actions_detail = ("start", "pause", "stop")
    show_state = read_only("state", lambda page, row: toned(row.state))
    show_progress = read_only("progress", lambda page, row: bar(row))

    @button("Start", icon="play_arrow")
    def start(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._move(request, object_id, "start", "Begin with this rollout?")

    @button("Pause", icon="pause")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._move(request, object_id, "pause", "Begin with no further charge points for now?")

    @button("Stop", icon="stop", variant="danger")
    def stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._move(request, object_id, "stop", "Leave the charge points that wait alone, for good?")

    def _move(self, request: HttpRequest, object_id: str, event: str, question: str) -> HttpResponse:
        row = get_object_or_404(Rollout, pk=object_id)

        def do() -> str:
            return f"It is {rollouts.move(row.pk, event, by=actor(request)).state} now."

        warning = "" if event == "start" else "What is under way at charge points goes on there."
        return ask(
            self, request, question=question, about=[row], do=do, warning=warning, refusals=(IllegalTransition,),
            back=reverse("admin:cpo_rollout_change", args=[object_id]), writes_down=True,
        )  # fmt: skip


class StatusRows(Rows):
    model = DeviceJobStatus
    verbose_name_plural = "what it said"
    fields = ("at", "status")
    ordering = ("-id",)
    per_page = 50


@admin.register(DeviceJob)
class DeviceJobPage(Pages):
    """Firmware updates, logs and diagnostics of single charge points."""

    large = True
    list_display = ("id", "created_at", "charge_point", "kind", "show_state", "status", "show_what", "rollout",
                    "ended_at", "error")  # fmt: skip
    list_filter = (known("kind", DeviceJob.Kind.values), known("state", states.JOBS))
    list_select_related = ("charge_point", "image", "rollout", "file")
    search_fields = ("=id", "=charge_point__identity", "=rollout__name")
    ordering = ("-id",)
    inlines = (StatusRows,)
    actions_detail = ("cancel",)
    show_state = read_only("state", lambda page, row: toned(row.state))

    @admin.display(description="what")
    def show_what(self, row: DeviceJob) -> str:
        return link(row.file) if row.file is not None else str(row.image or "–")

    @button("Stop waiting for it", icon="cancel", variant="danger")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(DeviceJob.objects.select_related("charge_point"), pk=object_id)

        def do() -> str:
            return "It is over for us." if device_jobs.cancel(row.pk, by=actor(request)) else "It was over already."

        return ask(
            self, request, question="Stop waiting for this?", about=[row], do=do, writes_down=True,
            back=reverse("admin:cpo_devicejob_change", args=[object_id]),
            warning="OCPP has no way to call it off: the charge point may go on with it.",
        )  # fmt: skip


@admin.register(DeviceFile)
class DeviceFilePage(Pages):
    """What charge points left, and firmware; given back as an attachment, never shown."""

    large = True
    list_display = ("created_at", "name", "size", "sha256")
    search_fields = ("=name", "=sha256")
    ordering = ("-id",)
    hidden = ("stored_as",)
    actions_detail = ("download",)

    @button("Download", icon="download")
    def download(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        row = get_object_or_404(DeviceFile, pk=object_id)
        path = device_files.path_of(row)
        if not path.is_file():
            raise Http404("the file is gone")
        audit.record("device_file.download", actor=actor(request), about=f"{row.pk} {row.name}")
        name = f"{row.pk}-{row.name}" if row.name else f"{row.pk}.bin"
        response = FileResponse(
            path.open("rb"), as_attachment=True, filename=name, content_type="application/octet-stream"
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response
