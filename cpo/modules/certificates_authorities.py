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
    try:
        if certificates:
            signing.check_authority(certificates, key)
        if certificates and not key and not url:
            raise NotSigned("key: without a service it is needed")
    except NotSigned as error:
        raise NotMade(str(error)) from error
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
