"""The forms behind the buttons of devices: plans, firmware, rollouts, authorities, certificates."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminTextareaWidget

from cpo.models import CertificateAuthority, ChargePoint, FirmwareImage, ProvisioningPlan, Rollout
from cpo.modules import certificates_authorities, device_files, device_jobs, provisioning_plans, rollouts
from cpo.modules import certificates_signing as signing


def show(
    page: Any,
    request: HttpRequest,
    form: forms.BaseForm,
    *,
    title: str,
    back: str,
    note: str = "",
    answer: str = "Send",
) -> HttpResponse:
    """Return the page of a form."""
    context = {
        **page.admin_site.each_context(request),
        "title": title, "note": note, "answer": answer, "opts": page.model._meta, "form": form, "back": back,
    }  # fmt: skip
    return TemplateResponse(request, "admin/send_form.html", context)


def given(request: HttpRequest) -> tuple[Any, Any]:
    """Return what a form was sent with, nothing if it was not."""
    return (request.POST, request.FILES) if request.method == "POST" else (None, None)


def parties() -> list[tuple[str, str]]:
    """Return our own CPO parties, as choices."""
    ours = [text.partition(":")[0] for text in settings.OCPI_PARTIES if text.endswith(":CPO")]
    return [(each, each) for each in ours]


def party_of(text: str) -> tuple[str, str]:
    country_code, _, party_id = text.partition("*")
    return country_code, party_id


class Plan(forms.ModelForm):  # type: ignore[type-arg]
    """A provisioning plan with its settings as lines of text."""

    lines = forms.CharField(
        label="settings", widget=UnfoldAdminTextareaWidget(attrs={"rows": 12, "placeholder": "Heartbeat… = 300"}),
        help_text="One on each line: key = value. OCPP 2.0.1: Component.Variable = value. # begins a remark.",
    )  # fmt: skip

    class Meta:
        model = ProvisioningPlan
        fields = ("name", "country_code", "party_id", "protocol", "vendor", "model", "charge_point", "active")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.instance.pk:
            rows = self.instance.settings.order_by("key")
            self.initial["lines"] = "\n".join(f"{row.key} = {row.value}" for row in rows)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "lines" in cleaned and "protocol" in cleaned:
            try:
                found = provisioning_plans.check_lines(cleaned["lines"].splitlines(), protocol=cleaned["protocol"])
                self.instance.wanted = found
            except ValueError as error:
                self.add_error("lines", str(error))
        return cleaned


class Firmware(forms.Form):
    """A firmware to keep here, or one that lies elsewhere."""

    party = forms.ChoiceField()
    name = forms.CharField(max_length=100)
    version = forms.CharField(max_length=50, help_text="What the charge point reports once it is installed.")
    vendor = forms.CharField(max_length=50, required=False, help_text="Empty: any.")
    model = forms.CharField(max_length=50, required=False, help_text="Empty: any.")
    file = forms.FileField(required=False, help_text="Charge points fetch it by a URL of their own.")
    url = forms.CharField(max_length=512, required=False, label="URL", help_text="Instead, if it lies elsewhere.")
    signature = forms.CharField(max_length=800, required=False, help_text="Base64; the update is a signed one then.")
    signing_certificate = forms.CharField(max_length=5500, required=False, widget=forms.Textarea(attrs={"rows": 4}))

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.fields["party"].choices = parties()  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if bool(cleaned.get("file")) == bool(cleaned.get("url")):
            raise forms.ValidationError("Either a file or a URL.")
        if bool(cleaned.get("signature")) != bool(cleaned.get("signing_certificate")):
            raise forms.ValidationError("A signature needs its certificate, and the other way round.")
        return cleaned

    def keep(self) -> FirmwareImage:
        """Keep it."""
        found = dict(self.cleaned_data)
        country_code, party_id = party_of(found.pop("party"))
        uploaded = found.pop("file")
        file = None
        if uploaded:
            file = device_files.store(uploaded.chunks(), name=uploaded.name or "", limit=device_files.FIRMWARE_BYTES)
        return FirmwareImage.objects.create(country_code=country_code, party_id=party_id, file=file, **found)


class Prepare(forms.Form):
    """A rollout of a firmware."""

    name = forms.CharField(max_length=100)
    identities = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 6}),
        help_text="One on each line; empty: all charge points of the party that report the vendor and model.",
    )  # fmt: skip
    at_once = forms.IntegerField(min_value=1, initial=10, help_text="Charge points updating at the same time.")
    stop_after = forms.IntegerField(min_value=0, initial=3, help_text="Failures; 0: never stop.")

    def __init__(self, image: FirmwareImage, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._image = image

    def clean_identities(self) -> list[ChargePoint]:
        names = [line.strip() for line in self.cleaned_data["identities"].splitlines() if line.strip()]
        found = rollouts.candidates(self._image, names)
        missing = {name.casefold() for name in names} - {point.identity.casefold() for point in found}
        if missing:
            raise forms.ValidationError(f"There is no charge point {sorted(missing)[0]}.")
        return found

    def prepare(self, by: str) -> Rollout | None:
        """Prepare it, or note in the form why not."""
        found = self.cleaned_data
        try:
            return rollouts.prepare(
                found["name"], self._image, found["identities"], at_once=found["at_once"],
                stop_after=found["stop_after"], by=by,
            )  # fmt: skip
        except device_jobs.NotPossible as error:
            self.add_error(None, f"{error}.")
            return None


class Authority(forms.Form):
    """Who signs the certificates of a tenant's charge points."""

    party = forms.ChoiceField()
    organisation = forms.CharField(max_length=64, help_text="O in the certificates of its charge points.")
    days = forms.IntegerField(min_value=1, max_value=3650, initial=365, help_text="That a certificate is valid.")
    certificates = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 5}),
        help_text="PEM, the issuing one first, then what is above it. Empty, and no service: a new root is made here.",
    )  # fmt: skip
    key = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 4}),
        help_text="PEM, of the first certificate; it is kept sealed. Empty if a service signs.",
    )  # fmt: skip
    url = forms.URLField(required=False, assume_scheme="https", label="URL", help_text="Of the service that signs.")
    token = forms.CharField(required=False, widget=forms.PasswordInput, help_text="Shown to the service.")
    revocation_list = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 3}), help_text="PEM, signed by the authority."
    )

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.fields["party"].choices = parties()  # type: ignore[attr-defined]

    def make(self, by: str) -> CertificateAuthority | None:
        """Make it, or note in the form why not."""
        found = dict(self.cleaned_data)
        country_code, party_id = party_of(found.pop("party"))
        try:
            return certificates_authorities.create(country_code, party_id, by=by, **found)
        except certificates_authorities.NotMade as error:
            self.add_error(None, f"{error}.")
            return None


class Replacement(forms.Form):
    """What is believed of an authority from now on."""

    certificates = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text="PEM, the issuing one first. While they change over, leave the former root below the new one.",
    )  # fmt: skip
    key = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 4}), help_text="PEM. Empty: the one that is here stays."
    )
    revocation_list = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 4}), help_text="PEM, signed by the authority."
    )

    def replace(self, authority_id: int, by: str) -> bool:
        """Replace it, or note in the form why not."""
        try:
            certificates_authorities.replace(authority_id, by=by, **self.cleaned_data)
        except certificates_authorities.NotMade as error:
            self.add_error(None, f"{error}.")
            return False
        return True


class Root(forms.Form):
    """A root certificate for a charge point."""

    kind = forms.ChoiceField()
    certificate = forms.CharField(max_length=5500, widget=forms.Textarea(attrs={"rows": 8}), help_text="PEM.")

    def __init__(self, kinds: tuple[str, ...], *arguments: Any) -> None:
        super().__init__(*arguments)
        self.fields["kind"].choices = [(each, each) for each in kinds]  # type: ignore[attr-defined]

    def clean_certificate(self) -> str:
        text: str = self.cleaned_data["certificate"].replace("\r\n", "\n").strip() + "\n"
        try:
            signing.check_authority(text, "")
        except signing.NotSigned as error:
            raise forms.ValidationError(f"{error}.") from error
        return text


class Log(forms.Form):
    """A log to fetch."""

    kind = forms.ChoiceField(
        choices=[("DIAGNOSTICS", "diagnostics"), ("LOG", "diagnostics log (GetLog)"), ("SECURITY_LOG", "security log")]
    )


class Update(forms.Form):
    """A firmware for one charge point."""

    image = forms.ModelChoiceField(queryset=FirmwareImage.objects.none(), label="firmware")

    def __init__(self, charge_point: ChargePoint, *arguments: Any) -> None:
        super().__init__(*arguments)
        images = FirmwareImage.objects.filter(
            country_code__iexact=charge_point.country_code, party_id__iexact=charge_point.party_id
        )
        self.fields["image"].queryset = images.order_by("name", "-pk")  # type: ignore[attr-defined]
