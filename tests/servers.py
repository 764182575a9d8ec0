"""A plugin that pytest loads before Django: PostgreSQL and Valkey for this run, and the settings every test relies on.

Servers that DATABASE_URL and REDIS_URL name are used as they are; otherwise embedded ones start in a temporary folder
and go with this process, killed or not. Workers of pytest-xdist inherit the addresses of the process that started them.
"""

import os
import tempfile
from pathlib import Path

import pytest

from hub import embedded, environment
from tests import template

_DEFAULTS = {
    "OCPI_ALLOWED_NETWORKS": "127.0.0.0/8",
    "OCPI_BASE_URL": "http://127.0.0.1:8000",
    "OCPI_SIDES": "hub",
    "OCPI_PARTIES": "NL*HUB:HUB",
    "OCPI_RATE_PER_PLATFORM": "off",
    "OCPI_RATE_STRANGERS": "0",
    "OCPI_STARTS_PER_TOKEN": "0",
    "OCPI_COMMANDS_PER_EVSE": "0",
    "OCPI_SNAPSHOT_LISTEN": "false",
    "OCPI_TRANSACTION_TIMEOUT": "0",  # a test is one transaction, and machines are slow
    "LOG_LEVEL": "WARNING",
    **environment.new_secrets(),
}

os.environ["DEBUG"] = "false"
for name, value in _DEFAULTS.items():
    os.environ.setdefault(name, value)
if not (os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL")):
    servers = embedded.ensure(Path(tempfile.mkdtemp(prefix="ocpi-tests-")), durable=False, remove=True)
    os.environ["DATABASE_URL"] = os.environ.get("DATABASE_URL") or servers.database_url
    os.environ["REDIS_URL"] = os.environ.get("REDIS_URL") or servers.redis_url
template.choose()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin with the tables while the workers of a larger run import and collect."""
    if getattr(session.config.option, "numprocesses", None) and not hasattr(session.config, "workerinput"):
        template.begin()
