"""People and places for all tests.

Places say what this instance is, for one test: `hub_side`, `cpo_side`, `emsp_side` (NL*HUB, NL*TNM, DE*EMS; `side(…)`
for anything else). People are connected platforms, registered without any HTTP: `cpo` (NL*TNM:CPO), `emsp`
(DE*EMS:EMSP), `second_cpo`, `second_emsp`, `hub` (BE*HUB:HUB), `invited` (token A only), `stranger` (unknown token);
`partner("DE*XYZ:EMSP", …)` makes more. The documents in tests/documents belong to NL*TNM and DE*EMS.

    def test_something(cpo_side, emsp, listener, document):
        answer = emsp.get("cpo/2.2.1/locations", query={"limit": 5})      # right token, ids, To and From; checked
        assert answer.codes == (200, 1000)
        emsp.put("cpo/2.2.1/tokens/DE/EMS/1", document("token_rfid", uid="1"), to="NL*TNM", sender=None)

`partner(..., listener=listener)` puts the platform's endpoints on a `tests.platforms.Listener`, which records what it
is sent. Use people after the place: `def test(cpo_side, emsp)`. Every test runs in a transaction that is rolled back,
unless it asks for `@pytest.mark.django_db(transaction=True)`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection
from pytest_django.fixtures import Settings
from whitenoise.middleware import WhiteNoiseMiddleware

from hub import known_objects, passing
from ocpi import defects, hosts, kept, secrets, snapshot, tallies, targets, token_doubt, traffic
from ocpi.enums import Role
from ocpi.models import CredentialsToken, Endpoint, Party, Platform
from tests import emptying, template
from tests.people import Person, at
from tests.platforms import ALL_MODULES, Listener, endpoint_path

DOCUMENTS = Path(__file__).parent / "documents" / "2.2.1"
Partner = Callable[..., Person]
Document = Callable[..., Any]
Side = Callable[..., None]

_OWNED = {"locations", "sessions", "cdrs", "tariffs"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the scenarios first: while one worker waits for its platforms the others compute, and none waits at the end.

    The first of them are the figures, each of which is long and cannot be shared among workers. Otherwise the order
    stays as random as it is.
    """
    items.sort(key=lambda item: ("scenarios" not in item.path.parts, not item.path.name.startswith("test_figure_")))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Have the test database copied from the one with all tables; `migrate` then finds nothing to do."""
    connection.settings_dict["TEST"]["TEMPLATE"] = template.name()


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Hash passwords of people as always, in few rounds: a tenth of all tests log somebody in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PBKDF2PasswordHasher, "iterations", 1000)
        yield


@pytest.fixture(scope="session", autouse=True)
def _static_files_found_once() -> Iterator[None]:
    """Have a process look for the static files once, as a server does, and not for each test that opens a page."""
    find = WhiteNoiseMiddleware.add_files_from_finders
    found: dict[str, dict[str, Any]] = {}

    def add(middleware: Any) -> None:
        if middleware.static_prefix not in found:
            find(middleware)
            found[middleware.static_prefix] = dict(middleware.files)
        middleware.files.update(found[middleware.static_prefix])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", add)
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Let the tests that commit empty their tables afterwards, the audit trail too."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER ocpi_audit_stays_whole ON ocpi_auditentry")
    with pytest.MonkeyPatch.context() as patch:
        emptying.use(patch)
        yield


@pytest.fixture(scope="module")
def vacuumed(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Clean up behind a module that writes thousands of rows: rolled back they are dead rows, and many are an alarm."""
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT quote_ident(relname) FROM pg_stat_user_tables WHERE n_dead_tup > 1000")
        if names := [name for (name,) in cursor.fetchall()]:
            cursor.execute(f"VACUUM {', '.join(names)}")


@pytest.fixture(autouse=True)
def _fresh_registry(settings: Settings) -> Iterator[None]:
    """No test sees another's platforms in memory; nothing is written or woken behind a test's back."""
    settings.OCPI_EXCHANGES = False
    settings.OCPI_WAKE = False
    snapshot.changed()
    defects.forget()
    known_objects.forget()
    passing.forget()
    hosts.forget()
    traffic.forget()
    tallies.forget()
    kept.forget()
    token_doubt.forget()
    yield
    snapshot.changed()


@pytest.fixture
def document() -> Document:
    """Return an example object by the name of its file, with some members changed (None takes one away)."""
    return read_document


def read_document(name: str, /, **changes: Any) -> Any:
    """Read an example object, with some members changed (None takes one away)."""
    found = json.loads((DOCUMENTS / f"{name}.json").read_text())
    for member, value in changes.items():
        if value is None:
            found.pop(member, None)
        else:
            found[member] = value
    return found


@pytest.fixture
def side(settings: Settings) -> Side:
    """Make this instance something else for one test: side("cpo", "emsp", parties=["NL*TNM:CPO"])."""

    def become(*sides: str, parties: Iterable[str], base_url: str = "http://127.0.0.1:8000") -> None:
        settings.OCPI_SIDES = list(sides)
        settings.OCPI_PARTIES = list(parties)
        settings.OCPI_BASE_URL = base_url
        settings.OCPI_SNAPSHOT_LISTEN = False
        snapshot.changed()

    return become


@pytest.fixture
def hub_side(side: Side) -> None:
    side("hub", parties=["NL*HUB:HUB"])


@pytest.fixture
def cpo_side(side: Side) -> None:
    side("cpo", parties=["NL*TNM:CPO"])


@pytest.fixture
def emsp_side(side: Side) -> None:
    side("emsp", parties=["DE*EMS:EMSP"])


@pytest.fixture
def both_sides(side: Side) -> None:
    """Make one instance a CPO and an eMSP."""
    side("cpo", "emsp", parties=["NL*TNM:CPO", "DE*EMS:EMSP"])


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as running:
        yield running


@pytest.fixture
def partner(db: None) -> Partner:
    """Return a function that connects a platform, without any HTTP."""
    return connect


@pytest.fixture
def cpo(db: None) -> Person:
    return connect("NL*TNM:CPO")


@pytest.fixture
def second_cpo(db: None) -> Person:
    return connect("FR*CPX:CPO")


@pytest.fixture
def emsp(db: None) -> Person:
    return connect("DE*EMS:EMSP")


@pytest.fixture
def second_emsp(db: None) -> Person:
    return connect("BE*MSX:EMSP")


@pytest.fixture
def hub(db: None) -> Person:
    return connect("BE*HUB:HUB")


@pytest.fixture
def invited(db: None) -> Person:
    """Somebody with a token A, who may register in any role."""
    return connect(name="invited", state="INVITED", purpose="A", endpoints=(), any_role=True, connection="PLANNED")


@pytest.fixture
def stranger() -> Person:
    """Somebody whose token nobody knows."""
    return Person(token="nobody-gave-this-token-to-anybody", parties=(at("XX*XXX"),))


def connect(
    *roles: str,
    name: str = "",
    listener: Listener | None = None,
    url: str = "http://127.0.0.1:1",
    endpoints: Iterable[tuple[str, str]] | None = None,
    state: str = "REGISTERED",
    purpose: str = "CURRENT",
    connection: str = "CONNECTED",
    approved: bool = True,
    token: str = "",
    raw: bool = False,
    **platform: Any,
) -> Person:
    """Connect a platform with these roles ("NL*TNM:CPO"), by default with the endpoints of its roles."""
    base = listener.url if listener else url
    token = token or secrets.new_token()
    token_out = listener.token_for_us if listener else secrets.new_token()
    # A hub of tests need not have named everybody it speaks for, unless that is what a test is about (PIT-78).
    platform.setdefault("speaks_for_all", any(text.endswith(":HUB") for text in roles))
    row = Platform.objects.create(
        name=name or ", ".join(roles),
        state=state,
        version="2.2.1" if state == "REGISTERED" else "",
        versions_url=f"{base}/ocpi/versions",
        base64_token=not raw,
        hosts=[base.removeprefix("http://").removeprefix("https://")],
        connection=connection,
        **platform,
    )
    if state == "REGISTERED":
        row.token_out = secrets.encrypt(token_out, context=targets.token_context(row.id))
        row.save()
    CredentialsToken.objects.create(platform=row, digest=secrets.digest(token), purpose=purpose, last_four=token[-4:])
    for text in roles:
        add_party(row, text, approved=approved)
    if endpoints is None:
        endpoints = listener.endpoints if listener else _endpoints_of(roles)
    Endpoint.objects.bulk_create(
        Endpoint(platform=row, identifier=module, role=role, url=base + endpoint_path(module, role))
        for module, role in [("credentials", "SENDER"), *endpoints]
        if state == "REGISTERED"
    )
    snapshot.changed()
    return Person(
        token=token, parties=tuple(at(text) for text in roles), platform=row, token_out=token_out, url=base, raw=raw
    )


def add_party(
    platform: Any,
    text: str,
    *,
    approved: bool = True,
    claimed: bool = True,
    through_hub: bool = False,
    status: str = "CONNECTED",
) -> Any:
    """Add a role at an address ("NL*TNM:CPO") to a platform."""
    address = at(text)
    party = Party.objects.create(
        platform=platform,
        country_code=address.country_code,
        party_id=address.party_id,
        role=text.partition(":")[2],
        business_details={"name": text},
        approved=approved,
        claimed=claimed,
        through_hub=through_hub,
        status=status,
    )
    snapshot.changed()
    return party


def _endpoints_of(roles: Iterable[str]) -> list[tuple[str, str]]:
    """Return what a platform in these roles serves."""
    found: list[tuple[str, str]] = []
    for role in (text.partition(":")[2] for text in roles):
        if role == Role.HUB:
            found += [*ALL_MODULES, ("hubclientinfo", "SENDER")]
        else:
            owner = role in (Role.CPO, Role.NAP)
            found += [(module, "SENDER" if (module in _OWNED) == owner else "RECEIVER") for module in dict(ALL_MODULES)]
            found.append(("hubclientinfo", "RECEIVER"))
    return list(dict.fromkeys(found))
