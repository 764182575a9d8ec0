"""The alarms about devices: critical events that nobody has seen, certificates that end, rollouts that stopped."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from ocpi.alarms import Alarm

_WARNED_DAYS = 30  # before a certificate ends
_STOPPED_DAYS = 7  # that a rollout which stopped by itself is told
_NAMED = 5
# Each row: how many, and some of their names.
_FOUND = """
SELECT 'security_event', count(*), (array_agg(DISTINCT e.kind || ' of ' || COALESCE(p.identity, e.identity)))[:6]
FROM cpo_stationevent e LEFT JOIN cpo_chargepoint p ON p.id = e.charge_point_id WHERE e.critical AND e.seen_at IS NULL
UNION ALL
SELECT 'certificate_ending', count(*), (array_agg(DISTINCT p.identity || to_char(c.valid_until, ' (YYYY-MM-DD)')))[:6]
FROM cpo_stationcertificate c JOIN cpo_chargepoint p ON p.id = c.charge_point_id
WHERE c.state = 'INSTALLED' AND c.revoked_at IS NULL AND c.valid_until < now() + make_interval(days => %s)
UNION ALL
SELECT 'rollout_stopped', count(*), (array_agg(r.name || ' (' || r.reason || ')'))[:6] FROM cpo_rollout r
WHERE r.state = 'STOPPED' AND r.reason LIKE '%% failures' AND r.ended_at > now() - make_interval(days => %s)
"""
# Name → what is wrong, what to do about it, page, query.
_TEXTS = {
    "security_event": (
        "{number} critical events of charge points were not seen by anybody: {names}.",
        "Look at each among the station events, do what it asks for, and end its alarm there with Seen.",
        "cpo_stationevent_changelist",
        "?alarm=open",
    ),
    "certificate_ending": (
        "{number} certificates of charge points end within 30 days or have ended: {names}.",
        "Have the charge point ask for another one: TriggerMessage (1.6: ExtendedTriggerMessage) for its certificate.",
        "cpo_stationcertificate_changelist",
        "?state=INSTALLED",
    ),
    "rollout_stopped": (
        "{number} rollouts were stopped because updates failed: {names}.",
        "See on its page what the charge points said; prepare another one for those that were left out.",
        "cpo_rollout_changelist",
        "?state=STOPPED",
    ),
}
NAMES = tuple(_TEXTS)


def current() -> list[Alarm]:
    """Return what has to be told right now.

    :raises django.db.Error: if the database is away.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FOUND, [_WARNED_DAYS, _STOPPED_DAYS])
        return [alarm(name, number, named) for name, number, named in cursor.fetchall() if number]


def alarm(name: str, number: int, named: Sequence[str]) -> Alarm:
    """Return what is said; pure."""
    text, advice, page, query = _TEXTS[name]
    shown = list(named)[:_NAMED]
    more = number - len(shown)
    names = ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
    said = text.format(number=f"{number:,}", names=names)
    if number == 1:
        said = said.replace("1 critical events of charge points were", "A critical event of a charge point was")
        said = said.replace("1 certificates of charge points end", "A certificate of a charge point ends")
        said = said.replace("or have ended", "or has ended").replace("1 rollouts were", "A rollout was")
    return Alarm(name, said, advice, page=page, query=query)
