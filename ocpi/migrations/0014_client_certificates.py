"""The client certificates that a platform has to show (SEC-65)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ocpi", "0013_statements")]

    operations = [
        migrations.AddField(
            model_name="tlssettings",
            name="client_sha256",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text="SHA-256 fingerprints of client certificates, one of which it has to show us; empty: none",
            ),
        ),
    ]
