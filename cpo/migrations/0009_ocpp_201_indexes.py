"""By what a transaction of OCPP 2.0.1 is found."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [("cpo", "0008_ocpp_201")]

    operations = [
        AddIndexConcurrently(
            model_name="transaction",
            index=models.Index(
                models.F("gap_since"),
                condition=models.Q(("gap_since__isnull", False)),
                name="cpo_transaction_gap",
            ),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "CREATE UNIQUE INDEX CONCURRENTLY cpo_transaction_ocpp_id"
                    " ON cpo_transaction (charge_point_id, ocpp_id) WHERE NOT (ocpp_id = '')",
                    "DROP INDEX CONCURRENTLY cpo_transaction_ocpp_id",
                ),
            ],
            state_operations=[
                migrations.AddConstraint(
                    model_name="transaction",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("ocpp_id", ""), _negated=True),
                        fields=("charge_point", "ocpp_id"),
                        name="cpo_transaction_ocpp_id",
                    ),
                ),
            ],
        ),
    ]
