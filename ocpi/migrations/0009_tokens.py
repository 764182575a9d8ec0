"""Hosts that wait for an operator, and what the TLS of a platform needs."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from ocpi.registry_sql import NOTIFY_TLS, NOTIFY_TLS_REVERSE


class Migration(migrations.Migration):

    dependencies = [("ocpi", "0008_operators")]

    operations = [
        migrations.CreateModel(
            name="TlsSettings",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("authorities_pem", models.TextField(blank=True, help_text="PEM certificates that its server's is checked with, in place of the system's")),
                ("certificate", models.CharField(blank=True, help_text="file in OCPI_CERTIFICATES with our certificate and its key", max_length=100)),
                ("platform", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name="tls", to="ocpi.platform")),
            ],
            options={
                "verbose_name_plural": "TLS settings",
            },
        ),
        migrations.CreateModel(
            name="RequestedHost",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("host", models.CharField(help_text="host:port, lower case", max_length=260)),
                ("named_in", models.CharField(blank=True, help_text="where it was named last", max_length=200)),
                ("count", models.BigIntegerField(default=1, help_text="how often it was named")),
                ("first_seen_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("last_seen_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("decision", models.CharField(choices=[("WAITING", "Waiting"), ("APPROVED", "Approved"), ("REFUSED", "Refused")], default="WAITING", max_length=8)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("platform", models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="requested_hosts", to="ocpi.platform")),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("platform", "host"), name="requested_host_once")],
            },
        ),
        migrations.AddField(
            model_name="pullcursor",
            name="seconds",
            field=models.FloatField(db_default=0.0, default=0.0, help_text="spent on these pages"),
        ),
        migrations.RunSQL(NOTIFY_TLS, NOTIFY_TLS_REVERSE),
    ]
