"""What a gateway node is told: read from Django's settings (without its apps) and the environment."""

import os
import secrets
import socket
from dataclasses import dataclass, field

from django.conf import settings
from psycopg import pq
from psycopg.conninfo import make_conninfo


def _new_node() -> str:
    # A node is one process: after a restart it is another one, so that what the old one left can be told apart.
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(3)}"


EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 (charge points come from outside)

_DRAIN_CALLS_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    conninfo: str
    redis_url: str
    secret_key: str
    host: str = EVERY_ADDRESS
    port: int = 8887
    node: str = field(default_factory=_new_node)
    party: tuple[str, str] | None = None  # whom charge points we take in unasked belong to
    unknown: str = "reject"
    heartbeat_seconds: int = 300
    retry_seconds: int = 60
    ping_seconds: float = 60
    ping_timeout_seconds: float = 60
    frame_bytes: int = 128 * 1024
    frames_per_second: float = 50
    frames_burst: int = 200
    decision_seconds: float = 9
    store_seconds: float = 20  # how long a CALL waits for PostgreSQL before its connection is closed (OCPP-103)
    drain_calls_seconds: float = _DRAIN_CALLS_SECONDS
    drain_seconds: float = 30
    frame_log: bool = True
    handshake_seconds: float = 20  # from the first octet to the end of a handshake
    handshakes_per_second: float = 10  # per address, but not from this machine (SEC-64)
    handshakes_burst: float = 50
    refusal_seconds: float = 0.25  # every 401 takes this long, so that its time tells nothing (SEC-60)
    trusted_proxies: frozenset[str] = frozenset()
    certificate_header: str = "X-SSL-Client-Cert"  # in which such a proxy passes a client certificate on
    tls_certificate: str = ""  # file; empty: no TLS here
    tls_key: str = ""  # file; empty: it is in the other one
    tls_port: int = 8888
    tls_ciphers: str = ""  # OpenSSL's words; empty: what OCPP asks for
    plain: bool = True  # whether charge points may connect without TLS
    metrics_token: str = field(default="", repr=False)


def _party(parties: list[str]) -> tuple[str, str] | None:
    for party in parties:
        address, _, role = party.partition(":")
        country_code, _, party_id = address.partition("*")
        if role == "CPO" and party_id:
            return country_code, party_id
    return None


def _number(name: str, default: float) -> float:
    return float(getattr(settings, name, None) or os.environ.get(name) or default)


# What libpq knows of an address: TLS, limits, and which of several hosts. How long a connection may take, and what it
# is called, each place says by itself.
_CONNECTING = {option.keyword.decode() for option in pq.Conninfo.get_defaults()} - {
    "connect_timeout", "application_name", "client_encoding",
}  # fmt: skip


def _conninfo() -> str:
    database = settings.DATABASES["default"]
    parts = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    options = database.get("OPTIONS")
    said = options.items() if isinstance(options, dict) else ()
    known = {name: str(value) for name, value in said if name in _CONNECTING}
    known |= {name: str(database[key]) for name, key in parts.items() if database.get(key)}
    return make_conninfo("", **known)


def read(*, host: str | None = None, port: int | None = None) -> Config:
    """Return the configuration of this node."""
    proxies = os.environ.get("OCPP_TRUSTED_PROXIES", "")
    drain_seconds = _number("OCPP_DRAIN_SECONDS", 30)
    return Config(
        conninfo=_conninfo(),
        redis_url=settings.REDIS_URL,
        secret_key=settings.SECRET_KEY,
        host=host or os.environ.get("OCPP_GATEWAY_HOST") or EVERY_ADDRESS,
        port=settings.OCPP_GATEWAY_PORT if port is None else port,
        party=_party(settings.OCPI_PARTIES),
        unknown=settings.OCPP_UNKNOWN,
        heartbeat_seconds=settings.OCPP_HEARTBEAT,
        ping_seconds=_number("OCPP_PING", 60),
        ping_timeout_seconds=settings.OCPP_PING_TIMEOUT,
        frame_bytes=settings.OCPP_FRAME_BYTES,
        handshake_seconds=_number("OCPP_HANDSHAKE_SECONDS", 20),
        drain_calls_seconds=min(_DRAIN_CALLS_SECONDS, drain_seconds),  # who wants a short end does not wait for these
        drain_seconds=drain_seconds,
        frame_log=os.environ.get("OCPP_FRAME_LOG", "true").lower() not in {"0", "false", "no", "off"},
        metrics_token=settings.METRICS_TOKEN,
        certificate_header=settings.OCPP_CERTIFICATE_HEADER,
        tls_certificate=settings.OCPP_TLS_CERT,
        tls_key=settings.OCPP_TLS_KEY,
        tls_port=settings.OCPP_TLS_PORT,
        tls_ciphers=settings.OCPP_TLS_CIPHERS,
        plain=settings.OCPP_PLAIN,
        trusted_proxies=frozenset(name.strip() for name in proxies.split(",") if name.strip()),
    )
