"""What models cannot say: notes that wake the gateway and the workers, kept counts, CDRs that nobody can change."""

from django.db import migrations

from cpo import schema_sql
from cpo.gateway_models import GATEWAY_SQL, GATEWAY_SQL_REVERSE


class Migration(migrations.Migration):

    dependencies = [("cpo", "0001_initial")]

    operations = [
        migrations.RunSQL(GATEWAY_SQL, GATEWAY_SQL_REVERSE),
        migrations.RunSQL(schema_sql.COUNTS, schema_sql.COUNTS_REVERSE),
        migrations.RunSQL(schema_sql.CDRS, schema_sql.CDRS_REVERSE),
    ]
