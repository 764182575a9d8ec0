"""Charging profiles and charging preferences of running Sessions."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("cpo", "0003_reservations")]

    operations = [
        migrations.AddField(
            model_name="transaction",
            name="tariff_changes",
            field=models.JSONField(blank=True, db_default=[], default=list),
        ),
        migrations.CreateModel(
            name="ActiveChargingProfile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("country_code", models.CharField(max_length=2)),
                ("party_id", models.CharField(max_length=3)),
                ("unit", models.CharField(help_text="of the last profile that was put", max_length=1)),
                (
                    "document",
                    models.TextField(help_text="all that is known; as sent it begins now and ends in time (CHP-23)"),
                ),
                ("changed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "platform",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="ocpi.platform"
                    ),
                ),
                (
                    "session",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="active_profile", to="cpo.session"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ChargePointProfile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("connector_id", models.PositiveIntegerField(help_text="0: all of them")),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("ChargePointMaxProfile", "ChargePointMaxProfile"),
                            ("TxDefaultProfile", "TxDefaultProfile"),
                            ("TxProfile", "TxProfile"),
                        ],
                        max_length=21,
                    ),
                ),
                ("stack_level", models.PositiveIntegerField()),
                (
                    "origin",
                    models.CharField(
                        choices=[("PARTNER", "Partner"), ("PREFERENCES", "Preferences"), ("OPERATOR", "Operator")],
                        max_length=11,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("ASKED", "ASKED"),
                            ("INSTALLED", "INSTALLED"),
                            ("CLEARING", "CLEARING"),
                            ("DOUBTFUL", "DOUBTFUL"),
                            ("REJECTED", "REJECTED"),
                            ("REPLACED", "REPLACED"),
                            ("REMOVED", "REMOVED"),
                        ],
                        max_length=9,
                    ),
                ),
                ("unit", models.CharField(max_length=1)),
                ("schedule", models.JSONField(help_text="as it was sent: start, duration, least, periods")),
                ("asked_by", models.CharField(max_length=128)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("changed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "charge_point",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="charging_profiles",
                        to="cpo.chargepoint",
                    ),
                ),
                (
                    "operation",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="cpo.operation"
                    ),
                ),
                (
                    "transaction",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="charging_profiles",
                        to="cpo.transaction",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ChargingPreferences",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("profile_type", models.CharField(max_length=7)),
                ("departure_time", models.DateTimeField(blank=True, null=True)),
                (
                    "energy_need",
                    models.DecimalField(blank=True, decimal_places=4, help_text="kWh", max_digits=12, null=True),
                ),
                ("discharge_allowed", models.BooleanField(db_default=False, default=False)),
                (
                    "document",
                    models.TextField(blank=True, help_text="as it came; empty: the default_profile_type of the Token"),
                ),
                ("accepted_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "session",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="preferences", to="cpo.session"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "charging preferences",
            },
        ),
        migrations.CreateModel(
            name="ChargingProfileRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "method",
                    models.CharField(choices=[("PUT", "PUT"), ("GET", "GET"), ("DELETE", "DELETE")], max_length=6),
                ),
                ("response_url", models.CharField(max_length=255)),
                ("digest", models.CharField(editable=False, help_text="of what was asked", max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[("REFUSED", "REFUSED"), ("IN_PROGRESS", "IN_PROGRESS"), ("DONE", "DONE")],
                        max_length=11,
                    ),
                ),
                ("country_code", models.CharField(help_text="who asks", max_length=2)),
                ("party_id", models.CharField(max_length=3)),
                ("cpo_country_code", models.CharField(max_length=2)),
                ("cpo_party_id", models.CharField(max_length=3)),
                ("asked_session", models.CharField(help_text="id of the session, as it was asked for", max_length=255)),
                ("request", models.TextField(blank=True)),
                ("response", models.TextField(help_text="the ChargingProfileResponse we gave")),
                ("result", models.CharField(blank=True, help_text="ChargingProfileResultType", max_length=8)),
                ("correlation_id", models.CharField(max_length=255)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("deadline_at", models.DateTimeField()),
                ("give_up_at", models.DateTimeField()),
                ("result_at", models.DateTimeField(blank=True, null=True)),
                (
                    "operation",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="cpo.operation"
                    ),
                ),
                (
                    "platform",
                    models.ForeignKey(
                        help_text="who called us",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="ocpi.platform",
                    ),
                ),
                (
                    "profile",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="cpo.chargepointprofile",
                    ),
                ),
                (
                    "session",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="charging_profile_requests",
                        to="cpo.session",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="SmartCharging",
            fields=[
                (
                    "charge_point",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="smart_charging",
                        serialize=False,
                        to="cpo.chargepoint",
                    ),
                ),
                ("rate_units", models.CharField(blank=True, db_default="", default="", max_length=3)),
                (
                    "max_periods",
                    models.PositiveIntegerField(blank=True, help_text="ChargingScheduleMaxPeriods", null=True),
                ),
                (
                    "max_stack_level",
                    models.PositiveIntegerField(blank=True, help_text="ChargeProfileMaxStackLevel", null=True),
                ),
                (
                    "supported",
                    models.BooleanField(
                        db_default=True, default=True, help_text="SmartCharging in SupportedFeatureProfiles"
                    ),
                ),
                ("read_at", models.DateTimeField(blank=True, null=True)),
                (
                    "operation",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="cpo.operation"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "smart charging",
            },
        ),
        migrations.AddIndex(
            model_name="chargepointprofile",
            index=models.Index(
                models.F("charge_point"),
                condition=models.Q(("state__in", ("ASKED", "INSTALLED", "CLEARING", "DOUBTFUL"))),
                name="cpo_profile_there",
            ),
        ),
        migrations.AddIndex(
            model_name="chargepointprofile",
            index=models.Index(fields=["-created_at"], name="cpo_profile_newest"),
        ),
        migrations.AddConstraint(
            model_name="chargepointprofile",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("connector_id__gt", 0), ("purpose", "TxProfile"), ("transaction__isnull", False)),
                    models.Q(models.Q(("purpose", "TxProfile"), _negated=True), ("transaction", None)),
                    _connector="OR",
                ),
                name="cpo_profile_transaction",
            ),
        ),
        migrations.AddConstraint(
            model_name="chargepointprofile",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ("INSTALLED", "CLEARING"))),
                fields=("charge_point", "connector_id", "purpose", "stack_level"),
                name="cpo_profile_once_per_level",
            ),
        ),
        migrations.AddIndex(
            model_name="chargingprofilerequest",
            index=models.Index(
                models.F("give_up_at"), condition=models.Q(("state", "IN_PROGRESS")), name="cpo_profile_request_open"
            ),
        ),
        migrations.AddIndex(
            model_name="chargingprofilerequest",
            index=models.Index(fields=["session", "-created_at"], name="cpo_profile_request_session"),
        ),
        migrations.AddIndex(
            model_name="chargingprofilerequest",
            index=models.Index(fields=["-created_at"], name="cpo_profile_request_newest"),
        ),
        migrations.AddConstraint(
            model_name="smartcharging",
            constraint=models.CheckConstraint(
                condition=models.Q(("rate_units__in", ("", "A", "W", "A,W"))), name="cpo_smart_charging_units"
            ),
        ),
    ]
