"""What partners do wrong without harm, counted per platform and kind."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("ocpi", "0003_pulls")]

    operations: list[migrations.operations.base.Operation] = []
