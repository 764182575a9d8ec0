"""The list of our Tokens costs the same however long it is."""

from django.db import migrations

from ocpi import counts, list_sql


class Migration(migrations.Migration):

    dependencies = [("emsp", "0005_showing"), ("ocpi", "0005_buckets")]

    operations = [
        migrations.RunSQL(counts.reverse_sql("emsp_token"), migrations.RunSQL.noop),
        migrations.RunSQL(
            list_sql.listed("emsp_token", "UPPER(country_code) || '*' || UPPER(party_id)"),
            list_sql.not_listed("emsp_token"),
        ),
    ]
