"""What an operator can have a charge point do as a device: the buttons on its page."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse

from cpo import admin_device_forms as forms
from cpo.admin_certificates import CertificateRows, InstalledRows
from cpo.admin_devices import BootRows
from cpo.models import ChargePoint
from cpo.modules import certificates_installed, device_jobs, passwords_rolling, provisioning
from cpo.ocpp.calls import NotAsked
from ocpi.admin_confirm import actor, ask, button

DEVICE_ROWS = (BootRows, CertificateRows, InstalledRows)
DEVICE_BUTTONS = {
    "title": "Device",
    "icon": "memory",
    "items": ["provision", "update_firmware", "fetch_log", "roll_password", "keep_password", "read_certificates",
              "install_root"],
}  # fmt: skip
# Columns of a charge point that no page shows (SEC-50).
DEVICE_HIDDEN = ("next_password_digest", "password_operation")


def _back(object_id: str) -> str:
    return reverse("admin:cpo_chargepoint_change", args=[object_id])


def _form(
    page: Any, request: HttpRequest, object_id: str, form: Any, done: Any, *, title: str, note: str = ""
) -> HttpResponse:
    """Show a form, and do what it says once it is in order."""
    if form.is_valid():
        try:
            messages.success(request, done(form.cleaned_data))
            return HttpResponseRedirect(_back(object_id))
        except (device_jobs.NotPossible, NotAsked) as error:
            form.add_error(None, f"{error}.")
    return forms.show(page, request, form, title=title, back=_back(object_id), note=note)


class DeviceButtons:
    """The buttons of a charge point's page that are about the device."""

    def _point(self: Any, request: HttpRequest, object_id: str) -> ChargePoint:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        return get_object_or_404(ChargePoint, pk=object_id)

    @button("Set as planned", icon="checklist")
    def provision(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        point = self._point(request, object_id)

        def do() -> str:
            begun = provisioning.run_now(point)
            return "It is being asked how it is set." if begun else "No plan is for this charge point."

        question = "Read its configuration and set what differs from the plans?"
        return ask(self, request, question=question, about=[point], do=do, back=_back(object_id))

    @button("Update its firmware", icon="system_update_alt")
    def update_firmware(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        point = self._point(request, object_id)

        def done(given: dict[str, Any]) -> str:
            device_jobs.update_firmware(point, given["image"], by=actor(request))
            return "It is being asked to update."

        form = forms.Update(point, forms.given(request)[0])
        return _form(self, request, object_id, form, done, title=f"Another firmware for {point}")

    @button("Fetch a log", icon="lab_profile")
    def fetch_log(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        point = self._point(request, object_id)

        def done(given: dict[str, Any]) -> str:
            job = device_jobs.fetch_log(point, kind=given["kind"], by=actor(request))
            return f"It is being asked for it: job {job.pk}."

        note = "It uploads the file to a URL that is good for this once; you find it with the job."
        return _form(
            self, request, object_id, forms.Log(forms.given(request)[0]), done, title=f"A log of {point}", note=note
        )

    @button("Roll the password", icon="key")
    def roll_password(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        point = self._point(request, object_id)

        def do() -> str:
            passwords_rolling.roll(point.pk, by=actor(request))
            return "A new password is being sent; both are good until it connects with the new one."

        return ask(
            self, request, question="Give this charge point another password?", about=[point], do=do,
            back=_back(object_id), refusals=(passwords_rolling.NotRolled,), writes_down=True,
            warning="Nobody will see it: it is made here and kept as a digest.",
        )  # fmt: skip

    @button("Keep the present password", icon="key_off")
    def keep_password(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        point = self._point(request, object_id)

        def do() -> str:
            done = passwords_rolling.forget_next(point.pk, by=actor(request))
            return "Only the present password is good." if done else "There is no other one."

        return ask(
            self, request, question="Forget the password that was sent and not used yet?", about=[point], do=do,
            back=_back(object_id), writes_down=True,
            warning="If the charge point has taken it all the same, it cannot connect any more.",
        )  # fmt: skip

    @button("Read its root certificates", icon="verified_user")
    def read_certificates(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        point = self._point(request, object_id)

        def do() -> str:
            certificates_installed.refresh(point, by=actor(request))
            return "It is being asked; look again in a moment."

        question = "Ask which root certificates are installed?"
        return ask(self, request, question=question, about=[point], do=do, back=_back(object_id), refusals=(NotAsked,))

    @button("Install a root certificate", icon="add_moderator")
    def install_root(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        point = self._point(request, object_id)

        def done(given: dict[str, Any]) -> str:
            certificates_installed.install(point, pem=given["certificate"], kind=given["kind"], by=actor(request))
            return "It is being asked to install it."

        form = forms.Root(certificates_installed.kinds(point), forms.given(request)[0])
        return _form(self, request, object_id, form, done, title=f"A root certificate for {point}")
