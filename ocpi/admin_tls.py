"""The form behind "TLS": a platform's own authorities, and a certificate of ours that lies in a file."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from django import forms
from django.conf import settings

from ocpi import client_certificate, connection, host_actions, targets
from ocpi.models import Platform, TlsSettings

_LARGEST = 100_000


class TlsForm(forms.Form):
    """Nothing here switches the check off; it only changes whom it trusts."""

    authorities_pem = forms.CharField(
        required=False,
        max_length=_LARGEST,
        label="Its certificate authorities",
        widget=forms.Textarea(attrs={"rows": 8, "placeholder": "-----BEGIN CERTIFICATE-----", "spellcheck": "false"}),
        help_text="PEM. Its server is checked with these, and no others; empty: with the system's.",
    )
    certificate = forms.ChoiceField(
        required=False,
        label="Our certificate",
        help_text="A .pem file in the folder OCPI_CERTIFICATES with our certificate and its key; keys are never "
        "kept in the database.",
    )

    client_sha256 = forms.CharField(
        required=False,
        max_length=_LARGEST,
        label="Certificates it shows us",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="SHA-256 fingerprints, or the certificates as PEM. It is let in with its token only if the front "
        "server says that it has shown one of them; empty: it needs none.",
    )

    def __init__(self, platform: Platform, data: Any = None) -> None:
        self.platform = platform
        now = TlsSettings.objects.filter(platform=platform).first() or TlsSettings()
        names = ("authorities_pem", "certificate", "client_sha256")
        initial = {name: getattr(now, name) for name in names}
        super().__init__(data, initial=initial)
        files = sorted({*certificates(), *([now.certificate] if now.certificate else [])})
        self.fields["certificate"].choices = [("", "none"), *((name, name) for name in files)]  # type: ignore[attr-defined]

    def clean_authorities_pem(self) -> str:
        text = str(self.cleaned_data["authorities_pem"]).strip()
        if "PRIVATE KEY" in text:
            raise forms.ValidationError("There is a private key in this: paste certificates only.")
        if text:
            try:
                ssl.create_default_context(cadata=text)
            except (ssl.SSLError, ValueError) as error:
                raise forms.ValidationError("These are no PEM certificates.") from error
        return text

    def clean_certificate(self) -> str:
        name = str(self.cleaned_data["certificate"])
        try:
            connection.tls_context("", targets.certificate_file(name))
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise forms.ValidationError("This file has no certificate with its key, or cannot be read.") from error
        return name

    def clean_client_sha256(self) -> str:
        try:
            found = client_certificate.fingerprints(str(self.cleaned_data["client_sha256"]))
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        if found and not settings.OCPI_TRUSTED_PROXIES:
            raise forms.ValidationError("Nobody could show any: OCPI_TRUSTED_PROXIES names no front server.")
        return "\n".join(found)

    def set(self, actor: str) -> None:
        """Set it as the form says."""
        host_actions.set_tls(self.platform.pk, **self.cleaned_data, actor=actor)


def certificates() -> list[str]:
    """Return the names of our certificate files."""
    try:
        return sorted(file.name for file in Path(settings.OCPI_CERTIFICATES).iterdir() if file.suffix == ".pem")
    except OSError:
        return []


def shown(platform: Platform) -> str:
    """Return in words what is set for a platform."""
    row = TlsSettings.objects.filter(platform=platform).first()
    if row is None:
        return "checked with the system's authorities"
    number = row.authorities_pem.count("BEGIN CERTIFICATE")
    checked = f"{number} of its own" if number else "the system's"
    ours = f"; our certificate is {row.certificate}" if row.certificate else ""
    theirs = "; it has to show a certificate" if row.client_sha256 else ""
    return f"checked with {checked} authorities{ours}{theirs}"
