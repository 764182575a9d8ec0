"""What is remembered of pulls: how far each one is, which objects a full one has seen, and what could not be kept."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class PullCursor(models.Model):
    """One list that we read from a platform: a module, whom the request is for, and whom it is from (REL-37).

    Only who holds `claim` reads on; each page is committed together with the place of the next one.
    """

    class Kind(models.TextChoices):
        FULL = "FULL", "everything; what it does not hold is no longer valid (TRN-106)"
        DELTA = "DELTA", "what changed since the last complete one, and five minutes more (PIT-59)"
        RECOVERY = "RECOVERY", "what changed since an outage began (TRN-121)"
        SINCE = "SINCE", "what changed since a moment an operator named"

    class Result(models.TextChoices):
        NONE = "", "not yet"
        DONE = "DONE", "every page came"
        FAILED = "FAILED", "it is tried again, from the page it failed at"
        WAITING = "WAITING", "the platform asked us to slow down (HTTP 429)"

    platform = models.ForeignKey("ocpi.Platform", on_delete=models.CASCADE, related_name="pulls")
    module = models.CharField(max_length=50)
    to_country_code = models.CharField(max_length=2, blank=True)
    to_party_id = models.CharField(max_length=3, blank=True)
    from_country_code = models.CharField(max_length=2, blank=True)
    from_party_id = models.CharField(max_length=3, blank=True)

    due_at = models.DateTimeField(db_default=Now())
    full_due_at = models.DateTimeField(null=True, blank=True, help_text="of the nightly comparison")
    full_wanted = models.BooleanField(default=False, db_default=False, help_text="the next one is a full one")
    date_from = models.DateTimeField(null=True, blank=True, help_text="of the next delta; empty = nothing complete yet")
    recover_from = models.DateTimeField(null=True, blank=True, help_text="start of an outage, less five minutes")

    # The pull under way, or the last one.
    kind = models.CharField(max_length=8, blank=True, choices=Kind.choices)
    started_at = models.DateTimeField(null=True, blank=True)
    crawl_from = models.DateTimeField(null=True, blank=True, help_text="its date_from")
    page_url = models.TextField(blank=True, help_text="the next page of an unfinished pull")
    former_url = models.TextField(blank=True, editable=False)
    landmark_url = models.TextField(
        blank=True, default="", db_default="", editable=False, help_text="a page that no later one may lead back to"
    )
    total = models.PositiveBigIntegerField(null=True, blank=True, help_text="X-Total-Count of the last page")
    repeats = models.PositiveIntegerField(default=0, db_default=0, help_text="pages read again as the total fell")
    pages = models.PositiveIntegerField(default=0, db_default=0)
    seconds = models.FloatField(default=0.0, db_default=0.0, help_text="spent on these pages")
    read = models.PositiveIntegerField(default=0, db_default=0)
    created = models.PositiveIntegerField(default=0, db_default=0)
    updated = models.PositiveIntegerField(default=0, db_default=0)
    unchanged = models.PositiveIntegerField(default=0, db_default=0, help_text="known already, or older than ours")
    refused = models.PositiveIntegerField(default=0, db_default=0, help_text="invalid, kept for inspection")
    ignored = models.PositiveIntegerField(default=0, db_default=0, help_text="of somebody it may not speak for")
    removed = models.PositiveIntegerField(default=0, db_default=0, help_text="no longer in its list")
    differences = models.PositiveIntegerField(
        default=0, db_default=0, help_text="repaired: we should have had them already"
    )

    result = models.CharField(max_length=8, blank=True, choices=Result.choices)
    error = models.CharField(max_length=500, blank=True)
    failures = models.PositiveIntegerField(default=0, db_default=0, help_text="in a row")
    finished_at = models.DateTimeField(null=True, blank=True)
    succeeded_at = models.DateTimeField(null=True, blank=True)
    claim = models.UUIDField(null=True, blank=True, editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "pull"
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "platform", "module", "to_country_code", "to_party_id", "from_country_code", "from_party_id",
                ],
                name="one_pull_cursor_per_list",
            ),
            models.CheckConstraint(
                condition=models.Q(claim=None, claimed_until=None)
                | models.Q(claim__isnull=False, claimed_until__isnull=False),
                name="pull_claim_has_an_end",
            ),
        ]  # fmt: skip
        indexes = [models.Index("due_at", name="pull_cursor_due")]

    def __str__(self) -> str:
        to = f" of {self.to_country_code}*{self.to_party_id}" if self.to_party_id else ""
        return f"{self.module}{to}"


class PullSeen(models.Model):
    """An object that the full pull under way has seen; forgotten when it ends."""

    cursor = models.ForeignKey(PullCursor, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=120)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cursor", "key"], name="pull_seen_once")]

    def __str__(self) -> str:
        return self.key


class PulledInvalid(models.Model):
    """An object of a list that could not be kept, for inspection (TRN-105); a valid version of it takes its place."""

    platform = models.ForeignKey("ocpi.Platform", on_delete=models.CASCADE, related_name="+")
    module = models.CharField(max_length=50)
    key = models.CharField(max_length=120, help_text="owner and id, as far as it names them")
    field = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=1000)
    document = models.TextField(help_text="as it came")
    request_id = models.CharField(max_length=255)
    times = models.PositiveIntegerField(default=1, db_default=1, help_text="how often it came")
    first_at = models.DateTimeField(db_default=Now())
    last_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "invalid pulled object"
        constraints = [models.UniqueConstraint(fields=["platform", "module", "key"], name="pulled_invalid_once")]
        indexes = [models.Index("last_at", name="pulled_invalid_age")]

    def __str__(self) -> str:
        return f"{self.module} {self.key}"
