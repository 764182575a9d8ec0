"""Who calls the operation API: the holder of a token of ours, or somebody who is logged in to the admin."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from cpo.api.errors import Forbidden, Unauthenticated
from cpo.modules import api_tokens
from ocpi.headers import Address

READ, OPERATE, MANAGE = api_tokens.SCOPES
_PERMISSIONS = {
    READ: "cpo.view_chargepoint", OPERATE: "cpo.change_chargepoint", MANAGE: "cpo.add_chargepoint",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who calls, with what may be seen and done."""

    name: str
    scopes: frozenset[str]
    tenant: Address | None  # None: every tenant

    is_authenticated = True

    def need(self, scope: str) -> None:
        """Go on only with this right.

        :raises Forbidden: without it.
        """
        if scope not in self.scopes:
            raise Forbidden(f"this needs the right to {scope}")

    def sees(self, country_code: str, party_id: str) -> bool:
        return self.tenant is None or self.tenant.key == Address(country_code, party_id).key

    def own(self, rows: QuerySet[Any], prefix: str = "") -> QuerySet[Any]:
        """Leave in a query only what belongs to the tenant; `prefix` leads to the columns that say so."""
        if self.tenant is None:
            return rows
        return rows.filter(
            **{
                f"{prefix}country_code__iexact": self.tenant.country_code,
                f"{prefix}party_id__iexact": self.tenant.party_id,
            }
        )


class Bearer(BaseAuthentication):
    """`Authorization: Bearer …` with a token of ours."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        scheme, _, word = request.headers.get("Authorization", "").strip().partition(" ")
        if not scheme:
            return None
        row = api_tokens.find(word.strip()) if scheme.lower() == "bearer" and len(word) < 200 else None
        if row is None:
            raise Unauthenticated("the token is not known, has expired or was revoked")
        tenant = Address(row.country_code, row.party_id) if row.country_code else None
        return Principal(f"token {row.name}", frozenset(row.scopes), tenant), None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="ocpp"'


class AdminSession(BaseAuthentication):
    """The session of an operator; what is changed needs the CSRF token of our pages (`X-CSRFToken`).

    Machines' paths meet no middleware, so the session is opened here.
    """

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        http = request._request
        key = http.COOKIES.get(settings.SESSION_COOKIE_NAME)
        if not key:
            return None
        user = _user_of(http, key)
        if not (user.is_active and user.is_staff):
            raise Unauthenticated("the session has ended: log in to the admin again")
        try:
            SessionAuthentication().enforce_csrf(request)
        except exceptions.PermissionDenied as error:
            raise Forbidden("a session needs the header X-CSRFToken for what it changes") from error
        scopes = frozenset(scope for scope, permission in _PERMISSIONS.items() if user.has_perm(permission))
        return Principal(str(user.get_username()), scopes, None), None


def _user_of(http: HttpRequest, key: str) -> Any:
    http.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return get_user(http)


def of(request: Request) -> Principal:
    """Return who calls.

    :raises Unauthenticated: if nobody says so.
    """
    found: object = request.user
    if not isinstance(found, Principal):
        raise Unauthenticated("show a token as Authorization: Bearer …, or log in to the admin")
    return found


def party_of(row: Model) -> str:
    return f"{row.country_code}*{row.party_id}"  # type: ignore[attr-defined]
