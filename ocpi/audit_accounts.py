"""Logins, and changes of who may do what, go into the audit trail (SEC-56)."""

from __future__ import annotations

from typing import Any

from auditlog.context import auditlog_value
from axes.signals import user_locked_out
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save
from django.http import HttpRequest

from ocpi import audit

_STRANGER = "a stranger"


def _logged_in(*, request: HttpRequest, user: Any, **_more: Any) -> None:
    audit.record("login", actor=user.get_username(), details=_where(request))


def _logged_out(*, request: HttpRequest, user: Any, **_more: Any) -> None:
    if user is not None:
        audit.record("logout", actor=user.get_username(), details=_where(request))


def _login_failed(*, credentials: dict[str, Any], request: HttpRequest | None = None, **_more: Any) -> None:
    if not getattr(request, "axes_locked_out", False):  # a lock is written down once, not each knock at it
        audit.record(
            "login.failed", actor=_STRANGER, about=str(credentials.get("username", "")), details=_where(request)
        )


def _locked_out(*, request: HttpRequest | None, username: str | None, **_more: Any) -> None:
    audit.record("login.locked", actor=_STRANGER, about=str(username or ""), details=_where(request))


def _saved(*, instance: Any, created: bool, raw: bool = False, update_fields: Any = None, **_more: Any) -> None:
    if raw or (update_fields is not None and set(update_fields) <= {"last_login"}):
        return
    rights = {name: getattr(instance, name) for name in ("is_active", "is_staff", "is_superuser")
              if hasattr(instance, name)}  # fmt: skip
    audit.record(f"{_kind(instance)}.{'added' if created else 'changed'}", actor=_actor(), about=str(instance),
                 details=rights)  # fmt: skip


def _deleted(*, instance: Any, **_more: Any) -> None:
    audit.record(f"{_kind(instance)}.removed", actor=_actor(), about=str(instance))


def _granted(*, instance: Any, action: str, model: Any, pk_set: set[int] | None, reverse: bool, **_more: Any) -> None:
    if action not in ("post_add", "post_remove", "pre_clear"):
        return
    names = sorted(str(row) for row in model._default_manager.filter(pk__in=pk_set or ()))
    audit.record(f"{_kind(instance)}.{action.partition('_')[2]}", actor=_actor(), about=str(instance),
                 details={model._meta.model_name: names})  # fmt: skip


def _actor() -> str:
    """Return who is logged in where this happens; a command has nobody."""
    context = auditlog_value.get({})
    found = context.get("actor")
    # What a request has set stays in its thread when it is over; only its receiver goes.
    under_way = any(receiver[0][0] == context.get("signal_duid") for receiver in pre_save.receivers)
    return str(found.get_username()) if found is not None and under_way else audit.SYSTEM


def _kind(instance: Any) -> str:
    return "account" if isinstance(instance, get_user_model()) else str(instance._meta.model_name)


def _where(request: HttpRequest | None) -> dict[str, object]:
    return {"address": request.META.get("REMOTE_ADDR", "")} if request is not None else {}


def connect() -> None:
    """Listen from now on; called once, when all models are there."""
    user: Any = get_user_model()
    user_logged_in.connect(_logged_in, dispatch_uid="ocpi.audit")
    user_logged_out.connect(_logged_out, dispatch_uid="ocpi.audit")
    user_login_failed.connect(_login_failed, dispatch_uid="ocpi.audit")
    user_locked_out.connect(_locked_out, dispatch_uid="ocpi.audit")
    for model in (user, Group):
        post_save.connect(_saved, sender=model, dispatch_uid="ocpi.audit")
        post_delete.connect(_deleted, sender=model, dispatch_uid="ocpi.audit")
    for through in (user.groups.through, user.user_permissions.through, Group.permissions.through):
        m2m_changed.connect(_granted, sender=through, dispatch_uid="ocpi.audit")
