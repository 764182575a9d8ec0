"""Run one instance: web, worker, beat and, with the cpo side, the gateway for charge points."""

import json
import sys
from argparse import BooleanOptionalAction
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import connections

from hub.supervision import Child, supervise

# Work that a killed process held is taken up by the next: that one is there sooner without what it never shows, and
# without Django's checks, which this command has made. Where it can be forked from this command, it is there at once.
_WITHOUT_PAGES = {"ADMIN_PAGES": "false", "CELERY_SKIP_CHECKS": "1"}
_FORKS = sys.platform == "linux"


def web() -> Child:
    """Return the web server: an event loop before the threads, but where charge points bring large files slowly."""
    python = [sys.executable, "-m"]
    if "cpo" not in settings.OCPI_SIDES:
        # Several processes are started by the first one, each from the beginning.
        return Child("web", [*python, "hub.web"], {}, _event_loop if _FORKS and settings.WEB_PROCESSES == 1 else None)
    address = f"{settings.HOST}:{settings.PORT}"
    server = ["gunicorn", "hub.wsgi:application", "--bind", address, "--worker-class", "hub.web_threads.Worker"]
    server += ["--threads", str(settings.WEB_THREADS), "--workers", str(settings.WEB_PROCESSES)]
    server += ["--keep-alive", "75", "--graceful-timeout", "8", "--timeout", "60", "--log-level", "warning"]
    # Instances of one user would fight for the one control socket.
    return Child("web", [*python, *server, "--no-control-socket"], {}, _gunicorn if _FORKS else None)


def worker() -> Child:
    """Return the worker that sends deliveries and does what is due."""
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    threads = ["--pool", "threads", "--concurrency", str(settings.OCPI_SEND_THREADS)]
    celery = [sys.executable, "-m", "celery", "-q", "-A", "hub.celery"]
    return Child("worker", [*celery, "worker", *threads, *quiet], _WITHOUT_PAGES, _celery if _FORKS else None)


def beat() -> Child:
    """Return the clock that wakes the worker."""
    celery = [sys.executable, "-m", "celery", "-q", "-A", "hub.celery"]
    command = [*celery, "beat", "--pidfile=", "-l", "WARNING"]
    return Child("beat", command, _WITHOUT_PAGES, _celery if _FORKS else None)


def _celery() -> None:
    """Do what `python -m celery` does with the arguments of this process."""
    import_module("celery.__main__").main()


def _event_loop() -> None:
    """Do what `python -m hub.web` does."""
    import_module("hub.web").main()


def _gunicorn() -> None:
    """Do what `python -m gunicorn` does with the arguments of this process; its own children find all loaded."""
    import_module("gunicorn.app.wsgiapp").run()


_CELERY = ("celery.__main__", "celery.bin.celery", "celery.concurrency.thread", "kombu.transport.redis", "hub.celery")
_GUNICORN = ("gunicorn.app.wsgiapp", "gunicorn.glogging", "hub.web_threads", "hub.wsgi", "hub.urls")
_LOADED = {
    "web": ("hub.web", "hub.asgi", "hub.urls", "hub.fast_protocol", "uvloop"),
    "worker": (*_CELERY, "celery.apps.worker", "celery.worker.consumer", "hub.celery_consumer"),
    "beat": (*_CELERY, "celery.beat", "celery.apps.beat"),
}


def _warm_up(children: Sequence[Child]) -> None:
    """Load once what those need that are forked; opens no connection and starts no thread."""
    for child in children:
        if child.main is not None:
            for module in _GUNICORN if child.main is _gunicorn else _LOADED[child.name]:
                import_module(module)
            if child.main is _celery:
                app = import_module("hub.celery").app
                app.loader.import_default_modules()
                app.finalize()


def gateway() -> Child:
    """Return the gateway that charge points connect to."""
    address = ["--host", settings.OCPP_GATEWAY_HOST, "--port", str(settings.OCPP_GATEWAY_PORT)]
    # It must be done before the supervisor's patience is.
    drain = {"OCPP_DRAIN_SECONDS": str(min(settings.OCPP_DRAIN_SECONDS, 8))}
    # What `manage.py ocpp_gateway` becomes once it has loaded apps that the gateway has no use for.
    command = [sys.executable, "-m", "cpo.gateway", *address]
    return Child("gateway", command, drain, folder=str(settings.BASE_DIR))


class Command(BaseCommand):
    help = "Run web, worker, beat and, with the cpo side, the gateway; start again what dies, until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the addresses as one JSON line")
        parser.add_argument("--migrate", action=BooleanOptionalAction, default=True, help="bring the tables up to date")
        parser.add_argument(
            "--only",
            action="append",
            choices=["web", "worker", "beat", "gateway"],
            help="run only this, may be repeated",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["migrate"]:
            call_command("migrate", interactive=False, verbosity=0)
        children = [web(), worker(), beat(), *([gateway()] if "cpo" in settings.OCPI_SIDES else [])]
        children = [child for child in children if child.name in (options["only"] or [child.name])]
        self._print_addresses(as_json=options["json"])
        _warm_up(children)
        connections.close_all()  # a fork must not share one
        supervise(children)

    def _print_addresses(self, *, as_json: bool) -> None:
        local = f"http://{settings.HOST}:{settings.PORT}"
        addresses = {
            "sides": ",".join(settings.OCPI_SIDES),
            "versions_url": f"{settings.OCPI_BASE_URL}/ocpi/versions",
            "admin": f"{local}/admin/",
            "live": f"{local}/live/",
            **({"docs": f"{local}/docs/"} if find_spec("hub.docs") else {}),
        }
        if "cpo" in settings.OCPI_SIDES:
            addresses["charge_points"] = f"{settings.OCPP_GATEWAY_URL}/ocpp/IDENTITY"
        lines = [json.dumps(addresses)] if as_json else [f"{name:14} {text}" for name, text in addresses.items()]
        self.stdout.write("\n".join(lines))
        self.stdout.flush()
