"""The admin page of failed deliveries: one or all of a filter are retried or dropped, a period is replayed (REL-40)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.contrib.filters.admin import RelatedDropdownFilter

from ocpi import dead_letters, delivery_actions
from ocpi.admin_confirm import actor, ask, button
from ocpi.admin_deliveries import DeliveryPages
from ocpi.admin_pages import MODULES, known
from ocpi.admin_proxies import ProxyPages
from ocpi.dead_letters import FAILED, Selection
from ocpi.delivery_states import DEAD, DELIVERED, REFUSED
from ocpi.models import Delivery, FinishedDelivery, Platform
from ocpi.proxy_models import DeadLetter

_WHY = "Why? It stays with each of them, and in the audit trail."
_GONE = "Nobody sends them, and no alarm reminds of them. A CDR that is dropped is not paid."
_MODULES = [("", "all modules"), *((module, module) for module in MODULES)]


def _moment(required: bool, help_text: str) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(required=required, widget=widget, help_text=help_text)


class ByFilter(forms.Form):
    """Which failed deliveries, and what is done with them."""

    do = forms.ChoiceField(choices=[("retry", "retry them"), ("drop", "drop them")], label="what")
    platform = forms.ModelChoiceField(Platform.objects.order_by("name"), required=False, empty_label="all platforms")
    state = forms.ChoiceField(choices=[("", "DEAD and REFUSED"), *((state, state) for state in FAILED)], required=False)
    kind = forms.ChoiceField(choices=[("", "all kinds"), *Delivery.Kind.choices], required=False)
    module = forms.ChoiceField(choices=_MODULES, required=False)
    path = forms.CharField(required=False, help_text="Its object begins with this, e.g. NL/TNM/LOC1.")
    since = _moment(False, "Failed since this time (UTC).")
    until = _moment(False, "Failed before this time (UTC).")

    def clean_until(self) -> datetime | None:
        return _later(self)

    def selection(self) -> Selection:
        found = self.cleaned_data
        return Selection(
            platform_id=found["platform"].pk if found["platform"] else None,
            states=(found["state"],) if found["state"] else (DEAD, REFUSED),
            kind=found["kind"],
            module=found["module"],
            since=found["since"],
            until=found["until"],
            path=found["path"],
        )


class Replay(forms.Form):
    """A platform and a period."""

    platform = forms.ModelChoiceField(Platform.objects.filter(state="REGISTERED").order_by("name"))
    since = _moment(True, "It gets what it got, or should have got, from this time on (UTC); seven days are known.")
    until = _moment(False, "Up to this time (UTC); empty: until now.")
    module = forms.ChoiceField(choices=_MODULES, required=False)

    def clean_until(self) -> datetime | None:
        return _later(self)


def _later(form: forms.Form) -> datetime | None:
    since, until = form.cleaned_data.get("since"), form.cleaned_data["until"]
    if since and until and until <= since:
        raise forms.ValidationError("must be later than since")
    return until  # type: ignore[no-any-return]


class ByState(admin.SimpleListFilter):
    """Which of them: those that nobody has dealt with are one choice."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("OPEN", "DEAD and REFUSED"), *((state, state) for state in FAILED)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "OPEN":
            return queryset.filter(state__in=(DEAD, REFUSED))
        return queryset.filter(state=self.value()) if self.value() else queryset


@admin.register(DeadLetter)
class DeadLetterPage(ProxyPages, DeliveryPages):
    """What failed and why."""

    covered = ("url", "error", "path", "location")
    list_display = ("id", "platform", "show_state", "show_object", "show_error", "show_since", "finished_at", "show_to",
                    "attempts", "show_kind", "show_answer")  # fmt: skip
    list_filter = (
        ByState, known("kind", Delivery.Kind.values), known("module", MODULES),
        ("platform", RelatedDropdownFilter),
    )  # fmt: skip
    ordering = ("-id",)
    actions = ("retry", "drop")
    actions_list = ("by_filter", "replay")
    actions_detail = ("retry_one", "drop_one")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return them, and when the same object reached the same party after all, by a later change."""
        later = FinishedDelivery.objects.filter(
            source=OuterRef("source"), source_id=OuterRef("source_id"), platform=OuterRef("platform"),
            pk__gt=OuterRef("pk"), to_country_code=OuterRef("to_country_code"), to_party_id=OuterRef("to_party_id"),
            kind=Delivery.Kind.STATE, state=DELIVERED,
        )  # fmt: skip
        since = Subquery(later.order_by("pk").values("finished_at")[:1])
        found: QuerySet[Any] = super().get_queryset(request).filter(state__in=FAILED).annotate(since=since)
        return found

    @admin.display(description="since then", empty_value="–")
    def show_since(self, row: Any) -> str | None:
        return f"delivered {row.since:%m-%d %H:%M:%S}" if row.since else None

    @admin.action(description="Retry", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse:
        return self._retry(request, queryset, request.get_full_path())

    @admin.action(description="Drop", permissions=["operate"])
    def drop(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse:
        return self._drop(request, queryset, request.get_full_path())

    @button("Retry", icon="replay", variant="primary")
    def retry_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._retry(request, self._one(request, object_id), self._list())

    @button("Drop", icon="delete", variant="danger")
    def drop_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._drop(request, self._one(request, object_id), self._list())

    def _one(self, request: HttpRequest, object_id: str) -> QuerySet[DeadLetter]:
        """Return one that failed; once it is retried or dropped it has no page here any more."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404("It is not among the failed deliveries; somebody may have retried or dropped it.")
        return self.get_queryset(request).filter(pk=row.pk)

    def _retry(self, request: HttpRequest, queryset: QuerySet[DeadLetter], back: str) -> HttpResponse:
        ids = list(queryset.values_list("pk", flat=True))
        return self._ask(
            request,
            queryset,
            f"Send {_number(ids)} again?",
            lambda: f"On their way again: {delivery_actions.send_finished_again(ids, actor=actor(request))}.",
            "Each object goes out once, as it is now. A result whose timeout has passed is left alone.",
            back=back,
        )

    def _drop(self, request: HttpRequest, queryset: QuerySet[DeadLetter], back: str) -> HttpResponse:
        ids = list(queryset.values_list("pk", flat=True))
        why = request.POST.get("reason", "").strip()
        return self._ask(
            request,
            queryset,
            f"Drop {_number(ids)} for good?",
            lambda: f"{delivery_actions.drop(ids, actor=actor(request), reason=why)} deliveries are dropped.",
            _GONE,
            reason=_WHY,
            back=back,
        )

    @button("Retry or drop by filter", icon="filter_alt")
    def by_filter(self, request: HttpRequest) -> HttpResponse:
        """Retry or drop all that match, after telling how many they are."""
        form = ByFilter(request.POST or None)
        if not self._answered(request, form):
            return self._form(request, form, "Retry or drop failed deliveries", "Count them")
        selection, drops = form.selection(), form.cleaned_data["do"] == "drop"
        why = request.POST.get("reason", "").strip()

        def do() -> str:
            if drops:
                return f"{dead_letters.drop(selection, actor=actor(request), reason=why)} deliveries are dropped."
            return f"{dead_letters.retry(selection, actor=actor(request))} objects are on their way again."

        number = dead_letters.count(selection)
        return ask(
            self, request, question=f"{'Drop' if drops else 'Retry'} {number:,} failed deliveries?",
            about=[f"{name}: {value}" for name, value in _said(form).items()] or ["all that failed"], do=do,
            back=self._list(), reason=_WHY if drops else "", writes_down=True,
            warning=_GONE if drops else "",
        )  # fmt: skip

    @button("Replay a period", icon="replay")
    def replay(self, request: HttpRequest) -> HttpResponse:
        """Have a platform that lost data get once more what it got in a period."""
        form = Replay(request.POST or None)
        if not self._answered(request, form):
            return self._form(request, form, "Replay a period for a platform", "Count them")
        found = form.cleaned_data
        platform = found["platform"]
        selection = Selection(platform.pk, (DELIVERED, DEAD, REFUSED), module=found["module"], since=found["since"],
                              until=found["until"])  # fmt: skip

        def do() -> str:
            done = dead_letters.replay(
                platform.pk, found["since"], found["until"], module=found["module"], actor=actor(request)
            )
            known_since = f" Before {done.oldest:%Y-%m-%d %H:%M} nothing is known." if done.oldest else ""
            return f"{done.objects} objects are on their way to {platform}.{known_since}"

        return ask(
            self, request, question=f"Replay {dead_letters.count(selection):,} deliveries for {platform}?",
            about=[f"{name}: {value}" for name, value in _said(form).items()], do=do, back=self._list(),
            warning="Each of their objects is sent once, as it is now, in the order in which they were sent.",
            writes_down=True,
        )  # fmt: skip

    def _answered(self, request: HttpRequest, form: forms.Form) -> bool:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        return request.method == "POST" and form.is_valid()

    def _form(self, request: HttpRequest, form: forms.Form, title: str, answer: str) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "title": title, "opts": self.model._meta, "form": form,
                   "back": self._list(), "answer": answer}  # fmt: skip
        return TemplateResponse(request, "admin/ask_form.html", context)

    def _list(self) -> str:
        return reverse("admin:ocpi_deadletter_changelist")


def _number(ids: list[int]) -> str:
    return "1 failed delivery" if len(ids) == 1 else f"{len(ids)} failed deliveries"


def _said(form: forms.Form) -> dict[str, Any]:
    return {name: value for name, value in form.cleaned_data.items() if value and name != "do"}
