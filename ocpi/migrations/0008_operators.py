"""What operators look at: the audit trail, whose rows stay as they are, and counts of traffic and of rare events."""

import django.db.models.functions.datetime
from django.db import migrations, models

from ocpi import audit_sql


class Migration(migrations.Migration):
    dependencies = [("ocpi", "0007_exchanges")]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.BigIntegerField(editable=False, null=True, unique=True)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("action", models.CharField(help_text="e.g. platform.suspend", max_length=60)),
                ("actor", models.CharField(help_text="an account, a command, or the system", max_length=150)),
                ("about", models.CharField(blank=True, help_text="what it was done to", max_length=300)),
                ("details", models.TextField(blank=True, help_text="JSON, as it was hashed")),
                ("previous", models.CharField(blank=True, help_text="hash of the entry before", max_length=64)),
                (
                    "hash",
                    models.CharField(blank=True, help_text="SHA-256 of the entry before and this one", max_length=64),
                ),
            ],
            options={
                "verbose_name_plural": "audit trail",
                "indexes": [
                    models.Index(models.F("action"), models.F("id"), name="audit_by_action"),
                    models.Index(models.F("actor"), models.F("id"), name="audit_by_actor"),
                ],
            },
        ),
        migrations.CreateModel(
            name="TrafficCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("platform_id", models.BigIntegerField(help_text="0: a stranger")),
                ("seconds", models.IntegerField(help_text="length of the stretch; 0: all that is older than a day")),
                ("start", models.DateTimeField()),
                ("direction", models.CharField(max_length=3)),
                ("outcome", models.CharField(help_text="2xx, OCPI 2001, NoAnswer …", max_length=20)),
                ("number", models.BigIntegerField()),
                ("milliseconds", models.FloatField(help_text="of all of them together")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("platform_id", "seconds", "start", "direction", "outcome"), name="traffic_count_once"
                    )
                ],
                "indexes": [models.Index(models.F("seconds"), models.F("start"), name="traffic_by_time")],
            },
        ),
        migrations.CreateModel(
            name="Tally",
            fields=[
                ("name", models.CharField(max_length=60, primary_key=True, serialize=False)),
                ("number", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Connection",
            fields=[],
            options={"default_permissions": (), "proxy": True, "indexes": [], "constraints": []},
            bases=("ocpi.platform",),
        ),
        migrations.CreateModel(
            name="Lane",
            fields=[],
            options={"default_permissions": (), "proxy": True, "indexes": [], "constraints": []},
            bases=("ocpi.platform",),
        ),
        migrations.CreateModel(
            name="DeadLetter",
            fields=[],
            options={"default_permissions": (), "proxy": True, "indexes": [], "constraints": []},
            bases=("ocpi.finisheddelivery",),
        ),
        migrations.AddField(
            model_name="platform",
            name="connection_since",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.RunSQL(audit_sql.CONNECTION_SINCE, audit_sql.CONNECTION_SINCE_REVERSE),
        migrations.AddIndex(
            model_name="finisheddelivery",
            index=models.Index(
                models.F("state"),
                models.F("id"),
                condition=models.Q(("state", "DELIVERED"), _negated=True),
                name="finished_undelivered",
            ),
        ),
        migrations.RunSQL(audit_sql.CHAIN, audit_sql.CHAIN_REVERSE),
        migrations.RunSQL(audit_sql.STAYS_WHOLE, migrations.RunSQL.noop),
        migrations.RunSQL(audit_sql.REGISTRY, audit_sql.REGISTRY_REVERSE),
    ]
