"""What exchanges are searched by: the object and its owner, and indexes, made while the table is written to."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

from ocpi import exchange_tables


def forwards(apps, schema_editor):
    exchange_tables.index(schema_editor.connection, exchange_tables.INDEXES)
    exchange_tables.drop(schema_editor.connection, exchange_tables.REPLACED)


def backwards(apps, schema_editor):
    exchange_tables.index(schema_editor.connection, exchange_tables.REPLACED)
    exchange_tables.drop(schema_editor.connection, exchange_tables.INDEXES)


class Migration(migrations.Migration):
    atomic = False  # CREATE INDEX CONCURRENTLY
    dependencies = [("ocpi", "0006_delivery")]

    operations = [
        migrations.RunSQL(exchange_tables.COLUMNS, exchange_tables.COLUMNS_REVERSE),
        migrations.RunPython(forwards, backwards),
        AddIndexConcurrently(
            model_name="finisheddelivery", index=models.Index(models.F("correlation_id"), name="finished_by_message")
        ),
    ]
