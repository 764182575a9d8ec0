"""Ids of exchanges are found by B-trees of their hashes, made while the table is written to (docs/adr/0029)."""

from django.db import migrations

from ocpi import exchange_tables


def forwards(apps, schema_editor):
    exchange_tables.index(schema_editor.connection, exchange_tables.BY_HASH)
    exchange_tables.drop(schema_editor.connection, exchange_tables.HASHED)


def backwards(apps, schema_editor):
    exchange_tables.index(schema_editor.connection, exchange_tables.HASHED)
    exchange_tables.drop(schema_editor.connection, exchange_tables.BY_HASH)


class Migration(migrations.Migration):
    atomic = False  # CREATE INDEX CONCURRENTLY
    dependencies = [("ocpi", "0014_client_certificates")]

    operations = [migrations.RunPython(forwards, backwards)]
