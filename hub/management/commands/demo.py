"""The whole of roaming on one machine: a hub, a CPO with charge points, an eMSP with drivers; live sessions."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hub import embedded
from hub.demo import zygote
from hub.demo.story import Demo
from hub.environment import new_secrets


class Command(BaseCommand):
    help = "Start three platforms and charge points and play charging sessions through the hub until Ctrl-C."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seconds", type=float, help="play for so long, then stop by itself")
        parser.add_argument("--charge-points", type=int, default=6)
        parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same data")
        parser.add_argument("--json", action="store_true", help="end with the report as one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        as_json = options["json"]

        def say(text: str) -> None:
            stream = sys.stderr if as_json else sys.stdout
            print(f"{time.monotonic() - began:6.1f} s  {text}", file=stream, flush=True)

        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        servers, data = _servers()
        demo = Demo(servers, new_secrets(), say, points=options["charge_points"], seed=options["seed"])
        try:
            zygote.warm_up({})
            report = self._play(demo, options["seconds"], say)
        except RuntimeError as error:
            raise CommandError(f"{error} (logs: {demo.folder})") from error
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            demo.stop()
            if data is not None:
                embedded.stop(data)
        if report["ok"]:
            shutil.rmtree(demo.folder, ignore_errors=True)
        else:
            say(f"logs are kept in {demo.folder}")
        self._show(report, as_json=as_json)
        if not report["ok"]:
            raise CommandError("the demo did not end well: " + "; ".join(report["errors"] or ["see the report"]))

    def _play(self, demo: Demo, seconds: float | None, say: Any) -> dict[str, Any]:
        end = time.monotonic() + seconds if seconds else None
        try:
            demo.start()
            demo.introduce()
            demo.furnish()
            demo.wait_for_exchange()
            self._addresses(demo, say)
            demo.drive()
            while end is None or time.monotonic() < end:
                demo.heard()
                if ended := demo.dead():
                    raise RuntimeError(f"{', '.join(ended)} ended by itself")
                time.sleep(0.2)
        except KeyboardInterrupt:
            if not demo.driving:
                raise CommandError("stopped before the first session") from None
            say("stopping")
        say("ending the running sessions")
        demo.finish()
        return demo.report()

    def _addresses(self, demo: Demo, say: Any) -> None:
        hub = demo.found["hub"].url
        say(f"live page   {hub}/live/")
        say(f"API         {hub}/docs/")
        for instance in demo.found.values():
            say(f"admin       {instance.url}/admin/   user admin, password {demo.password}   ({instance.side})")
        say(f"charge points connect to {demo.found['cpo'].environment['OCPP_GATEWAY_URL']}/ocpp/IDENTITY")

    def _show(self, report: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(report))
            return
        verified = sum(cdr["verified"] for cdr in report["cdrs"])
        self.stdout.write(
            f"{report['sessions']} sessions, {len(report['cdrs'])} CDRs ({verified} verified), "
            f"deliveries {report['deliveries']}, milliseconds {report['latency_ms']}"
        )


def _servers() -> tuple[embedded.Servers, Path | None]:
    """Return the servers to use: those of the environment, else embedded ones that vanish with the demo."""
    database, redis = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
    if database and redis:
        return embedded.Servers(database, redis), None
    data = Path(tempfile.mkdtemp(prefix="ocpi-demo-data-"))
    found = embedded.ensure(data, durable=False, remove=True)
    return embedded.Servers(database or found.database_url, redis or found.redis_url), data


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
