"""Admin pages of certificates: who signs, what was signed, what is installed."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse

from cpo import admin_device_forms as forms
from cpo import certificate_states as states
from cpo.models import CertificateAuthority, InstalledCertificate, StationCertificate
from cpo.modules import certificates, certificates_installed
from cpo.ocpp.calls import NotAsked
from ocpi import clock
from ocpi.admin_confirm import actor, ask, button
from ocpi.admin_pages import Pages, Rows, badge, known, party, read_only

_TONES = {"INSTALLED": "good", "ASKED": "busy", "SENT": "busy", "REFUSED": "bad", "FAILED": "bad"}
_SOON = timedelta(days=30)


@admin.register(CertificateAuthority)
class CertificateAuthorityPage(Pages):
    """Who signs the certificates of each tenant's charge points, and whose clients are believed; keys are not shown."""

    list_display = ("show_party", "organisation", "show_signer", "days", "created_at")
    ordering = ("country_code", "party_id")
    hidden = ("key", "token")
    actions_list = ("make",)
    actions_detail = ("replace",)
    show_party = party()
    show_signer = read_only("signed by", lambda page, row: row.url or "a key kept here")

    @button("Make an authority", icon="add_moderator")
    def make(self, request: HttpRequest) -> HttpResponse:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        form = forms.Authority(forms.given(request)[0])
        row = form.make(actor(request)) if form.is_valid() else None
        if row is not None:
            messages.success(request, "It signs from now on.")
            return HttpResponseRedirect(reverse("admin:cpo_certificateauthority_change", args=[row.pk]))
        back = reverse("admin:cpo_certificateauthority_changelist")
        note = "The organisation is what certificate signing requests of the charge points have to name as O."
        return forms.show(self, request, form, title="Who signs for a tenant", back=back, note=note, answer="Make")

    @button("Replace", icon="published_with_changes", variant="danger")
    def replace(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        row = get_object_or_404(CertificateAuthority, pk=object_id)
        back = reverse("admin:cpo_certificateauthority_change", args=[row.pk])
        sent, _ = forms.given(request)
        known = {"certificates": row.certificates, "revocation_list": row.revocation_list}
        form = forms.Replacement(sent, initial=known)
        if form.is_valid() and form.replace(row.pk, actor(request)):
            messages.success(request, "Connections that stand on a certificate no longer good end within a minute.")
            return HttpResponseRedirect(back)
        note = "Charge points whose certificate does not chain to these, or is on the list, are cut and not let in."
        return forms.show(
            self, request, form, title=f"What is believed of {row}", back=back, note=note, answer="Replace"
        )


def lasts(row: StationCertificate) -> str:
    """Return until when a certificate is good, as a label where that matters."""
    if row.revoked_at is not None:
        return badge("revoked", "bad")
    if row.valid_until is None:
        return "–"
    text = f"{row.valid_until:%Y-%m-%d}"
    if row.state != states.INSTALLED or row.valid_until > clock.now() + _SOON:
        return text
    return badge(text, "bad" if row.valid_until <= clock.now() else "odd")


@admin.register(StationCertificate)
class StationCertificatePage(Pages):
    """Certificates that charge points asked for."""

    large = True
    list_display = ("created_at", "charge_point", "show_state", "subject", "serial", "show_until", "error")
    list_filter = (known("state", states.CERTIFICATES), ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("charge_point",)
    search_fields = ("=charge_point__identity", "=serial")
    ordering = ("-id",)
    deferred = ("csr", "chain")
    actions_detail = ("revoke",)
    show_state = read_only("state", lambda page, row: badge(row.state, _TONES.get(row.state, "odd")))
    show_until = read_only("valid until", lambda page, row: lasts(row))

    @button("Revoke", icon="block", variant="danger")
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(StationCertificate, pk=object_id)

        def do() -> str:
            because = request.POST.get("reason", "").strip()
            done = certificates.revoke(row.pk, because=because, by=actor(request))
            return "It is not good any more." if done else "It was not in force."

        return ask(
            self, request, question="Make this certificate invalid?", about=[row], do=do, reason="Why?",
            back=reverse("admin:cpo_stationcertificate_change", args=[object_id]), writes_down=True,
            warning="The charge point is refused with it at its next connection; it needs another one, or a password.",
        )  # fmt: skip


class CertificateRows(Rows):
    model = StationCertificate
    verbose_name_plural = "certificates"
    fields = ("created_at", "kind", "show_state", "serial", "show_until")
    ordering = ("-id",)
    per_page = 5
    show_change_link = True
    show_state = read_only("state", lambda page, row: badge(row.state, _TONES.get(row.state, "odd")))
    show_until = read_only("valid until", lambda page, row: lasts(row))


class InstalledRows(Rows):
    model = InstalledCertificate
    verbose_name_plural = "root certificates it says it has"
    fields = ("kind", "serial", "hash_algorithm", "issuer_key_hash", "reported_at")
    ordering = ("kind", "serial")
    show_change_link = True


@admin.register(InstalledCertificate)
class InstalledCertificatePage(Pages):
    """What charge points say is installed."""

    large = True
    list_display = ("charge_point", "kind", "serial", "hash_algorithm", "reported_at")
    list_select_related = ("charge_point",)
    search_fields = ("=charge_point__identity", "=serial")
    ordering = ("-id",)
    actions_detail = ("remove",)

    @button("Delete there", icon="delete", variant="danger")
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(InstalledCertificate.objects.select_related("charge_point"), pk=object_id)

        def do() -> str:
            certificates_installed.delete(row, by=actor(request))
            return "The charge point is being asked to delete it."

        return ask(
            self, request, question="Delete this certificate at the charge point?", about=[row], do=do,
            back=reverse("admin:cpo_chargepoint_change", args=[row.charge_point_id]), refusals=(NotAsked,),
            warning="Without the root of our own certificate it cannot connect with TLS any more.", writes_down=True,
        )  # fmt: skip
