"""What each charge point's local list holds and should hold; lists that are the same are kept once (OCPP-87)."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from cpo.gateway_models import ChargePoint, Operation
from cpo.local_list_states import ListState


class LocalListContents(models.Model):
    """The entries of a list, shared by all charge points that have it: a hundred thousand take a megabyte."""

    digest = models.CharField(max_length=64, unique=True, editable=False)
    count = models.PositiveIntegerField()
    packed = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "cpo"

    def __str__(self) -> str:
        return f"{self.count:,} entries"


class LocalList(models.Model):
    """The list of one charge point: what it can take, what it holds, what it should hold, and what is on its way."""

    charge_point = models.OneToOneField(ChargePoint, models.CASCADE, related_name="local_list")
    state = models.CharField(
        max_length=12, choices=[(each.value, each.value) for each in ListState], default=ListState.NEW,
        db_default=ListState.NEW,
    )  # fmt: skip
    wished = models.BooleanField(default=True, db_default=True, help_text="we keep its list")
    switched_on = models.BooleanField(null=True, blank=True, help_text="as it says: LocalAuthListEnabled")
    capacity = models.PositiveIntegerField(null=True, blank=True, help_text="entries it keeps: LocalAuthListMaxLength")
    per_message = models.PositiveIntegerField(
        null=True, blank=True, help_text="entries in one message: SendLocalListMaxLength, ItemsPerMessage"
    )
    version = models.IntegerField(default=0, db_default=0, help_text="of the list it holds")
    held = models.ForeignKey(
        LocalListContents, models.SET_NULL, null=True, blank=True, related_name="+",
        help_text="what that version is; nothing if it is not ours",
    )  # fmt: skip
    wanted = models.ForeignKey(LocalListContents, models.PROTECT, null=True, blank=True, related_name="+")
    # On its way: the contents, how many changes of it are taken, and how many the message under way has.
    sending = models.ForeignKey(LocalListContents, models.PROTECT, null=True, blank=True, related_name="+")
    sent = models.PositiveIntegerField(default=0, db_default=0)
    under_way = models.PositiveIntegerField(default=0, db_default=0)
    under_way_version = models.IntegerField(default=0, db_default=0)
    operation = models.ForeignKey(Operation, models.SET_NULL, null=True, blank=True, related_name="+")
    failures = models.PositiveSmallIntegerField(default=0, db_default=0)
    error = models.CharField(max_length=200, blank=True, default="", db_default="")
    due_at = models.DateTimeField(db_default=Now(), help_text="not looked at before")
    updated_at = models.DateTimeField(null=True, blank=True, help_text="the last message it took")

    class Meta:
        app_label = "cpo"
        verbose_name = "local list"
        indexes = [
            models.Index(
                "due_at", condition=models.Q(operation=None, wished=True), name="cpo_local_list_due"
            ),
            models.Index("charge_point", condition=models.Q(state="FAILED"), name="cpo_local_list_failed"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"local list of {self.charge_point_id}"


class TokenUse(models.Model):
    """The last day on which a tag was used here: who charges with us is first in lists that are too short for all."""

    id_tag = models.CharField(max_length=36, primary_key=True, help_text="in upper case")
    day = models.DateField()

    class Meta:
        app_label = "cpo"

    def __str__(self) -> str:
        return f"{self.id_tag} {self.day}"
