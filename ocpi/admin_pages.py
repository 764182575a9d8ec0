"""What the pages of all four admin.py have in common: nothing is editable, documents are laid out, little counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import msgspec
from django.contrib import admin
from django.contrib.admin import helpers
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.paginator import InfinitePaginator

from ocpi import admin_messages, json_html
from ocpi.secrets import without_keys as without_keys

_TONES = {
    "good": "CONNECTED REGISTERED DELIVERED AVAILABLE COMPLETED ACCEPTED Accepted match DONE ENDED ALLOWED Available "
    "ANSWERED CURRENT online",
    "busy": "PENDING CHARGING ACTIVE PLANNED INVITED NEW SENT QUEUED Charging Preparing Finishing RESERVED A Pending "
    "WAITING Occupied",
    "bad": "OFFLINE DEAD REFUSED SUSPENDED mismatch FAILED INOPERATIVE OUTOFORDER REJECTED Rejected Faulted BLOCKED "
    "INVALID TIMEOUT Unavailable BLOCKED offline TIMED_OUT",
    "odd": "MARKED DROPPED unverifiable UNKNOWN OLD UNREGISTERED TOMBSTONE",
}
_STATES = frozenset({"state", "status", "result", "allowed", "verdict", "boot_status"})
_TONE_OF = {word: tone for tone, words in _TONES.items() for word in words.split()}

MODULES = ("versions", "credentials", "locations", "tariffs", "sessions", "cdrs", "tokens", "commands",
           "chargingprofiles", "hubclientinfo")  # fmt: skip
EVSE_STATUSES = ("AVAILABLE", "BLOCKED", "CHARGING", "INOPERATIVE", "OUTOFORDER", "PLANNED", "REMOVED", "RESERVED",
                 "UNKNOWN")  # fmt: skip
SESSION_STATUSES = ("ACTIVE", "COMPLETED", "INVALID", "PENDING", "RESERVATION")
TOKEN_TYPES = ("AD_HOC_USER", "APP_USER", "OTHER", "RFID")

Shown = Callable[[Any, Any], Any]


def badge(word: object, tone: str = "") -> str:
    """Return a state as a small colored label."""
    text = str(word)
    return (
        format_html('<span class="o-badge o-{}">{}</span>', tone or _TONE_OF.get(text, "plain"), text) if text else ""
    )


def percent(part: float) -> str:
    """Return a share for people: "0 %", "<0.1 %", "7.1 %"; "100 %" only if it is all."""
    if part in (0, 1):
        return "100 %" if part else "0 %"
    return "<0.1 %" if part < 0.001 else f"{min(part, 0.999):.1%}".replace("%", " %")


def badged(field: str, title: str = "") -> Shown:
    """Return a column that shows a state as a label."""

    def show(page: Any, row: Any) -> str:
        return badge(getattr(row, field))

    return _column(show, field, title or field.replace("_", " "), order=field)


def pretty(field: str, title: str = "") -> Shown:
    """Return a read-only field that lays out JSON, kept as text or as JSON."""

    def show(page: Any, row: Any) -> str:
        value = getattr(row, field)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return json_html.pretty(without_keys(text))

    return _column(show, field, title or field.replace("_", " "))


def party(country_code: str = "country_code", party_id: str = "party_id", title: str = "party") -> Shown:
    """Return a column with an address, e.g. NL*TNM."""

    def show(page: Any, row: Any) -> str:
        found = getattr(row, country_code)
        return f"{found}*{getattr(row, party_id)}" if found else "–"

    return _column(show, party_id, title, order=party_id)


def read_only(title: str, show: Shown) -> Shown:
    """Return a column that is worked out from the row."""
    return _column(lambda page, row: show(page, row), "shown", title)


def _column(show: Shown, name: str, title: str, *, order: str = "") -> Shown:
    show.__name__ = f"show_{name}"
    show.short_description = title  # type: ignore[attr-defined]
    if order:
        show.admin_order_field = order  # type: ignore[attr-defined]
    return show


def known(field: str, values: Iterable[str], title: str = "") -> type[admin.SimpleListFilter]:
    """Return a filter by a column whose values are known, so that no table is read for them."""
    shown = [(str(value), str(value)) for value in values]

    class ByValue(admin.SimpleListFilter):
        parameter_name = field

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return shown

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return queryset.filter(**{field: self.value()}) if self.value() else queryset

    ByValue.title = title or field.replace("_", " ")
    return ByValue


class Pages(ModelAdmin):  # type: ignore[misc]
    """A list and a page of each row; nothing can be added, changed or deleted here."""

    list_filter_submit = True
    list_fullwidth = True
    list_per_page = 50
    large: ClassVar[bool] = False  # a large table is never counted
    # Columns no page shows, secrets first of all (SEC-50); and columns that lists leave in the database.
    hidden: ClassVar[tuple[str, ...]] = ()
    deferred: ClassVar[tuple[str, ...]] = ()
    # Columns with URLs that may hold keys: cut before anything, also the title, is made of them.
    covered: ClassVar[tuple[str, ...]] = ()
    # Shown after the plain columns: names of `pretty` fields and the like.
    shown: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if self.large:
            self.paginator, self.show_full_result_count = InfinitePaginator, False
            self.list_disable_select_all = True  # "all" would be millions

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found: QuerySet[Any] = super().get_queryset(request)
        match = request.resolver_match
        in_list = match is not None and str(match.url_name).endswith("_changelist")
        return found.defer(*self.deferred) if in_list and self.deferred else found

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Do what was chosen with the rows that were; what names no row is not found."""
        for text in request.POST.getlist(helpers.ACTION_CHECKBOX_NAME):
            require_id(self, text)
        return super().response_action(request, queryset)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)
        for name in self.covered if found else ():
            setattr(found, name, without_keys(getattr(found, name)))
        return found

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Sequence[str]:
        if self.fields:
            return list(self.fields)
        columns = [field.name for field in self.model._meta.concrete_fields if field.name not in self.hidden]
        messages = ("show_messages",) if admin_messages.has_messages(self.model) else ()
        return [*(self._shown_as(name) for name in columns), *messages, *self.shown]

    def _shown_as(self, name: str) -> str:
        """Return what shows a column: a state is a label on its own page too."""
        if name == "correlation_id":
            return "show_message"
        label = f"show_{name}"
        return label if name in _STATES and hasattr(self, label) and label not in self.shown else name

    @admin.display(description="message")
    def show_message(self, row: Any) -> str:
        return admin_messages.to_picture(row.correlation_id)

    @admin.display(description="messages")
    def show_messages(self, row: Any) -> str:
        return admin_messages.of_object(row)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Sequence[str]:
        return self.get_fields(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say whether somebody may act on a row, although no page lets its columns be edited."""
        meta = self.model._meta
        return bool(getattr(request, "user").has_perm(f"{meta.app_label}.change_{meta.model_name}"))  # noqa: B009


def require_id(page: Any, text: str) -> None:
    """Refuse a text that cannot name a row, such as one of letters where rows have numbers.

    :raises Http404: if it cannot.
    """
    try:
        page.model._meta.pk.to_python(text)
    except ValidationError as error:
        raise Http404(f"{text[:50]!r} names no row.") from error


class Documents(Pages):
    """OCPI objects as they are kept."""

    large = True
    hidden: ClassVar[tuple[str, ...]] = ("document",)
    shown: ClassVar[tuple[str, ...]] = ("pretty_document",)
    deferred: ClassVar[tuple[str, ...]] = ("document",)
    show_party = party()
    pretty_document = pretty("document", "document")
    ordering: ClassVar[tuple[str, ...]] = ("-last_updated", "-id")
    search_fields: ClassVar[tuple[str, ...]] = ("=object_id", "=party_id")
    list_display: ClassVar[tuple[str, ...]] = ("object_id", "show_party", "last_updated")


class Rows(TabularInline):  # type: ignore[misc]
    """Rows that belong to another, shown on its page."""

    extra = 0
    max_num = 0
    can_delete = False
    show_change_link = False
    hide_title = True

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Sequence[str]:
        return list(self.fields or ())

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def member(text: str, *names: str) -> Any:
    """Return a member of a document, or None; numbers come as they are written."""
    try:
        found: Any = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        for name in names[:-1]:
            found = msgspec.json.decode(found[name], type=dict[str, msgspec.Raw])
        raw = bytes(found[names[-1]]).decode()
    except (msgspec.DecodeError, ValueError, KeyError):
        return None
    return msgspec.json.decode(raw) if raw.startswith('"') else None if raw == "null" else raw
