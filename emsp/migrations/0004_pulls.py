"""What a full pull no longer holds."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("emsp", "0003_sending")]

    operations: list[migrations.operations.base.Operation] = []
