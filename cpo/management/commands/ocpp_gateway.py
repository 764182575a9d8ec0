"""Run the OCPP gateway that charge points connect to."""

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Run the OCPP gateway; charge points connect to ws://HOST:PORT/ocpp/IDENTITY."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104 (from outside)
        parser.add_argument("--port", type=int, default=settings.OCPP_GATEWAY_PORT, help="port to listen on")

    def handle(self, *args: Any, **options: Any) -> None:
        # The node is another program in the same process: it has no use for the apps that are loaded here.
        arguments = ["-m", "cpo.gateway", "--host", options["host"], "--port", str(options["port"])]
        os.chdir(settings.BASE_DIR)
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 (our own module)
