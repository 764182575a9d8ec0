"""Pulls: what was fetched from whom, how far, and what came that could not be kept."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("ocpi", "0002_sql")]

    operations: list[migrations.operations.base.Operation] = []
