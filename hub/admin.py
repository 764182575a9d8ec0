"""Admin pages of the hub and of the accounts; those that other packages registered are replaced by ours."""

from __future__ import annotations

from typing import Any

from auditlog.models import LogEntry
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import prefetch_related_objects
from django.http import HttpRequest
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from hub import admin_clientinfo as admin_clientinfo  # registers its page
from hub import admin_permissions as admin_permissions  # registers its page
from hub.models import Callback, KnownObject, SharedObject
from ocpi.admin_pages import MODULES, Documents, Pages, badge, known, pretty, read_only

# The pages of the second factors show their seeds (SEC-50).
for _model in (User, Group, LogEntry, AccessAttempt, AccessFailureLog, AccessLog, StaticDevice, TOTPDevice):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)


@admin.register(SharedObject)
class SharedObjectPage(Documents):
    """The last accepted state of what was broadcast, and of what one receiver was sent alone."""

    list_display = (
        "path", "module", "show_party", "receiver", "platform", "last_updated", "received_at", "show_deleted",
    )  # fmt: skip
    list_filter = (
        known("module", MODULES),
        ("deleted_at", admin.EmptyFieldListFilter),
        ("platform", RelatedDropdownFilter),
    )
    list_select_related = ("platform",)
    search_fields = ("path__istartswith", "=party_id", "=receiver")
    raw_id_fields = ("container",)
    show_deleted = read_only("deleted", lambda page, row: badge("deleted", "odd") if row.deleted_at else "")


@admin.register(Callback)
class CallbackPage(Pages):
    """URLs of partners that the hub stands in for; the key is a secret and not shown."""

    large = True
    list_display = ("id", "kind", "module", "owner", "caller", "created_at", "expires_at", "used_at")
    list_display_links = ("id", "kind")
    list_filter = ("kind", known("module", MODULES), ("owner", RelatedDropdownFilter))
    list_select_related = ("owner", "caller")
    search_fields = ("=correlation_id",)
    ordering = ("-id",)
    # A partner's response_url is as unguessable as ours: who knows it may answer a command (SEC-41).
    hidden = ("key", "url")
    shown = ("show_host",)
    deferred = ("key",)
    show_host = read_only("stands in for", lambda page, row: "/".join(row.url.split("/")[:3]) + "/…")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            found.key = "…"  # the title of the page is made of it
        return found


@admin.register(KnownObject)
class KnownObjectPage(Pages):
    """Whose ids are, as far as the hub has seen: whom requests without To headers go to."""

    large = True
    list_display = ("key", "kind", "owner", "counterpart", "seen_at")
    list_filter = (known("kind", [str(value) for value in KnownObject.Kind]),)
    search_fields = ("=key", "=owner")
    search_help_text = "an id in capitals (of a Token: RFID/012345678), or a party such as NL*TNM"
    ordering = ("-id",)


@admin.register(User)
class UserPage(UserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]
    """Who may log in."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return _with_rights(super().get_object(request, object_id, from_field), "user_permissions")


@admin.register(Group)
class GroupPage(GroupAdmin, ModelAdmin):  # type: ignore[misc]
    """What whoever belongs to it may do."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return _with_rights(super().get_object(request, object_id, from_field), "permissions")


def _with_rights(found: Any, name: str) -> Any:
    """Have the rights of an account read together with what they are for: who may only look sees each spelled out."""
    if found is not None:
        prefetch_related_objects([found], f"{name}__content_type")
    return found


@admin.register(AccessAttempt)
class AccessAttemptPage(Pages):
    """Failed logins; an account is locked for a while after some of them."""

    list_display = ("attempt_time", "username", "ip_address", "failures_since_start")
    search_fields = ("username", "ip_address")
    ordering = ("-attempt_time",)
    hidden = ("get_data", "post_data")


@admin.register(LogEntry)
class LogEntryPage(Pages):
    """Who changed what."""

    large = True
    list_display = ("timestamp", "actor", "action", "content_type", "object_repr")
    list_filter = ("action",)
    list_select_related = ("actor", "content_type")
    ordering = ("-timestamp",)
    hidden = ("changes", "changes_text", "serialized_data", "additional_data")
    shown = ("pretty_changes",)
    pretty_changes = pretty("changes")
