"""Statements: what one party owes another for a period, frozen when it is issued; and the terms they are made by."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now, Upper

from ocpi.cdr_review_models import CdrReview


class StatementTerms(models.Model):
    """How statements between parties are made; empty parties mean any, the most exact row counts."""

    class Payer(models.TextChoices):
        CPO = "CPO", "the CPO"
        EMSP = "EMSP", "the eMSP"

    country_code = models.CharField("CPO: country", max_length=2, blank=True, help_text="empty = any CPO")
    party_id = models.CharField("CPO: party", max_length=3, blank=True)
    emsp_country_code = models.CharField("eMSP: country", max_length=2, blank=True, help_text="empty = any eMSP")
    emsp_party_id = models.CharField("eMSP: party", max_length=3, blank=True)
    monthly = models.BooleanField(default=True, help_text="issued by itself on the first day of the next month (UTC)")
    include_disputed = models.BooleanField(default=False, help_text="bill what is disputed all the same")
    fee_per_cdr = models.DecimalField(max_digits=12, decimal_places=4, default=0, help_text="of the hub operator")
    fee_per_kwh = models.DecimalField(max_digits=12, decimal_places=6, default=0, help_text="of the hub operator")
    fee_vat = models.DecimalField("VAT of the fee, %", max_digits=5, decimal_places=2, default=0)
    fee_currency = models.CharField(max_length=3, blank=True, help_text="empty = that of the statement")
    fee_payer = models.CharField(max_length=4, choices=Payer.choices, default=Payer.CPO)
    note = models.CharField(max_length=300, blank=True, help_text="printed on each statement")

    class Meta:
        verbose_name_plural = "statement terms"
        constraints = [
            models.UniqueConstraint(
                Upper("country_code"), Upper("party_id"), Upper("emsp_country_code"), Upper("emsp_party_id"),
                name="statement_terms_once",
            ),
            models.CheckConstraint(
                condition=models.Q(fee_per_cdr__gte=0, fee_per_kwh__gte=0, fee_vat__gte=0),
                name="statement_fees_positive",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.country_code or '**'}*{self.party_id} → {self.emsp_country_code or '**'}*{self.emsp_party_id}"


class Statement(models.Model):
    """What an eMSP owes a CPO; never changed once it is here."""

    number = models.CharField(max_length=20, unique=True)
    country_code = models.CharField(max_length=2, help_text="the CPO that is owed")
    party_id = models.CharField(max_length=3)
    emsp_country_code = models.CharField(max_length=2, help_text="the eMSP that owes")
    emsp_party_id = models.CharField(max_length=3)
    since = models.DateTimeField(help_text="begin of the period; what came late for an earlier one is in it, too")
    until = models.DateTimeField(help_text="end of the period, not part of it")
    currency = models.CharField(max_length=3)
    cdrs = models.PositiveIntegerField(help_text="CDRs, without credits")
    credits = models.PositiveIntegerField(help_text="Credit CDRs")
    left_out = models.PositiveIntegerField(help_text="disputed CDRs that are not in it")
    left_out_excl_vat = models.DecimalField(max_digits=20, decimal_places=4)
    disputed_in = models.BooleanField(help_text="disputed CDRs are in it, too")
    energy = models.DecimalField(max_digits=20, decimal_places=4, help_text="kWh, credits taken off")
    excl_vat = models.DecimalField(max_digits=20, decimal_places=4)
    vat = models.DecimalField(max_digits=20, decimal_places=4)
    incl_vat = models.DecimalField(max_digits=20, decimal_places=4)
    figures = models.TextField(help_text="JSON: sums per VAT rate, and the fee")
    note = models.CharField(max_length=300, blank=True)
    digest = models.CharField(max_length=64, help_text="SHA-256 of its items and figures")
    issued_at = models.DateTimeField(db_default=Now())
    issued_by = models.CharField(max_length=150)

    class Meta:
        indexes = [
            models.Index(fields=["-id"], name="statement_newest"),
            models.Index(fields=["country_code", "party_id", "emsp_country_code", "emsp_party_id", "-until"],
                         name="statement_parties"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"statement {self.number}"

    @property
    def creditor(self) -> str:
        return f"{self.country_code}*{self.party_id}"

    @property
    def debtor(self) -> str:
        return f"{self.emsp_country_code}*{self.emsp_party_id}"


class StatementItem(models.Model):
    """One CDR of a statement, in the figures that were added up. A CDR is in one statement at most."""

    statement = models.ForeignKey(Statement, on_delete=models.PROTECT, related_name="items", db_index=False)
    review = models.OneToOneField(CdrReview, on_delete=models.PROTECT, related_name="billed")
    position = models.PositiveIntegerField()
    excl_vat = models.DecimalField(max_digits=18, decimal_places=4)
    vat = models.DecimalField(max_digits=18, decimal_places=4)
    energy = models.DecimalField(max_digits=14, decimal_places=4, help_text="kWh; of a credit negative")
    rates = models.TextField(help_text="JSON: [[rate in % or null, excl. VAT, VAT], …]")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["statement", "position"], name="statement_item_position"),
        ]

    def __str__(self) -> str:
        return f"{self.statement_id}/{self.position}"


STATEMENT_SQL = """
CREATE FUNCTION ocpi_statement_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a statement is never changed or deleted' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER ocpi_statement_stays BEFORE UPDATE OR DELETE ON ocpi_statement
    FOR EACH ROW EXECUTE FUNCTION ocpi_statement_stays();
CREATE TRIGGER ocpi_statement_items_stay BEFORE UPDATE OR DELETE ON ocpi_statementitem
    FOR EACH ROW EXECUTE FUNCTION ocpi_statement_stays();
"""
STATEMENT_SQL_REVERSE = "DROP FUNCTION ocpi_statement_stays() CASCADE;"
