"""What operators do with deliveries and lanes, without the admin (REL-40)."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_date, parse_datetime

from ocpi import audit, breaker, dead_letters, delivery_actions, health, lane_rows, platform_actions
from ocpi.dead_letters import Selection
from ocpi.delivery_states import DEAD, DELIVERED, DROPPED, REFUSED
from ocpi.models import DeliveryColumns, FinishedDelivery, Platform
from ocpi.secrets import without_keys

_ENDED = (DEAD, REFUSED, DROPPED, DELIVERED)


class Command(BaseCommand):
    help = (
        "Dead letters: list, retry, drop. A platform that lost data: replay. Lanes: lanes, reopen, catch-up, probe, "
        "pause, resume. What changes many deliveries only says how many, until it is told --yes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
        for name, text in (
            ("list", "deliveries that have ended, by default those that failed, the newest first"),
            ("retry", "put failed deliveries on their way again"),
            ("drop", "close failed deliveries for good"),
        ):
            one = what.add_parser(name, help=text)
            _selects(one)
            if name != "list":
                one.add_argument("ids", nargs="*", type=int, metavar="ID", help="as `list` shows them; or a selection")
                one.add_argument("--yes", action="store_true", help="do it, do not only count")
            if name == "drop":
                one.add_argument("--reason", required=True, help="why; kept with each of them")
            if name == "list":
                one.add_argument("--limit", type=int, default=50, help="rows, 50 unless told")
        replay = what.add_parser("replay", help="have a platform get once more what it got in a period")
        replay.add_argument("--platform", required=True)
        replay.add_argument(
            "--since", required=True, metavar="TIME", help="2026-01-31T08:00:00Z; UTC if it says nothing"
        )
        replay.add_argument("--until", metavar="TIME")
        replay.add_argument("--module", default="")
        replay.add_argument("--yes", action="store_true", help="do it, do not only count")
        for name, text in (
            ("lanes", "what waits for each platform"),
            ("reopen", "try again now what a platform did not take, and end its pause"),
            ("catch-up", "have its marks sent from now on"),
            ("probe", "ask an OFFLINE platform in the next seconds whether it is there"),
            ("pause", "send nothing to it until it is resumed"),
            ("resume", "end its pause or its being OFFLINE"),
        ):
            one = what.add_parser(name, help=text)
            one.add_argument("--platform", required=name != "lanes")
            if name == "pause":
                one.add_argument("--reason", required=True)
        for one in what.choices.values():
            one.add_argument("--json", action="store_true", help="one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        found = getattr(self, "_" + options["what"].replace("-", "_"))(options)
        if options["json"]:
            self.stdout.write(json.dumps(found, default=str))
        elif isinstance(found, list):
            for row in found:
                self.stdout.write(
                    "  ".join(f"{name} {value}" for name, value in row.items() if value not in ("", None))
                )
            if not found:
                self.stdout.write("Nothing.")
        else:
            self.stdout.write(str(found["came"]))

    # ------------------------------------------------ deliveries that have ended

    def _list(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        rows = _selection(options).rows().select_related("platform").defer("body").order_by("-id")
        return [_shown(row) for row in rows[: options["limit"]]]

    def _retry(self, options: dict[str, Any]) -> dict[str, Any]:
        if options["ids"]:
            number = delivery_actions.send_finished_again(options["ids"], actor=_actor())
            return _came(number, f"{number} deliveries are on their way.")
        selection = _selection(options, narrowed=True)
        if not options["yes"]:
            return _asked(selection, "would be sent again")
        number = dead_letters.retry(selection, actor=_actor())
        return _came(number, f"{number} deliveries are on their way.")

    def _drop(self, options: dict[str, Any]) -> dict[str, Any]:
        if options["ids"]:
            number = delivery_actions.drop(options["ids"], actor=_actor(), reason=options["reason"])
            return _came(number, f"{number} deliveries are dropped.")
        selection = _selection(options, narrowed=True)
        if not options["yes"]:
            return _asked(selection, "would be dropped")
        number = dead_letters.drop(selection, actor=_actor(), reason=options["reason"])
        return _came(number, f"{number} deliveries are dropped.")

    def _replay(self, options: dict[str, Any]) -> dict[str, Any]:
        platform, since, until = _platform(options["platform"]), _time(options["since"]), _time(options["until"])
        if since is None or (until is not None and until <= since):
            raise CommandError("--until: must be later than --since")
        if not options["yes"]:
            return _asked(
                Selection(platform.pk, (DELIVERED, DEAD, REFUSED), module=options["module"], since=since, until=until),
                "would be looked at, and each of their objects sent once",
            )
        found = dead_letters.replay(platform.pk, since, until, module=options["module"], actor=_actor())
        gap = (
            f" Before {found.oldest:%Y-%m-%d %H:%M} nothing is known." if found.oldest and found.oldest > since else ""
        )
        return _came(found.objects, f"{found.objects} objects are on their way to {platform}.{gap}")

    # ------------------------------------------------ lanes

    def _lanes(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        rows = Platform.objects.defer("token_out").order_by("name")
        if options["platform"]:
            rows = rows.filter(pk=_platform(options["platform"]).pk)
        chosen = list(rows)
        found = lane_rows.of(chosen)
        now = datetime.now(UTC)
        return [
            {
                "platform": row.name,
                "breaker": breaker.of_row(row, now).state,
                "pending": found[row.pk].waiting.pending,
                "marks": found[row.pk].waiting.marks,
                "dead": found[row.pk].waiting.dead,
                "oldest_seconds": round(found[row.pk].waiting.oldest),
                "in_flight": found[row.pk].in_flight,
                "slots": found[row.pk].slots,
                "parked": found[row.pk].parked,
                "backoff_until": row.backoff_until,
                "paused_reason": row.paused_reason,
            }
            for row in chosen
        ]

    def _reopen(self, options: dict[str, Any]) -> dict[str, Any]:
        platform = _platform(options["platform"])
        health.resume(platform.pk)
        moved = delivery_actions.reopen_lane(platform.pk, actor=_actor())
        return _came(moved, f"The pause and back-off of {platform} are over; {moved} deliveries were brought forward.")

    def _catch_up(self, options: dict[str, Any]) -> dict[str, Any]:
        platform = _platform(options["platform"])
        moved = delivery_actions.catch_up_now(platform.pk, actor=_actor())
        return _came(moved, f"{moved} marks of {platform} are sent from now on.")

    def _probe(self, options: dict[str, Any]) -> dict[str, Any]:
        platform = _platform(options["platform"])
        due = delivery_actions.probe_now(platform.pk, actor=_actor())
        return _came(
            int(due), f"{platform} is probed now." if due else f"{platform} is not OFFLINE: no probe is needed."
        )

    def _pause(self, options: dict[str, Any]) -> dict[str, Any]:
        platform = _platform(options["platform"])
        done = platform_actions.pause(platform.pk, options["reason"], actor=_actor())
        return _came(int(done), f"Nothing is sent to {platform}." if done else f"{platform} is paused already.")

    def _resume(self, options: dict[str, Any]) -> dict[str, Any]:
        platform = _platform(options["platform"])
        done = platform_actions.resume(platform.pk)
        audit.record("platform.resume", actor=_actor(), about=platform.name, details={"done": done})
        return _came(int(done), f"{platform} is connected again." if done else f"{platform} is not registered.")


def _selects(parser: Any) -> None:
    parser.add_argument("--platform", help="its name")
    parser.add_argument("--state", action="append", choices=_ENDED, help="DEAD and REFUSED unless told; again for more")
    parser.add_argument("--kind", choices=DeliveryColumns.Kind.values, default="")
    parser.add_argument("--module", default="")
    parser.add_argument("--path", default="", help="begins with, e.g. NL/TNM/LOC1")
    parser.add_argument("--since", metavar="TIME", help="ended since: 2026-01-31T08:00:00Z; UTC if it says nothing")
    parser.add_argument("--until", metavar="TIME")


def _selection(options: dict[str, Any], *, narrowed: bool = False) -> Selection:
    names = ("platform", "state", "kind", "module", "path", "since", "until")
    if narrowed and not any(options[name] for name in names):
        raise CommandError("Name deliveries by their ids, or a selection: --platform, --state, --module …")
    return Selection(
        platform_id=_platform(options["platform"]).pk if options["platform"] else None,
        states=tuple(options["state"] or (DEAD, REFUSED)),
        kind=options["kind"],
        module=options["module"],
        since=_time(options["since"]),
        until=_time(options["until"]),
        path=options["path"],
    )


def _platform(name: str) -> Platform:
    found = Platform.objects.filter(name=name).first()
    if found is None:
        raise CommandError(f"--platform: there is no platform named {name}; see list_platforms")
    return found


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        found = parse_datetime(text)
        day = parse_date(text) if found is None else None
    except ValueError as error:
        raise CommandError(f"{text}: {error}") from error
    if found is None and day is None:
        raise CommandError(f"{text}: a time looks like 2026-01-31T08:00:00Z")
    if found is None and day is not None:
        found = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)


def _shown(row: FinishedDelivery) -> dict[str, Any]:
    return {
        "id": row.pk,
        "state": row.state,
        "platform": row.platform.name,
        "kind": row.kind,
        "object": without_keys(f"{row.module} {row.path or row.url}"),
        "finished_at": row.finished_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "attempts": row.attempts,
        "http_status": row.http_status,
        "status_code": row.status_code,
        "error": without_keys(row.error[:200]),
    }


def _asked(selection: Selection, what: str) -> dict[str, Any]:
    number = dead_letters.count(selection)
    return {"number": number, "done": False, "came": f"{number} deliveries {what}. Nothing is done without --yes."}


def _came(number: int, sentence: str) -> dict[str, Any]:
    return {"number": number, "done": True, "came": sentence}


def _actor() -> str:
    try:
        return f"command line ({getpass.getuser()})"
    except (KeyError, OSError):  # an account without a name
        return "command line"
