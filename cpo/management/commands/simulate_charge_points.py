"""Connect simulated charge points to a gateway, until told to stop."""

import asyncio
import json
import random
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from websockets.exceptions import InvalidStatus

from cpo.simulator.base import LOST, Simulated
from cpo.simulator.charge_point import Behavior, CallFailed, Epoch, SimulatedChargePoint
from cpo.simulator.station import SimulatedStation

_KINDS: dict[str, type[Simulated]] = {"1.6": SimulatedChargePoint, "2.0.1": SimulatedStation}


class Command(BaseCommand):
    help = "Connect simulated charge points to a gateway; with --charge they charge cars, one after the other."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", required=True, help="the gateway, without identity: ws://127.0.0.1:8887/ocpp")
        parser.add_argument("--count", type=int, default=1)
        parser.add_argument("--prefix", default="DEMO", help="identities are PREFIX-0001 and so on (%(default)s)")
        parser.add_argument("--password", help="the same for all of them")
        parser.add_argument("--protocol", choices=sorted(_KINDS), default="1.6")
        parser.add_argument("--charge", action="store_true", help="start sessions with --tag")
        parser.add_argument("--tag", default="DEMOTAG", help="the card that is shown (%(default)s)")
        parser.add_argument("--connectors", type=int, default=1)
        parser.add_argument(
            "--signed", action="store_true", help="OCPP 2.0.1: meter values of begin and end are signed"
        )
        parser.add_argument("--seconds-per-minute", type=float, default=60, help="real seconds per simulated minute")
        parser.add_argument("--session-minutes", type=float, default=30)
        parser.add_argument("--seconds", type=float, help="stop after this many seconds")
        parser.add_argument("--json", action="store_true", help="end with one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            points = asyncio.run(_simulate(options))
        except InvalidStatus as refused:
            status = refused.response.status_code
            raise CommandError(f"the gateway refuses us with HTTP {status}: is the charge point added?") from refused
        # One whose StartTransaction was never answered may or may not have reached the gateway.
        sessions = [metered for point in points for metered in point.transactions if metered.transaction_id]
        report = {
            "charge_points": len(points),
            "booted": sum(point.booted.is_set() for point in points),
            "sessions": len(sessions),
            "finished": sum(metered.stopped_at is not None for metered in sessions),
            "energy_wh": sum(metered.energy_wh for metered in sessions),
        }
        self.stdout.write(json.dumps(report) if options["json"] else ", ".join(f"{n} {v}" for n, v in report.items()))


async def _simulate(options: dict[str, Any]) -> list[Simulated]:
    behavior = Behavior(
        connectors=options["connectors"],
        seconds_per_minute=options["seconds_per_minute"],
        session_minutes=options["session_minutes"],
        signs=options["signed"],
        epoch=Epoch(),
    )
    points = [
        _KINDS[options["protocol"]](
            options["url"], f"{options['prefix']}-{number:04}", password=options["password"], behavior=behavior
        )
        for number in range(1, options["count"] + 1)
    ]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    work = [asyncio.create_task(point.run()) for point in points]
    if options["charge"]:
        work += [asyncio.create_task(_charge(point, options["tag"])) for point in points]
    waits = [asyncio.create_task(stop.wait())]
    await asyncio.wait([*work, *waits], timeout=options["seconds"], return_when=asyncio.FIRST_COMPLETED)
    for point in points:
        await point.close()
    failed = next((task for task in work if task.done() and not task.cancelled() and task.exception()), None)
    for task in [*work, *waits]:
        task.cancel()
    await asyncio.gather(*work, *waits, return_exceptions=True)
    if failed is not None:
        failed.result()
    return points


async def _charge(point: Simulated, tag: str) -> None:
    """Charge one car after the other, with a pause between them."""
    await point.booted.wait()
    while True:
        await point.pass_minutes(random.uniform(0.5, 5))  # noqa: S311 (a simulation)
        try:
            metered = await point.start_local(tag)
        except (PermissionError, CallFailed, *LOST):
            continue
        charging = point.connectors[metered.connector].charging
        if charging is not None:
            await asyncio.wait({charging})
