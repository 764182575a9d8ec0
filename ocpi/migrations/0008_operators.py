"""The audit trail: a table whose rows stay as they are, each chained to the one before."""

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
        migrations.RunSQL(audit_sql.CHAIN, audit_sql.CHAIN_REVERSE),
        migrations.RunSQL(audit_sql.STAYS_WHOLE, migrations.RunSQL.noop),
        migrations.RunSQL(audit_sql.REGISTRY, audit_sql.REGISTRY_REVERSE),
    ]
