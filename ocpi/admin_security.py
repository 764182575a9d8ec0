"""Buttons on a platform's page about its tokens, registration and TLS: each needs the right to change these rows."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from ocpi import admin_hosts
from ocpi.admin_confirm import actor, ask, button
from ocpi.admin_pages import read_only
from ocpi.admin_tls import TlsForm, shown
from ocpi.models import Platform
from ocpi.modules import initiation, leaving, renewal


class Security:
    """What is added to the page of platforms."""

    buttons = ("renew_token", "revoke_tokens", "tls", "unregister", "unregister_here")
    admin_site: Any
    model: Any
    show_hosts = read_only("hosts that wait for approval", lambda page, row: admin_hosts.link_of(row))
    show_tls = read_only("TLS", lambda page, row: shown(row))

    def has_tokens_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say whether somebody may renew and revoke tokens."""
        return bool(getattr(request, "user").has_perm("ocpi.change_credentialstoken"))  # noqa: B009

    def has_tls_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say whether somebody may choose certificates."""
        return bool(getattr(request, "user").has_perm("ocpi.change_tlssettings"))  # noqa: B009

    @button("Renew token", icon="key", permission="tokens")
    def renew_token(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give it a new token and get one, over its credentials (SEC-07); the old ones overlap (CRED-37)."""

        def do() -> str:
            initiation.update_at(int(object_id))
            return "It has a new token and has given us one; its old one ends when the new one is used, or in an hour."

        return self._ask_about_tokens(
            request,
            object_id,
            "Renew the tokens of this platform?",
            do,
            "Our credentials are PUT to it, and it answers with its own. If it does not take them, nothing changes.",
        )

    @button("Revoke tokens now", icon="key_off", variant="danger", permission="tokens")
    def revoke_tokens(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let none of its tokens in from the next request on, in every process (SEC-07, CRED-35)."""

        def do() -> str:
            renewal.revoke(int(object_id))
            return "None of its tokens is taken any more. Renew its token to give it a new one."

        return self._ask_about_tokens(
            request,
            object_id,
            "Revoke all tokens of this platform?",
            do,
            "Its next request is answered with 401, until its token is renewed from here.",
        )

    @button("TLS", icon="lock", permission="tls")
    def tls(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Choose its own certificate authorities and a client certificate of ours (SEC-31)."""
        if not self.has_tls_permission(request):
            raise PermissionDenied
        row = get_object_or_404(Platform, pk=object_id)
        back = reverse("admin:ocpi_platform_change", args=[object_id])
        form = TlsForm(row, request.POST if request.method == "POST" else None)
        if form.is_valid():
            form.set(actor(request))
            messages.success(request, "It is set.")
            return HttpResponseRedirect(back)
        context = {"title": f"TLS of {row}", "opts": self.model._meta, "form": form, "back": back}
        context |= self.admin_site.each_context(request)
        return TemplateResponse(request, "admin/platform_tls.html", context)

    @button("Unregister", icon="link_off", variant="danger", permission="tokens")
    def unregister(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Tell it that we leave, and end its registration; or withdraw an invitation (CRED-40)."""
        return self._ask_about_tokens(
            request,
            object_id,
            "End the registration of this platform?",
            lambda: leaving.leave(int(object_id)),
            "It is told, and both tokens end; if it cannot be told, nothing changes. An invitation is withdrawn. "
            "What it has sent stays, and it may be invited again.",
        )

    @button("Unregister without telling it", icon="link_off", variant="danger", permission="tokens")
    def unregister_here(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End the registration of a platform that cannot be told any more (CRED-40)."""
        return self._ask_about_tokens(
            request,
            object_id,
            "End the registration of this platform without telling it?",
            lambda: leaving.leave(int(object_id), tell=False),
            "For a platform that is gone: both tokens end here, and it learns of it when its next request is refused.",
        )

    def _ask_about_tokens(
        self, request: HttpRequest, object_id: str, question: str, do: Any, warning: str
    ) -> HttpResponse:
        if not self.has_tokens_permission(request):
            raise PermissionDenied
        about = get_object_or_404(Platform, pk=object_id)
        back = reverse("admin:ocpi_platform_change", args=[object_id])
        return ask(
            self,
            request,
            question=question,
            about=[about],
            do=do,
            back=back,
            warning=warning,
            refusals=(initiation.HandshakeFailed,),
        )
