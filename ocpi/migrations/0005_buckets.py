"""Counts of documents by the time they changed, so that a filtered list knows its total."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("ocpi", "0004_deviations")]

    operations: list[migrations.operations.base.Operation] = []
