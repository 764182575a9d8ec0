"""What one party was sent alone stands beside what was broadcast (`hub/direct_versions.py`, PIT-84)."""

import django.db.models.functions.text
from django.db import migrations, models

from ocpi import list_sql
from ocpi.counts import BLOCK_BITS

_LISTED = "CASE WHEN container_id IS NULL AND deleted_at IS NULL THEN module || '/' || platform_id::text END"
_SCOPE = (
    "CASE WHEN container_id IS NULL AND deleted_at IS NULL THEN module || CASE WHEN receiver = '' THEN '' "
    "ELSE '>' || receiver END || '/' || platform_id::text END"
)
_FORGET = " ".join(
    f"DELETE FROM ocpi_object{name} WHERE relation = 'hub_sharedobject';" for name in ("count", "bucket", "block")
)
_COLUMNS = "(relation, scope, block, second, amount)"
_SECOND = "floor(extract(epoch FROM {row}.moment))::bigint"
_NOTE = f"""
        INSERT INTO ocpi_objectcount {_COLUMNS}
        SELECT 'hub_sharedobject', {{row}}.module || '<' || receiver || '/' || {{row}}.platform_id::text,
               {{row}}.id >> {BLOCK_BITS}, {_SECOND}, {{amount}}
        FROM unnest({{row}}.hidden_from) receiver WHERE {{row}}.scope IS NOT NULL;"""
_OLD, _NEW = (f"({row}.hidden_from, {row}.scope, {_SECOND.format(row=row)})" for row in ("OLD", "NEW"))
# What is broadcast but hidden from a receiver is counted as that receiver's: in "locations<DE*EMS/7".
_HIDDEN = f"""
CREATE FUNCTION hide_hub_sharedobject() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN {_NOTE.format(row="OLD", amount="-1")}
    END IF;
    IF TG_OP <> 'DELETE' THEN {_NOTE.format(row="NEW", amount="1")}
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER hidden_added AFTER INSERT ON hub_sharedobject FOR EACH ROW WHEN (NEW.split)
    EXECUTE FUNCTION hide_hub_sharedobject();
CREATE TRIGGER hidden_removed AFTER DELETE ON hub_sharedobject FOR EACH ROW WHEN (OLD.split)
    EXECUTE FUNCTION hide_hub_sharedobject();
CREATE TRIGGER hidden_moved AFTER UPDATE ON hub_sharedobject FOR EACH ROW
    WHEN ((OLD.split OR NEW.split) AND {_OLD} IS DISTINCT FROM {_NEW})
    EXECUTE FUNCTION hide_hub_sharedobject();
"""
_COLUMNS_OF_HIDDEN = (
    "ALTER TABLE hub_sharedobject ADD COLUMN hidden_from text[] NOT NULL DEFAULT '{}', "
    "ADD COLUMN split boolean NOT NULL GENERATED ALWAYS AS (hidden_from <> '{}') STORED, "
    "ADD CONSTRAINT shared_object_hidden_is_broadcast "
    "CHECK (hidden_from = '{}' OR (receiver = '' AND container_id IS NULL));"
)


def _upper(name: str) -> django.db.models.functions.text.Upper:
    return django.db.models.functions.text.Upper(name)


class Migration(migrations.Migration):

    dependencies = [("hub", "0002_counts")]

    operations = [
        migrations.RunSQL(
            [*list_sql.not_listed("hub_sharedobject"), _FORGET],
            list_sql.listed("hub_sharedobject", _LISTED, moment="moment", found_by="module", read=("platform_id",)),
        ),
        migrations.AddField(
            model_name="sharedobject",
            name="receiver",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="whose version it is, such as DE*EMS; empty = it was broadcast",
                max_length=6,
            ),
        ),
        migrations.RemoveConstraint(model_name="sharedobject", name="shared_object_identity"),
        migrations.AddConstraint(
            model_name="sharedobject",
            constraint=models.UniqueConstraint(
                models.F("module"), _upper("country_code"), _upper("party_id"), _upper("path"), models.F("kind"),
                models.F("receiver"), name="shared_object_identity",
            ),
        ),
        migrations.AddConstraint(
            model_name="sharedobject",
            constraint=models.CheckConstraint(
                condition=models.Q(("receiver", _upper("receiver"))), name="shared_object_receiver_in_capitals"
            ),
        ),
        migrations.RunSQL(
            [
                _COLUMNS_OF_HIDDEN,
                *list_sql.listed(
                    "hub_sharedobject", _SCOPE, moment="moment", found_by="module, receiver",
                    read=("platform_id", "split"),
                ),
                _HIDDEN,
            ],
            [
                "DROP FUNCTION hide_hub_sharedobject() CASCADE;",
                # Nobody but its receiver may be shown a version once there is no telling them apart.
                "DELETE FROM hub_sharedobject WHERE receiver <> '';",
                *list_sql.not_listed("hub_sharedobject"),
                _FORGET,
                "ALTER TABLE hub_sharedobject DROP COLUMN split, DROP COLUMN hidden_from;",
            ],
        ),
    ]
