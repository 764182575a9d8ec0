"""The search form above the list of exchanges, and the list as pages that go on from where the last one ended."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.paginator import Paginator
from django.http import HttpRequest
from unfold.views import ChangeList

from ocpi import exchange_search
from ocpi.admin_pages import MODULES
from ocpi.exchange_search import Found, Wanted
from ocpi.models import Exchange, Platform

PLACE = "place"
OUTCOMES = {
    "failed": "failed",
    "none": "no answer",
    "2xx": "HTTP 2xx",
    "4xx": "HTTP 4xx",
    "5xx": "HTTP 5xx",
    "ocpi": "OCPI 2000 and above",
}
_METHODS = ("GET", "PUT", "PATCH", "POST", "DELETE")
_PARTY = re.compile(r"([A-Za-z]{2})[*/ -]?([A-Za-z0-9]{3})")
_TIME = "%Y-%m-%dT%H:%M"


def _choices(values: Any) -> list[tuple[str, str]]:
    return [("", "any"), *((value, value) for value in values)]


class Search(forms.Form):
    """What exchanges are found by; all of it together, and nothing has to be given."""

    q = forms.CharField(
        required=False, label="any id",
        widget=forms.TextInput(attrs={"placeholder": "of a message, request or object", "autofocus": True}),
    )  # fmt: skip
    object = forms.CharField(
        required=False, label="object id", widget=forms.TextInput(attrs={"placeholder": "LOC1, a CDR, a Token"})
    )
    correlation = forms.CharField(required=False, label="correlation id")
    request = forms.CharField(required=False, label="request id")
    party = forms.CharField(
        required=False, widget=forms.TextInput(attrs={"placeholder": "NL*TNM"}), label="party (from, to, owner)"
    )
    platform = forms.TypedChoiceField(required=False, coerce=int, empty_value=None)
    module = forms.ChoiceField(required=False, choices=_choices(MODULES))
    direction = forms.ChoiceField(required=False, choices=[("", "in and out"), ("IN", "in"), ("OUT", "out")])
    method = forms.ChoiceField(required=False, choices=_choices(_METHODS))
    outcome = forms.CharField(
        required=False, label="status",
        widget=forms.TextInput(attrs={"placeholder": "failed, 5xx, 404, 2001", "list": "outcomes"}),
    )  # fmt: skip
    since = forms.DateTimeField(required=False, label="from (UTC)", input_formats=[_TIME, f"{_TIME}:%S"])
    until = forms.DateTimeField(required=False, label="until (UTC)", input_formats=[_TIME, f"{_TIME}:%S"])

    outcomes = OUTCOMES

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        platforms = Platform.objects.order_by("name").values_list("pk", "name")
        self.fields["platform"].choices = [("", "any"), *platforms]  # type: ignore[attr-defined]
        for name in ("since", "until"):
            self.fields[name].widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format=_TIME)

    def clean_party(self) -> str:
        text = self.cleaned_data["party"].strip()
        if text and not (found := _PARTY.fullmatch(text)):
            raise forms.ValidationError("A party is a country code and a party id, such as NL*TNM.")
        return f"{found[1]}*{found[2]}".upper() if text and found else ""

    def clean_outcome(self) -> dict[str, Any]:
        """Return what an outcome means as members of `Wanted`."""
        text = self.cleaned_data["outcome"].strip().lower()
        words = {**{name: name for name in OUTCOMES}, **{title.lower(): name for name, title in OUTCOMES.items()}}
        match words.get(text, text):
            case "":
                return {}
            case "failed":
                return {"failed": True}
            case "none":
                return {"unanswered": True}
            case "ocpi":
                return {"status_code": (2000, 9999)}
            case "1xx" | "2xx" | "3xx" | "4xx" | "5xx" as hundred:
                return {"http_status": (int(hundred[0]) * 100, int(hundred[0]) * 100 + 99)}
            case number if number.isascii() and number.isdigit() and len(number) in (3, 4):
                return {"http_status" if len(number) == 3 else "status_code": (int(number), int(number))}
        raise forms.ValidationError("A status is an HTTP status (404, 5xx), an OCPI status code (2001), or a word.")

    def wanted(self) -> Wanted:
        """Return what is looked for."""
        given = self.cleaned_data
        return Wanted(
            any_id=given["q"],
            correlation_id=given["correlation"],
            request_id=given["request"],
            object_id=given["object"],
            party=given["party"],
            platform_id=given["platform"],
            module=given["module"],
            direction=given["direction"],
            method=given["method"],
            since=_utc(given["since"]),
            until=_utc(given["until"]),
            **given["outcome"],
        )


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None


class _OnePage(Paginator):  # type: ignore[type-arg]
    template_name = "admin/exchange_pages.html"


class ExchangeList(ChangeList):  # type: ignore[misc]
    """The list of the admin, filled by `exchange_search`: nothing is counted, and pages are places, not numbers."""

    found: Found
    form: Search

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        return {}  # the form reads them

    def get_results(self, request: HttpRequest) -> None:
        self.form = Search(request.GET)
        self.place = request.GET.get(PLACE, "")
        self.found = Found(())
        if self.form.is_valid():
            try:
                self.found = exchange_search.search(self.form.wanted(), place=self.place)
            except exchange_search.BadPlace:
                self.form.add_error(None, "This page was not linked from here; search again.")
        self.result_list = list(self.found.rows)
        self.result_count = len(self.result_list)
        self.full_result_count = self.result_count  # nothing to say about others
        self.show_full_result_count = self.show_admin_actions = False
        self.can_show_all = self.multi_page = False
        self.paginator = _OnePage(self.result_list, exchange_search.PAGE)

    @property
    def given(self) -> dict[str, str]:
        """Return what the form was filled with."""
        return {name: value for name in self.form.fields if (value := self.params.get(name, "").strip())}

    @property
    def next_page(self) -> str:
        return f"?{urlencode({**self.given, PLACE: self.found.next_place})}" if self.found.next_place else ""

    @property
    def first_page(self) -> str:
        return f"?{urlencode(self.given)}" if self.place else ""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        self.filter_specs: list[Any] = []
        self.has_filters = self.has_active_filters = False
        self.clear_all_filters_qs = "?"
        return Exchange.objects.none()
