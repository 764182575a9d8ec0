"""Credit CDRs."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("cpo", "0004_chargingprofiles")]

    operations: list[migrations.operations.base.Operation] = []
