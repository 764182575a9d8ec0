"""The certificate authority of a tenant: made here with a key of its own, brought in, or a service that signs."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from cpo.models import CertificateAuthority
from cpo.modules import certificates_signing as signing
from cpo.modules.certificates_backends import context
from cpo.modules.certificates_signing import NotSigned
from ocpi import audit, secrets


class NotMade(Exception):
    """The authority cannot be as asked, and why."""


def _check(certificates: str, key: str, revocation_list: str, *, signs: bool) -> None:
    try:
        if certificates:
            signing.check_authority(certificates, key)
        if certificates and not signs:
            raise NotSigned("key: without a service it is needed")
        if revocation_list:
            signing.check_revocation_list(revocation_list, certificates)
    except NotSigned as error:
        raise NotMade(str(error)) from error


def create(
    country_code: str,
    party_id: str,
    *,
    organisation: str,
    by: str,
    certificates: str = "",
    key: str = "",
    url: str = "",
    token: str = "",
    days: int = 365,
    revocation_list: str = "",
) -> CertificateAuthority:
    """Make the authority of a tenant; without certificates and service it gets a root and key of its own.

    :raises NotMade: if there is one already, or certificates and key do not fit.
    """
    if not certificates and not url:
        certificates, key = signing.new_authority(organisation)
    _check(certificates, key, revocation_list, signs=bool(key or url))
    try:
        with transaction.atomic():
            row = CertificateAuthority.objects.create(
                country_code=country_code.upper(), party_id=party_id.upper(), organisation=organisation,
                certificates=certificates, url=url, days=days, revocation_list=revocation_list,
                key=secrets.encrypt(key, context=context(country_code, party_id, "key")) if key else "",
                token=secrets.encrypt(token, context=context(country_code, party_id, "token")) if token else "",
            )  # fmt: skip
            audit.record("certificate_authority.create", actor=by, about=str(row), details={"url": url})
    except IntegrityError as error:
        raise NotMade(f"{country_code}*{party_id} has an authority already") from error
    return row


def replace(
    authority_id: int, *, by: str, certificates: str, key: str = "", revocation_list: str = ""
) -> CertificateAuthority:
    """Replace what is believed of a tenant's authority: its certificates, and what it has revoked.

    Connections that stand on a certificate which is no longer good end within a minute (OCPP-06). Without a key the
    one that is here stays, which must be that of the first certificate.

    :raises NotMade: if certificates, key and revocation list do not fit.
    """
    with transaction.atomic():
        row = CertificateAuthority.objects.select_for_update().get(pk=authority_id)
        seal = context(row.country_code, row.party_id, "key")
        known = secrets.decrypt(row.key, context=seal) if row.key else ""
        _check(certificates, key or known, revocation_list, signs=bool(key or known or row.url))
        row.certificates, row.revocation_list = certificates, revocation_list
        if key:
            row.key = secrets.encrypt(key, context=seal)
        row.save(update_fields=["certificates", "revocation_list", "key"])
        audit.record(
            "certificate_authority.replace",
            actor=by,
            about=str(row),
            details={"revocation_list": bool(revocation_list)},
        )
    return row
