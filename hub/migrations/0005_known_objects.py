"""Lists are counted by owner, so that some owners can be left out of them (SEC-40); owners of ids are remembered."""

import django.db.models.functions.datetime
from django.db import migrations, models

from ocpi import list_sql
from ocpi.counts import BLOCK_BITS

_OWNER = "UPPER(country_code) || '*' || UPPER(party_id)"
_BY_PLATFORM = "platform_id::text"


def _scope(last: str) -> str:
    return (
        "CASE WHEN container_id IS NULL AND deleted_at IS NULL THEN module || CASE WHEN receiver = '' THEN '' "
        f"ELSE '>' || receiver END || '/' || {last} END"
    )


_COLUMNS = "(relation, scope, block, second, amount)"
_SECOND = "floor(extract(epoch FROM {row}.moment))::bigint"
_NOTE = f"""
        INSERT INTO ocpi_objectcount {_COLUMNS}
        SELECT 'hub_sharedobject', {{row}}.module || '<' || receiver || '/' || split_part({{row}}.scope, '/', 2),
               {{row}}.id >> {BLOCK_BITS}, {_SECOND}, {{amount}}
        FROM unnest({{row}}.hidden_from) receiver WHERE {{row}}.scope IS NOT NULL;"""
_OLD, _NEW = (f"({row}.hidden_from, {row}.scope, {_SECOND.format(row=row)})" for row in ("OLD", "NEW"))
# What is broadcast but hidden from a receiver is counted as that receiver's: in "locations<DE*EMS/NL*TNM".
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
_COUNT_HIDDEN = f"""
INSERT INTO ocpi_objectcount {_COLUMNS}
SELECT 'hub_sharedobject', o.module || '<' || h.receiver || '/' || split_part(o.scope, '/', 2),
       o.id >> {BLOCK_BITS}, {_SECOND.format(row="o")}, COUNT(*)
FROM hub_sharedobject o, unnest(o.hidden_from) h(receiver) WHERE o.scope IS NOT NULL GROUP BY 2, 3, 4;
"""
_FORGET = [
    "DROP FUNCTION IF EXISTS hide_hub_sharedobject() CASCADE;",
    *list_sql.not_listed("hub_sharedobject"),
    *(f"DELETE FROM ocpi_object{name} WHERE relation = 'hub_sharedobject';" for name in ("count", "bucket", "block")),
]


def _counted_by(last: str, read: tuple[str, ...]) -> list[str]:
    listed = list_sql.listed(
        "hub_sharedobject", _scope(last), moment="moment", found_by="module, receiver", read=read
    )
    return [*_FORGET, *listed, _HIDDEN, _COUNT_HIDDEN]


# Owners of what the hub keeps already.
_LEARN = f"""
INSERT INTO hub_knownobject (kind, key, owner, counterpart)
SELECT DISTINCT CASE module WHEN 'locations' THEN 'location' ELSE 'token' END,
    CASE module WHEN 'locations' THEN UPPER(path) ELSE UPPER(kind || '/' || path) END, {_OWNER}, ''
FROM hub_sharedobject
WHERE module IN ('locations', 'tokens') AND container_id IS NULL AND deleted_at IS NULL AND length(path) < 40;
"""


class Migration(migrations.Migration):

    dependencies = [("hub", "0004_permissions")]

    operations = [
        migrations.RunSQL(
            _counted_by(_OWNER, ("scope", "split")), _counted_by(_BY_PLATFORM, ("platform_id", "split"))
        ),
        migrations.CreateModel(
            name='KnownObject',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('location', 'Location'), ('token', 'Token'), ('session', 'Session'), ('reservation', 'Reservation'), ('profile', 'Profile')], max_length=11)),
                ('key', models.CharField(help_text='the id in capitals; of a Token its type and uid', max_length=60)),
                ('owner', models.CharField(help_text='e.g. NL*TNM', max_length=6)),
                ('counterpart', models.CharField(blank=True, help_text='the other party it is between', max_length=6)),
                ('seen_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), help_text='to within a day')),
            ],
            options={
                'constraints': [models.UniqueConstraint(models.F('kind'), models.F('key'), models.F('owner'), models.F('counterpart'), name='known_object_once')],
            },
        ),
        migrations.RunSQL(_LEARN, migrations.RunSQL.noop),
    ]
