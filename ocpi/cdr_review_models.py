"""What we think of CDRs, beside the CDRs themselves: reviews, and what is disputed."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now, Upper


class CdrReview(models.Model):
    """One CDR in figures, and what was found about it; the CDR is kept elsewhere, unchanged (PRI-98).

    It is written when the CDR is stored, without a verdict; whoever reviews it adds that. The figures make neighbours
    (same session, Token or Connector) and statements cheap to find.
    """

    class Verdict(models.TextChoices):
        GOOD = "good"
        NOTED = "noted"
        SUSPECT = "suspect"
        WRONG = "wrong"

    class Dispute(models.TextChoices):
        NONE = "", "not disputed"
        OPEN = "OPEN", "open"
        AGREED = "AGREED", "agreed: to be taken back"
        CREDITED = "CREDITED", "taken back by a Credit CDR"
        WITHDRAWN = "WITHDRAWN", "withdrawn"

    country_code = models.CharField(max_length=2, help_text="the CPO that bills")
    party_id = models.CharField(max_length=3)
    cdr_id = models.CharField(max_length=39)
    emsp_country_code = models.CharField(max_length=2, help_text="the eMSP that pays")
    emsp_party_id = models.CharField(max_length=3)
    digest = models.CharField(max_length=64, editable=False, help_text="of the document that was reviewed")
    other_content = models.BooleanField(default=False, db_default=False, help_text="came again, and otherwise")

    session_id = models.CharField(max_length=36, blank=True)
    token_uid = models.CharField(max_length=36)
    token_type = models.CharField(max_length=11)
    location_id = models.CharField(max_length=36)
    evse_uid = models.CharField(max_length=36)
    connector_id = models.CharField(max_length=36)
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()
    energy = models.DecimalField(max_digits=14, decimal_places=4, help_text="kWh")
    currency = models.CharField(max_length=3)
    total_excl_vat = models.DecimalField(max_digits=18, decimal_places=4)
    total_incl_vat = models.DecimalField(max_digits=18, decimal_places=4, null=True)
    credit_reference_id = models.CharField(max_length=39, blank=True, help_text="of a Credit CDR: what it takes back")
    taken_back = models.BooleanField(default=False, db_default=False, help_text="a Credit CDR names it")
    received_at = models.DateTimeField()

    verdict = models.CharField(max_length=7, blank=True, default="", db_default="", choices=Verdict.choices)
    check_result = models.TextField(blank=True, default="", db_default="", help_text="how it was priced")
    signed = models.TextField(blank=True, default="", db_default="", help_text="what the signed meter data proves")
    signed_verdict = models.CharField(max_length=10, blank=True, default="", db_default="")
    computed_excl_vat = models.DecimalField(max_digits=18, decimal_places=4, null=True)
    rates = models.TextField(blank=True, default="", db_default="", help_text="what it claims, per VAT rate")
    reviewed_at = models.DateTimeField(null=True, blank=True)
    # What it refers to may come after it: then it is looked at once more.
    again_at = models.DateTimeField(null=True, blank=True)

    dispute = models.CharField(max_length=9, blank=True, default="", db_default="", choices=Dispute.choices)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "CDR review"
        constraints = [
            models.UniqueConstraint(Upper("country_code"), Upper("party_id"), Upper("cdr_id"), name="cdr_review_once"),
        ]
        indexes = [
            models.Index("id", condition=models.Q(verdict=""), name="cdr_review_waiting"),
            models.Index("again_at", condition=models.Q(again_at__isnull=False), name="cdr_review_again"),
            models.Index(Upper("session_id"), condition=~models.Q(session_id=""), name="cdr_review_session"),
            models.Index(Upper("token_uid"), "start_at", name="cdr_review_token"),
            models.Index(Upper("evse_uid"), "start_at", name="cdr_review_evse"),
            models.Index(
                Upper("credit_reference_id"), condition=~models.Q(credit_reference_id=""), name="cdr_review_credits"
            ),
            models.Index("country_code", "party_id", "emsp_country_code", "emsp_party_id", "end_at",
                         name="cdr_review_parties"),
            models.Index(fields=["verdict", "-id"], name="cdr_review_verdict"),
            models.Index(fields=["-id"], condition=~models.Q(dispute=""), name="cdr_review_disputed"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"CDR {self.cdr_id} of {self.country_code}*{self.party_id}"


class CdrFinding(models.Model):
    """One thing that was found about a CDR at its last review; good CDRs have none."""

    review = models.ForeignKey(CdrReview, on_delete=models.CASCADE, related_name="findings", db_index=False)
    code = models.CharField(max_length=40)
    severity = models.PositiveSmallIntegerField(help_text="1 note, 2 suspect, 3 wrong")
    field = models.CharField(max_length=80, blank=True, help_text="the member of the CDR")
    claimed = models.CharField(max_length=120, blank=True, help_text="what the CDR says")
    expected = models.CharField(max_length=120, blank=True, help_text="what it was held against")

    class Meta:
        verbose_name = "finding"
        indexes = [
            models.Index(fields=["review", "-severity"], name="cdr_finding_of_review"),
            models.Index(fields=["code", "-review"], name="cdr_finding_by_code"),
        ]

    def __str__(self) -> str:
        return self.code


class CdrNote(models.Model):
    """What somebody wrote about a CDR; a change of its dispute is one, too. Never changed (SEC-56)."""

    review = models.ForeignKey(CdrReview, on_delete=models.CASCADE, related_name="notes")
    at = models.DateTimeField(db_default=Now())
    by = models.CharField(max_length=150)
    dispute = models.CharField(max_length=9, blank=True, choices=CdrReview.Dispute.choices, help_text="what it became")
    text = models.CharField(max_length=1000, blank=True)

    class Meta:
        verbose_name = "note"
        indexes = [models.Index("review", "id", name="cdr_note")]

    def __str__(self) -> str:
        return self.text or self.dispute
