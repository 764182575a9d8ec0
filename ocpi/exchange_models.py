"""What went over the wire, as it is kept for operators (`ocpi/exchanges.py` gathers it)."""

from __future__ import annotations

from django.db import models


class Exchange(models.Model):
    """One request and its answer as they went over the wire. Partitioned by day; written in batches (COPY)."""

    class Direction(models.TextChoices):
        IN = "IN"
        OUT = "OUT"

    id = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    direction = models.CharField(max_length=3, choices=Direction.choices)
    platform = models.ForeignKey(
        "ocpi.Platform", on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    method = models.CharField(max_length=7)
    url = models.TextField()
    module = models.CharField(max_length=50, blank=True)
    object_path = models.CharField(max_length=300, blank=True)
    request_id = models.CharField(max_length=255, blank=True)
    correlation_id = models.CharField(max_length=255, blank=True)
    from_party = models.CharField(max_length=6, blank=True, help_text="e.g. NL*TNM")
    to_party = models.CharField(max_length=6, blank=True)
    http_status = models.SmallIntegerField(null=True)
    status_code = models.SmallIntegerField(null=True)
    milliseconds = models.FloatField(null=True)
    error = models.TextField(blank=True)
    request_headers = models.TextField(blank=True)
    request_body = models.TextField(blank=True)
    response_headers = models.TextField(blank=True)
    response_body = models.TextField(blank=True)
    owner = models.CharField(max_length=6, blank=True, default="", help_text="of the object it was about")
    object_id = models.CharField(max_length=100, blank=True, default="", help_text="in capitals, to be found by")

    class Meta:
        managed = False
        db_table = "ocpi_exchange"

    def __str__(self) -> str:
        return f"{self.direction} {self.method} {self.url}"
