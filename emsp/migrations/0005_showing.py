"""What is needed to show Locations to drivers."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("emsp", "0004_pulls")]

    operations: list[migrations.operations.base.Operation] = []
