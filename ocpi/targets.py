"""What the client needs to call a platform: its token, opened, its hosts, and what TLS is checked with and shown."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from django.conf import settings

from ocpi import client, secrets
from ocpi.models import Platform, TlsSettings


def token_context(platform_id: int) -> str:
    """Return what a sealed token is bound to (SEC-04)."""
    return f"platform:{platform_id}:token_out"


def certificate_file(name: str) -> str:
    """Return where the certificate of ours with this name lies, or "" for none."""
    return str(Path(settings.OCPI_CERTIFICATES) / name) if name else ""


def under_way(platform: Platform, token: str, *hosts: str) -> client.Target:
    """Return the target of a platform whose registration is under way: another token, one more host."""
    tls = TlsSettings.objects.filter(platform=platform).first() or TlsSettings()
    return client.Target(
        platform_id=platform.pk,
        name=platform.name,
        token=token,
        base64_token=platform.base64_token,
        hosts=frozenset({*platform.hosts, *hosts}),
        authorities_pem=tls.authorities_pem,
        certificate_file=certificate_file(tls.certificate),
    )


@lru_cache(maxsize=2048)
def opened(
    platform_id: int,
    name: str,
    sealed: str,
    base64_token: bool,
    hosts: frozenset[str],
    authorities_pem: str,
    certificate_file: str,
) -> client.Target:
    """Return the target of a platform as the registry knows it; its token is opened once."""
    return client.Target(
        platform_id=platform_id,
        name=name,
        token=secrets.decrypt(sealed, context=token_context(platform_id)) if sealed else "",
        base64_token=base64_token,
        hosts=hosts,
        authorities_pem=authorities_pem,
        certificate_file=certificate_file,
    )
