"""What the hub says of its clients: one row per party and role, what each platform was told, and how it changed."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now, Upper

from ocpi.models import ConnectionStatus, Platform


class ClientInfo(models.Model):
    """What is published of one party in one role; never deleted (OCPI 2.2.1, HubClientInfo; HCI-09, HCI-12)."""

    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    role = models.CharField(max_length=5)
    status = models.CharField(max_length=10, choices=ConnectionStatus.choices)
    # The moment of the last change of status, and of nothing else (HCI-13).
    last_updated = models.DateTimeField()
    # Through which platform it is reached, or was.
    platform = models.ForeignKey(Platform, on_delete=models.SET_NULL, null=True, related_name="+")
    through_hub = models.BooleanField(default=False, help_text="known by the ClientInfo of that platform, a hub")
    was_connected = models.BooleanField(default=False, help_text="off: it was never more than PLANNED")
    waiting = models.CharField(
        max_length=10, blank=True, help_text="the status it has by now, published when its minute is over (HCI-23)"
    )

    class Meta:
        verbose_name = "client info"
        constraints = [
            models.UniqueConstraint(Upper("country_code"), Upper("party_id"), "role", name="client_info_once"),
        ]

    def __str__(self) -> str:
        return f"{self.country_code}*{self.party_id}:{self.role}"


class ToldClientInfo(models.Model):
    """A ClientInfo as one platform sees it: its list, and the document that is pushed to it (HCI-11, HCI-15)."""

    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="+", help_text="who is told")
    info = models.ForeignKey(ClientInfo, on_delete=models.CASCADE, related_name="told", db_index=False)
    hidden = models.BooleanField(default=False, help_text="not its business any more: in none of its lists")
    status = models.CharField(max_length=10, choices=ConnectionStatus.choices)
    last_updated = models.DateTimeField()
    document = models.TextField()
    pushed = models.BooleanField(default=False, help_text="a delivery of this was written; off: it takes no pushes")

    class Meta:
        verbose_name = "told client info"
        constraints = [models.UniqueConstraint(fields=["info", "platform"], name="client_info_told_once")]

    def __str__(self) -> str:
        return f"{self.info} to {self.platform}"


class ClientInfoChange(models.Model):
    """A status that was published, and why."""

    info = models.ForeignKey(ClientInfo, on_delete=models.CASCADE, related_name="changes")
    status = models.CharField(max_length=10, choices=ConnectionStatus.choices)
    at = models.DateTimeField(db_default=Now(), db_index=True)
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = "client info change"

    def __str__(self) -> str:
        return f"{self.info} {self.status}"
