"""Every setting of every process, read from the environment; the unit stands beside each one.

What nothing in the environment changes is in `settings_django` and `settings_celery`.
"""

import ipaddress
import os
from pathlib import Path
from urllib.parse import urlsplit

from hub import environment as env
from hub.colors import PRIMARY
from hub.settings_celery import *  # noqa: F403
from hub.settings_celery import schedule
from hub.settings_django import *  # noqa: F403

BASE_DIR = Path(__file__).resolve().parent.parent

# ---------------------------------------------------------------- the process

# Shows tracebacks to strangers; never on in production.
DEBUG = env.flag("DEBUG")

# The folder of the embedded servers and the secrets made for them, used when DATABASE_URL is not set.
EMBEDDED_DATA = Path(env.text("EMBEDDED_DATA", str(BASE_DIR / ".data")))

# Without an address nothing can be stored, so a command that needs no database (check, makemigrations) gets
# secrets that live as long as its process. `manage.py` sets all of them when it starts the embedded servers.
_NO_DATABASE = not os.environ.get("DATABASE_URL", "").strip()
_LASTING = {"SECRET_KEY": "debug-" * 10, "FIELD_KEYS": "A" * 43 + "="} if DEBUG else {}
_SECRETS = env.new_secrets() if _NO_DATABASE else _LASTING

# Signs sessions and derives the pepper of the credentials tokens; at least 50 random characters.
SECRET_KEY = env.text("SECRET_KEY", _SECRETS.get("SECRET_KEY"))

# URL-safe Base64 keys of 32 bytes that encrypt the tokens we use towards others; newest first, commas between.
FIELD_KEYS = env.members(env.text("FIELD_KEYS", _SECRETS.get("FIELD_KEYS")))

# Host names this instance answers to; the one of OCPI_BASE_URL is always among them.
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS")

# TCP port of the web server that `manage.py run` starts.
PORT = env.integer("PORT", 8000, at_least=1)

# Where `manage.py run` listens; "0.0.0.0" behind a proxy on another machine.
HOST = env.text("HOST", "127.0.0.1")

# Threads of one web process, and web processes.
WEB_THREADS = env.integer("WEB_THREADS", 16, at_least=1)
WEB_PROCESSES = env.integer("WEB_PROCESSES", 1, at_least=1)

# Whether a web or worker process stays on one CPU at a time, where it finds most room: its threads take turns anyway.
ON_ONE_CPU = env.flag("ON_ONE_CPU", default=True)

# Seconds that requests in flight have when a hub's web server is told to stop; then they are answered 4002.
WEB_GRACE_SECONDS = env.integer("WEB_GRACE_SECONDS", 8, at_least=1)

# ---------------------------------------------------------------- OCPI

# Which sides this instance is: hub, or cpo, or emsp, or cpo,emsp. `manage.py check` refuses others.
OCPI_SIDES = env.names("OCPI_SIDES", ["hub"])

# What partners see in front of /ocpi/versions; https outside of a machine of one's own. No slash at the end.
OCPI_BASE_URL = env.text("OCPI_BASE_URL", f"http://127.0.0.1:{PORT}").rstrip("/")

# Our own parties with their roles, as COUNTRY*PARTY:ROLE, commas between.
OCPI_PARTIES = env.names("OCPI_PARTIES", ["NL*HUB:HUB"] if OCPI_SIDES == ["hub"] else [])

# The business name that partners read in our credentials.
OCPI_BUSINESS_NAME = env.text("OCPI_BUSINESS_NAME", "OCPI roaming")

# OCPI versions we offer, newest last.
OCPI_VERSIONS = env.names("OCPI_VERSIONS", ["2.2.1"])

# Threads of a worker that send deliveries.
OCPI_SEND_THREADS = env.integer("OCPI_SEND_THREADS", 16, at_least=1)

# Seconds until a connection to a partner must stand.
OCPI_CONNECT_TIMEOUT = env.seconds("OCPI_CONNECT_TIMEOUT", 3)

# Seconds from connect to the last byte of a push's answer.
OCPI_REQUEST_TIMEOUT = env.seconds("OCPI_REQUEST_TIMEOUT", 10)

# Seconds a hub waits for the receiver of a Direct request before it answers 4002.
OCPI_FORWARD_TIMEOUT = env.seconds("OCPI_FORWARD_TIMEOUT", 25)

# Direct requests that may wait for one platform's answers at once, and for all platforms' together; the next is
# answered 4003. Of one web process.
OCPI_FORWARDS_PER_PLATFORM = env.integer("OCPI_FORWARDS_PER_PLATFORM", 8, at_least=1)
OCPI_FORWARDS = env.integer("OCPI_FORWARDS", 2000, at_least=1)

# Seconds a charge point owner waits for a real-time authorization before the local rule decides.
OCPI_AUTHORIZE_TIMEOUT = env.seconds("OCPI_AUTHORIZE_TIMEOUT", 8)

# Whether an eMSP authorizes only if it is told the Location; otherwise it answers 2002 (TOK-29).
OCPI_AUTHORIZE_NEEDS_LOCATION = env.flag("OCPI_AUTHORIZE_NEEDS_LOCATION")

# Seconds after which a failed push is kept as a mark, without a body; above OCPI_REQUEST_TIMEOUT.
OCPI_PUSH_TTL = env.seconds("OCPI_PUSH_TTL", 60)

# Seconds a platform that came back has to pull before we push what it missed.
OCPI_PULL_GRACE = env.seconds("OCPI_PULL_GRACE", 600)

# Seconds a published status of a hub's client stays at least, so that nobody is told of every flap (HCI-23).
OCPI_CLIENT_INFO_PAUSE = env.seconds("OCPI_CLIENT_INFO_PAUSE", 60)

# Marks of one platform that become pushes in a second, after that time.
OCPI_CATCH_UP_PER_SECOND = env.integer("OCPI_CATCH_UP_PER_SECOND", 20, at_least=1)

# Whether this instance pulls by itself what partners offer; off, only `manage.py pull` and the admin do.
OCPI_PULLS = env.flag("OCPI_PULLS", default=True)

# Seconds between two pulls of a list, of what changed since; a fifth more or less each time.
OCPI_PULL_INTERVAL = env.seconds("OCPI_PULL_INTERVAL", 4 * 3600)

# Hour of the day (UTC) from which whole lists are compared, spread over three hours.
OCPI_PULL_NIGHT_HOUR = env.integer("OCPI_PULL_NIGHT_HOUR", 1)

# Days that the nightly comparison of Sessions and CDRs looks back.
OCPI_PULL_DAYS = env.integer("OCPI_PULL_DAYS", 31, at_least=1)

# Seconds between two pushes of a running Session; changes of its status go out at once.
OCPI_SESSION_PUSH_SECONDS = env.seconds("OCPI_SESSION_PUSH_SECONDS", 60)
# The longest ChargingPeriod of a Session; 0: as long as its price stays. CDRs have no more than they are priced from.
OCPI_SESSION_PERIOD_SECONDS = env.seconds("OCPI_SESSION_PERIOD_SECONDS", 900)

# Seconds within which an eMSP gets the result of a command.
OCPI_COMMAND_TIMEOUT = env.seconds("OCPI_COMMAND_TIMEOUT", 60)

# The same for each command by itself: OCPI_COMMAND_TIMEOUT_RESERVE_NOW and so on; reservations have 30 seconds.
OCPI_COMMAND_TIMEOUTS = {
    name: env.seconds(f"OCPI_COMMAND_TIMEOUT_{name}", default)
    for name, default in (
        ("CANCEL_RESERVATION", 30),
        ("RESERVE_NOW", 30),
        ("START_SESSION", OCPI_COMMAND_TIMEOUT),
        ("STOP_SESSION", OCPI_COMMAND_TIMEOUT),
        ("UNLOCK_CONNECTOR", OCPI_COMMAND_TIMEOUT),
    )
}

# START_SESSION that one Token gets in ten minutes, and commands of one EVSE in a minute; 0 = any number (SEC-43).
OCPI_STARTS_PER_TOKEN = env.integer("OCPI_STARTS_PER_TOKEN", 10)
OCPI_COMMANDS_PER_EVSE = env.integer("OCPI_COMMANDS_PER_EVSE", 6)

# Seconds in which a running session takes one change of its charging profile; a further one is TOO_OFTEN.
OCPI_PROFILE_CHANGE_SECONDS = env.seconds("OCPI_PROFILE_CHANGE_SECONDS", 30)

# Stack level of partners' charging profiles at charge points; those from charging preferences are one below.
OCPI_PROFILE_STACK_LEVEL = env.integer("OCPI_PROFILE_STACK_LEVEL", 1, at_least=0)

# Seconds that an ActiveChargingProfile covers, 5 to 60 minutes.
OCPI_ACTIVE_PROFILE_SECONDS = env.integer("OCPI_ACTIVE_PROFILE_SECONDS", 1800, at_least=60)

# SCSPs that may control the charging of our drivers, as COUNTRY*PARTY, commas between (OCPI chargingprofiles).
OCPI_SCSP_AGREEMENTS = env.names("OCPI_SCSP_AGREEMENTS")

# Seconds that an accepted START_SESSION without a transaction is shown as a PENDING Session, then as an INVALID one;
# 0: the Session is there once it is ACTIVE.
OCPI_PENDING_SECONDS = env.integer("OCPI_PENDING_SECONDS", 0)

# What is between two parties that no rule of the hub's permissions names: allow or deny.
OCPI_HUB_DEFAULT_PERMISSION = env.choice("OCPI_HUB_DEFAULT_PERMISSION", "allow", ("allow", "deny"))

# Whether a Tariff may be deleted at all receivers with one DELETE to the hub; OCPI's text lists POST, PUT and PATCH.
OCPI_HUB_BROADCASTS_DELETE = env.flag("OCPI_HUB_BROADCASTS_DELETE", default=True)

# Whether a push whose receiver the hub cannot determine goes to all it is meant for, instead of being answered 4001.
OCPI_HUB_BROADCASTS_UNDECIDED = env.flag("OCPI_HUB_BROADCASTS_UNDECIDED")

# Whether Sessions and CDRs that pass are kept for the list of their eMSP, and days after which they are removed.
OCPI_HUB_KEEPS_SESSIONS = env.flag("OCPI_HUB_KEEPS_SESSIONS", default=True)
OCPI_HUB_SESSION_DAYS = env.integer("OCPI_HUB_SESSION_DAYS", 93, at_least=1)

# Objects on one page of a list.
OCPI_PAGE_LIMIT = env.integer("OCPI_PAGE_LIMIT", 100, at_least=1)

# Networks that partner URLs may lead into although they are not public; empty = public addresses only.
OCPI_ALLOWED_NETWORKS = env.names("OCPI_ALLOWED_NETWORKS")

# Confirms private networks in OCPI_ALLOWED_NETWORKS for `manage.py check --deploy`.
OCPI_PRIVATE_NETWORKS_CONFIRMED = env.flag("OCPI_PRIVATE_NETWORKS_CONFIRMED")

# Requests per second that one platform may make, and how many at once; "off" switches the limit off. A burst may stand
# behind a slash, too: "50/200".
OCPI_RATE_PER_PLATFORM, OCPI_RATE_BURST = env.rate("OCPI_RATE_PER_PLATFORM", 50, burst="OCPI_RATE_BURST")

# Requests without a valid token that one address may make in a minute; above, it is answered 429. 0 = no limit.
OCPI_RATE_STRANGERS = env.integer("OCPI_RATE_STRANGERS", 20)

# Addresses or networks of proxies whose X-Forwarded-For says where a request comes from.
OCPI_TRUSTED_PROXIES = env.networks("OCPI_TRUSTED_PROXIES")
# In which they pass on the client certificate that they were shown: its SHA-256 fingerprint, or the certificate as PEM.
# They have to take it out of what comes from outside; from anybody else it counts for nothing (SEC-65).
OCPI_CLIENT_CERTIFICATE_HEADER = env.text("OCPI_CLIENT_CERTIFICATE_HEADER", "X-SSL-Client-Cert")

# Whether a process listens for changes of the registry (NOTIFY); off, it sees only its own: for tests.
OCPI_SNAPSHOT_LISTEN = env.flag("OCPI_SNAPSHOT_LISTEN", default=True)

# Whether requests and their answers are kept for operators; off, nothing can be followed or replayed.
OCPI_EXCHANGES = env.flag("OCPI_EXCHANGES", default=True)

# Days that exchanges are kept; days that the bodies of Tokens and CDRs are; megabytes they may take on disk, the
# bodies of the oldest days go first then (0 = any number).
OCPI_EXCHANGE_DAYS = env.integer("OCPI_EXCHANGE_DAYS", 30, at_least=1)
OCPI_EXCHANGE_BODY_DAYS = env.integer("OCPI_EXCHANGE_BODY_DAYS", 7, at_least=1)
OCPI_EXCHANGE_BUDGET_MB = env.integer("OCPI_EXCHANGE_BUDGET_MB", 20_000, at_least=0)

# Whether a change wakes the workers at once; off, their sweep finds it within a second.
OCPI_WAKE = env.flag("OCPI_WAKE", default=True)

# Days in which an invited platform may use its token A.
OCPI_TOKEN_A_DAYS = env.integer("OCPI_TOKEN_A_DAYS", 7, at_least=1)

# Days after which the tokens that partners show us are renewed, by our own PUT on their credentials.
OCPI_TOKEN_DAYS = env.integer("OCPI_TOKEN_DAYS", 30, at_least=1)

# Proxy through which partners are called, as http://user:password@proxy.example:3128; empty = none. It is asked for
# tunnels to checked addresses; what lies in OCPI_ALLOWED_NETWORKS is called without it.
OCPI_EGRESS_PROXY = env.text("OCPI_EGRESS_PROXY", "")

# Folder with our client certificates, one PEM file with certificate and key for each; chosen per platform in the admin.
OCPI_CERTIFICATES = env.text("OCPI_CERTIFICATES", str(BASE_DIR / ".certificates"))


def _at_home(url: str) -> bool:
    """Say whether a URL names an address inside the allowed networks."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
        return any(address in ipaddress.ip_network(network, strict=False) for network in OCPI_ALLOWED_NETWORKS)
    except ValueError:
        return False


# Partners' URLs must be https, unless this instance itself only lives on a developer's machine.
OCPI_TLS_REQUIRED = not (DEBUG or _at_home(OCPI_BASE_URL))

# ---------------------------------------------------------------- OCPP

# TCP port that charge points connect to.
OCPP_GATEWAY_PORT = env.integer("OCPP_GATEWAY_PORT", 8887, at_least=1)

# Where the gateway listens; charge points come from outside.
OCPP_GATEWAY_HOST = env.text("OCPP_GATEWAY_HOST", HOST)

# What charge points are told to connect to, in front of /ocpp/IDENTITY.
OCPP_GATEWAY_URL = env.text("OCPP_GATEWAY_URL", f"ws://127.0.0.1:{OCPP_GATEWAY_PORT}").rstrip("/")

# Seconds between two Heartbeats of a charge point.
OCPP_HEARTBEAT = env.integer("OCPP_HEARTBEAT", 300, at_least=1)

# Whether a charge point that lets a refused driver charge (StopTransactionOnInvalidId is false) is told to stop, and
# one whose driver the eMSP refuses when the whitelist has let him in already.
OCPP_STOP_REFUSED = env.flag("OCPP_STOP_REFUSED")

# Hours of silence after which a transaction of a charge point that says its connector is free or broken is closed.
OCPP_STALE_HOURS = env.seconds("OCPP_STALE_HOURS", 24)

# What happens to a charge point nobody has added: refused, kept waiting, or taken in.
OCPP_UNKNOWN = env.choice("OCPP_UNKNOWN", "reject", ("reject", "pending", "accept"))

# Seconds between two WebSocket pings to a charge point.
OCPP_PING = env.seconds("OCPP_PING", 60)
# Seconds of silence after such a ping after which the connection is cut; 0 = never.
OCPP_PING_TIMEOUT = env.seconds("OCPP_PING_TIMEOUT", 60)

# Octets of the longest frame a charge point may send, if its record names no other number.
OCPP_FRAME_BYTES = env.integer("OCPP_FRAME_BYTES", 131_072, at_least=1024)

# Seconds a gateway that is told to stop lets its charge points finish.
OCPP_DRAIN_SECONDS = env.seconds("OCPP_DRAIN_SECONDS", 30)

# Whether frames are kept for operators, credentials taken out.
OCPP_FRAME_LOG = env.flag("OCPP_FRAME_LOG", default=True)

# Addresses of proxies whose X-Forwarded-For the gateway believes.
OCPP_TRUSTED_PROXIES = env.names("OCPP_TRUSTED_PROXIES")

# Header in which such a proxy passes on the certificate of a charge point: PEM, with percent signs or in one line.
OCPP_CERTIFICATE_HEADER = env.text("OCPP_CERTIFICATE_HEADER", "X-SSL-Client-Cert")

# Files with the gateway's certificate (chain) and key in PEM; without a certificate the gateway speaks no TLS itself.
OCPP_TLS_CERT = env.text("OCPP_TLS_CERT", "")
OCPP_TLS_KEY = env.text("OCPP_TLS_KEY", "")
# TCP port that charge points connect to with TLS.
OCPP_TLS_PORT = env.integer("OCPP_TLS_PORT", 8888, at_least=1)
# Cipher suites in OpenSSL's words; empty = those that OCPP asks for. TLS 1.2 and 1.3 only, always.
OCPP_TLS_CIPHERS = env.text("OCPP_TLS_CIPHERS", "")
# Whether charge points may connect without TLS (security profiles 0 and 1).
OCPP_PLAIN = env.flag("OCPP_PLAIN", default=True)

# Where firmware is kept that charge points fetch, and what they upload; never inside of what a web server serves.
OCPP_FILES_DIR = env.text("OCPP_FILES_DIR", str(BASE_DIR / ".files"))
# Where charge points reach this instance's web server for these files.
OCPP_FILES_URL = env.text("OCPP_FILES_URL", OCPI_BASE_URL).rstrip("/")
# Bytes of one file that a charge point uploads.
OCPP_UPLOAD_BYTES = env.integer("OCPP_UPLOAD_BYTES", 100 << 20, at_least=1)

# ---------------------------------------------------------------- servers behind us

# Connections of a pool shared by all threads of a process; 0 = one persistent connection per thread, which
# costs less, but only where threads live on (an ASGI server makes a thread per request: it needs the pool).
DATABASE_POOL_SIZE = env.integer("DATABASE_POOL_SIZE", 0)

_DATABASE = env.database("DATABASE_URL", "postgresql://127.0.0.1:1/none")
_GIVEN: dict[str, object] = _DATABASE["OPTIONS"] if isinstance(_DATABASE["OPTIONS"], dict) else {}
# Milliseconds; a lost worker or a wild query must not hold locks for longer.
_LIMITS = "-c statement_timeout=30000 -c idle_in_transaction_session_timeout=30000"
_OPTIONS: dict[str, object] = {
    "connect_timeout": 5,
    # Seconds, and at the end milliseconds: a server that is gone without a word is noticed in 20 s; TCP by itself
    # waits for a quarter of an hour.
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    **_GIVEN,
    "options": f"{_LIMITS} {_GIVEN.get('options', '')}".strip(),
}
if DATABASE_POOL_SIZE:
    _OPTIONS["pool"] = {"min_size": 1, "max_size": DATABASE_POOL_SIZE, "timeout": 10, "reconnect_timeout": 1}
DATABASES = {
    "default": {
        **_DATABASE,
        "OPTIONS": _OPTIONS,
        "CONN_MAX_AGE": 0 if DATABASE_POOL_SIZE else 600,
        "CONN_HEALTH_CHECKS": True,
    }
}
# Seconds of one transaction, with PostgreSQL 17 or newer: a puller must not miss what became visible late. 0 = any.
OCPI_TRANSACTION_TIMEOUT = env.integer("OCPI_TRANSACTION_TIMEOUT", 30, at_least=0)

# Broker of the workers, wake-ups and the charge points' connection epochs. Never the only place of anything.
REDIS_URL = env.redis("REDIS_URL", "redis://127.0.0.1:1/0")

# ---------------------------------------------------------------- pages

STATIC_ROOT = os.environ.get("STATIC_ROOT") or None  # only for an image that collects them; else found in place
WHITENOISE_USE_FINDERS = STATIC_ROOT is None

# Whether a process may show it; `manage.py run` starts workers without, which takes half the time.
ADMIN_PAGES = env.flag("ADMIN_PAGES", default=True)

# Whether strangers may open the live page; for a demo. Off, it asks for an account of the admin.
LIVE_PUBLIC = env.flag("LIVE_PUBLIC")

# What a Prometheus server shows as "Authorization: Bearer …" to read /metrics. Empty = only addresses of the same
# machine or private network may, without a proxy in between.
METRICS_TOKEN = env.text("METRICS_TOKEN", "")

UNFOLD = {
    "SITE_TITLE": OCPI_BUSINESS_NAME,
    "SITE_HEADER": OCPI_BUSINESS_NAME,
    "SITE_SUBHEADER": " + ".join(OCPI_SIDES),
    "SITE_SYMBOL": "ev_station",
    "SITE_URL": "/live/",
    "SITE_FAVICONS": [{"rel": "icon", "href": "/static/hub/icon.svg", "type": "image/svg+xml"}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "hub.overview.fill",
    "STYLES": ["/static/hub/admin.css"],
    "COLORS": {"primary": PRIMARY},
}

# A plain http address is a developer's own machine; a browser would drop Secure cookies there.
_HTTPS = OCPI_BASE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
# A cookie goes to every port of its host: instances on one machine, as in the demo, must not log each other out.
SESSION_COOKIE_NAME = f"sessionid_{urlsplit(OCPI_BASE_URL).port or ''}".rstrip("_")
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _HTTPS
if _HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
if _host := urlsplit(OCPI_BASE_URL).hostname:
    ALLOWED_HOSTS.append(_host)
    CSRF_TRUSTED_ORIGINS = ["{0.scheme}://{0.netloc}".format(urlsplit(OCPI_BASE_URL))]

# ---------------------------------------------------------------- Celery: rows are the truth, tasks only wake

CELERY_BROKER_URL = REDIS_URL
CELERY_WORKER_CONCURRENCY = OCPI_SEND_THREADS
CELERY_BEAT_SCHEDULE = schedule(OCPI_SIDES, pulls=OCPI_PULLS)

# ---------------------------------------------------------------- logging

# text for people, json for machines; both to stderr and with credentials taken out.
LOG_FORMAT = env.choice("LOG_FORMAT", "text", ("text", "json"))
LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"text": {"()": "hub.log_lines.TextLines"}, "json": {"()": "hub.log_lines.JsonLines"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        **{name: {"handlers": [], "propagate": True, "level": LOG_LEVEL} for name in ("django", "django.server")},
        **{name: {"level": "WARNING"} for name in ("celery", "axes")},
    },
}
