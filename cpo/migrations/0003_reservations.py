"""Reservations at our EVSEs."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("cpo", "0002_sql")]

    operations: list[migrations.operations.base.Operation] = []
