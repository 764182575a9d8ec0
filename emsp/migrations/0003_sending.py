"""Commands of every kind, charging profiles and charging preferences that we send."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("emsp", "0002_sql")]

    operations: list[migrations.operations.base.Operation] = []
