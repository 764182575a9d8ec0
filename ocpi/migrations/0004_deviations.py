"""What partners do wrong without harm, counted per platform and kind, and what an operator may choose about it."""

import django.db.models.deletion
from django.db import migrations, models

from ocpi.registry_sql import NOTIFY_TOLERANCE, NOTIFY_TOLERANCE_REVERSE


class Migration(migrations.Migration):

    dependencies = [("ocpi", "0003_pulls")]

    operations = [
        migrations.AddField(
            model_name="platform",
            name="authorize_seconds",
            field=models.PositiveSmallIntegerField(
                blank=True,
                help_text="its time for a real-time authorization; empty = OCPI_AUTHORIZE_TIMEOUT",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="platform",
            name="detects_token",
            field=models.BooleanField(
                default=True,
                help_text="on: raw and Base64 tokens are both taken, and what it uses is remembered (QRK-01)",
            ),
        ),
        migrations.AddField(
            model_name="platform",
            name="late_authorization",
            field=models.CharField(
                choices=[
                    ("whitelist", "as the Token's whitelist says"),
                    ("deny", "never"),
                    ("allow", "always, if its Token is valid"),
                ],
                default="whitelist",
                help_text="what a driver gets whose real-time authorization is not answered in time (QRK-10)",
                max_length=9,
            ),
        ),
        migrations.AddField(
            model_name="platform",
            name="longest_address",
            field=models.PositiveSmallIntegerField(
                default=255,
                help_text="its longest Location.address: 45 before the corrections of 2.2.1 (PIT-37)",
            ),
        ),
        migrations.RunSQL(NOTIFY_TOLERANCE, NOTIFY_TOLERANCE_REVERSE),
        migrations.CreateModel(
            name="Deviation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(help_text="begins with the number of its requirement", max_length=100)),
                ("count", models.BigIntegerField()),
                ("first_seen_at", models.DateTimeField()),
                ("last_seen_at", models.DateTimeField()),
                ("example", models.CharField(blank=True, help_text="the last request it came in", max_length=200)),
                (
                    "platform",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deviations",
                        to="ocpi.platform",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("platform", "kind"), name="deviation_once_per_kind")
                ],
            },
        ),
    ]
