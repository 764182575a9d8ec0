"""Every change of whose an id is, is announced, so that each process may remember what it has read (HUB-51)."""

from django.db import migrations

# Some rows at a time: what is announced has at most 8,000 octets, and a row less than 500 even if all is escaped.
_TELL = """
        PERFORM pg_notify('hub_known_objects', '{sign}' || json_agg(json_build_array(kind, key, owner, counterpart))::text)
           FROM (SELECT *, row_number() OVER () / 15 AS part FROM ({rows}) AS r) AS parts GROUP BY part;"""
_COLUMNS = "kind, key, owner, counterpart"


def _tell(sign: str, rows: str, without: str = "") -> str:
    query = f"SELECT {_COLUMNS} FROM {rows}"
    if without:
        query += f" EXCEPT SELECT {_COLUMNS} FROM {without}"
    return _TELL.format(sign=sign, rows=query)


ANNOUNCE = f"""
CREATE FUNCTION hub_known_object_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN {_tell("+", "new_rows")}
    ELSIF TG_OP = 'DELETE' THEN {_tell("-", "old_rows")}
    ELSIF TG_OP = 'UPDATE' THEN {_tell("-", "old_rows", "new_rows")} {_tell("+", "new_rows", "old_rows")}
    ELSE
        PERFORM pg_notify('hub_known_objects', '');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER announce_added AFTER INSERT ON hub_knownobject REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION hub_known_object_changed();
CREATE TRIGGER announce_removed AFTER DELETE ON hub_knownobject REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION hub_known_object_changed();
CREATE TRIGGER announce_changed AFTER UPDATE ON hub_knownobject
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION hub_known_object_changed();
CREATE TRIGGER announce_emptied AFTER TRUNCATE ON hub_knownobject
    FOR EACH STATEMENT EXECUTE FUNCTION hub_known_object_changed();
"""


class Migration(migrations.Migration):
    dependencies = [("hub", "0009_permission_audit")]

    operations = [migrations.RunSQL(ANNOUNCE, "DROP FUNCTION IF EXISTS hub_known_object_changed() CASCADE;")]
