"""Who signs: the built-in authority of a tenant, or a service of its own that is asked over HTTPS (OCPP-90).

The service gets a POST with `{"csr", "certificate_type", "identity", "country_code", "party_id", "days"}` and
`Authorization: Token …`; it answers 200 or 201 with `{"certificate_chain": PEM}`, its own certificate first. 4xx says
that it will not sign this request; anything else is tried again.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from cpo.models import CertificateAuthority, StationCertificate
from cpo.modules import certificates_signing as signing
from cpo.modules.certificates_signing import NotSigned, Signed
from ocpi import client, clock, json_text, secrets
from ocpi.answers import ClientError, Unsendable
from ocpi.client import Target
from ocpi.status import NotJson

_SECONDS = 20.0
_ANSWER = 64 * 1024  # bytes; a chain has at most 10,000 characters
_LATER = frozenset({408, 425, 429})


class Unavailable(Exception):
    """The service did not answer; it may later."""


def context(authority_country: str, authority_party: str, column: str) -> str:
    """Return the context that secrets of an authority are sealed for."""
    return f"cpo.CertificateAuthority {authority_country.upper()}*{authority_party.upper()} {column}"


def sign(row: StationCertificate) -> Signed:
    """Have a request signed; no transaction may be open.

    :raises NotSigned: if it will not be signed, ever.
    :raises Unavailable: if the service did not answer.
    """
    authority = row.authority
    request = signing.check_csr(row.csr)
    if authority.url:
        return signing.read_chain(_ask(authority, row), request)
    try:
        key = secrets.decrypt(authority.key, context=context(authority.country_code, authority.party_id, "key"))
    except secrets.Unsealable as error:
        raise Unavailable(f"the key of the authority cannot be opened: {error}") from error
    return signing.sign(request, authority=authority.certificates, key=key, days=authority.days, now=clock.now())


def _ask(authority: CertificateAuthority, row: StationCertificate) -> str:
    body = {
        "csr": row.csr,
        "certificate_type": row.kind,
        "identity": row.charge_point.identity,
        "country_code": authority.country_code,
        "party_id": authority.party_id,
        "days": authority.days,
    }
    try:
        answer = client.send(
            _target(authority), "POST", authority.url, body=msgspec.json.encode(body), timeout=_SECONDS
        )
    except Unsendable as error:
        raise NotSigned(f"the service cannot be asked: {error}") from error
    except ClientError as error:
        raise Unavailable(f"the service did not answer: {error}") from error
    if answer.http_status in (200, 201):
        return _chain(answer.body)
    text = f"the service answered {answer.http_status}"
    if 400 <= answer.http_status < 500 and answer.http_status not in _LATER:
        raise NotSigned(text)
    raise Unavailable(text)


def _target(authority: CertificateAuthority) -> Target:
    place = urlsplit(authority.url)
    token = ""
    if authority.token:
        token = secrets.decrypt(authority.token, context=context(authority.country_code, authority.party_id, "token"))
    return Target(
        platform_id=0,
        name=f"the signing service of {authority}",
        token=token,
        base64_token=False,
        hosts=frozenset({(place.hostname or "").lower()}),
    )


def _chain(body: bytes) -> str:
    try:
        found = msgspec.json.decode(json_text.read(body, limit=_ANSWER))
    except NotJson as error:
        raise Unavailable(f"the service answered what is no JSON for us: {error}") from error
    chain = found.get("certificate_chain") if isinstance(found, dict) else None
    if not isinstance(chain, str) or len(chain) > 10_000:
        raise NotSigned("the service answered no certificate_chain of at most 10000 characters")
    return chain
