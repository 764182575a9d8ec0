"""GET All costs the same however many objects the hub keeps (`hub/shared_lists.py`)."""

from django.db import migrations

from ocpi import list_sql

_SCOPE = "CASE WHEN container_id IS NULL AND deleted_at IS NULL THEN module || '/' || platform_id::text END"


class Migration(migrations.Migration):

    dependencies = [("hub", "0001_initial"), ("ocpi", "0005_buckets")]

    operations = [
        migrations.RemoveIndex(model_name="sharedobject", name="shared_object_updated"),
        migrations.RunSQL(
            [
                "ALTER TABLE hub_sharedobject ADD COLUMN moment timestamptz "
                "GENERATED ALWAYS AS (GREATEST(last_updated, received_at)) STORED;",
                *list_sql.listed(
                    "hub_sharedobject", _SCOPE, moment="moment", found_by="module", read=("platform_id",)
                ),
            ],
            [*list_sql.not_listed("hub_sharedobject"), "ALTER TABLE hub_sharedobject DROP COLUMN moment;"],
        ),
    ]
