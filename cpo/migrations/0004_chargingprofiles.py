"""Charging profiles and charging preferences of running Sessions."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("cpo", "0003_reservations")]

    operations: list[migrations.operations.base.Operation] = []
