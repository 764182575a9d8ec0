"""May this id tag charge here? Own rules, the whitelist, a question to the eMSP, in this order (OCPP-72, TOK-19…24).

`prepare` only reads the database; it returns a Verdict, or a Question whose answer needs an HTTP request. `ask` makes
that request and is called without a transaction; it may take as long as OCPI_AUTHORIZE_TIMEOUT.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from cpo import policy, recipients, whitelist_states
from cpo.models import EVSE, AuthorizationAnswer, ChargePoint, CommandedToken, Transaction
from cpo.modules import id_tags, tokens
from cpo.whitelist_states import ACCEPTED, BLOCKED, CONCURRENT, INVALID
from ocpi import client, clock, defects, documents, exchanges, ours, snapshot, status
from ocpi.enums import Role
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Address, Routing, new_id
from ocpi.snapshot import KnownPlatform
from ocpi.v2_2_1 import tokens as schema

log = logging.getLogger(__name__)

# An answer given to Authorize counts for the start that follows it.
_REMEMBERED = timedelta(minutes=5)
_APP_TYPES = frozenset({"APP_USER", "AD_HOC_USER"})
_UNREACHABLE = frozenset({4002, 4003})
_MOST_CANDIDATES = 5
_LONGEST_UID = 36


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a charge point is told about a tag, and whose Token it is."""

    status: str  # idTagInfo of OCPP 1.6
    token: str = ""  # the Token's document
    auth_method: str = "WHITELIST"
    authorization_reference: str = ""
    asked: bool = False
    commanded_id: int | None = None
    parent: str = ""  # of a tag of the tenant's own, which has no Token
    status_201: str = ""  # idTokenInfo of OCPP 2.0.1, where that says more

    def told(self, protocol: str) -> str:
        """Return what a charge point of this OCPP version is told (M-8)."""
        return self.status if protocol == "1.6" else self.status_201 or self.status

    @property
    def accepted(self) -> bool:
        return self.status == ACCEPTED


_UNKNOWN = Verdict(INVALID, status_201=whitelist_states.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An eMSP that may know a token, and the platform it is reached on; no address: the hub finds it (open routing)."""

    platform: KnownPlatform
    address: Address | None


@dataclass(frozen=True, slots=True)
class Question:
    """What the eMSPs have to be asked, and what holds if none can be reached."""

    uid: str
    type: str
    candidates: tuple[Candidate, ...]
    otherwise: Verdict
    token: str = ""
    location: dict[str, Any] = field(default_factory=dict)  # LocationReferences
    sender: Address | None = None


def prepare(
    charge_point: ChargePoint, id_tag: str, *, connector: int | None = None, token_type: str = ""
) -> Verdict | Question:
    """Return the decision about a tag, or what has to be asked first; `connector` is known when a session starts.

    `token_type` is the type of an idToken of OCPP 2.0.1.
    """
    commanded = _commanded(charge_point, id_tag, connector)
    if commanded is not None:
        return Verdict(
            ACCEPTED, commanded.document, "COMMAND", commanded.authorization_reference, commanded_id=commanded.id
        )
    own = id_tags.decide(charge_point, id_tag, connector=connector)
    if own is not None:
        return Verdict(own.status, parent=own.parent)
    if connector is not None:
        remembered = _remembered(charge_point, id_tag)
        if remembered is not None:
            return remembered
    location = _location(charge_point, connector)
    types = whitelist_states.TOKEN_TYPES.get(token_type, (tokens.RFID,))
    known = tokens.with_id_token(id_tag, types) if token_type else tokens.with_tag(id_tag)
    sender = Address(charge_point.country_code, charge_point.party_id)
    if not known:
        if len(id_tag) > _LONGEST_UID:
            return _UNKNOWN  # no Token of OCPI can be meant
        return Question(id_tag, types[0], _everybody(), _UNKNOWN, location=location, sender=sender)
    token = known[0]
    if _in_use(charge_point, token, connector):
        return Verdict(CONCURRENT, token.document)
    action, otherwise = whitelist_states.decide(token.whitelist, valid=token.valid, gone=token.gone_at is not None)
    verdicts = {
        whitelist_states.ACCEPT: Verdict(ACCEPTED, token.document),
        whitelist_states.REJECT: Verdict(INVALID if token.valid else BLOCKED, token.document),
    }
    if action != whitelist_states.ASK:
        return verdicts[action]
    owner = Address(token.country_code, token.party_id)
    platform = recipients.asked(owner, "tokens")
    if platform is None:
        return verdicts[otherwise]
    if not _connected(platform, owner):
        return _unanswered(platform, verdicts[otherwise])
    return Question(
        token.uid, token.type, (Candidate(platform, owner),), verdicts[otherwise], token.document, location, sender
    )


def ask(question: Question, *, seconds: float | None = None) -> Verdict:
    """Ask the eMSPs one by one until one allows it or the time is up (TOK-23, OCPP-73). Not in a transaction.

    With `seconds` they have so long, whatever was agreed with them.
    """
    until = time.monotonic() + (seconds or policy.authorize_seconds())
    verdict = question.otherwise
    for candidate in question.candidates:
        left = until - time.monotonic()
        if left <= 0:
            break
        agreed = None if seconds else candidate.platform.authorize_seconds
        answered = _ask_one(question, candidate, min(left, agreed or left))
        verdict = answered or _unanswered(candidate.platform, verdict)
        if verdict.accepted:
            break
    return verdict


def _unanswered(platform: KnownPlatform, otherwise: Verdict) -> Verdict:
    """Return what holds when a platform gives no answer in time: the whitelist's word, or as was agreed (QRK-10)."""
    if platform.late_authorization == "deny":
        return Verdict(INVALID, otherwise.token)
    if platform.late_authorization == "allow" and otherwise.token and documents.get(otherwise.token, "valid"):
        return Verdict(ACCEPTED, otherwise.token)
    return otherwise


def remember(charge_point: ChargePoint, id_tag: str, verdict: Verdict) -> None:
    """Keep what was answered to an Authorize for the start that follows, so that nobody is asked twice."""
    AuthorizationAnswer.objects.create(
        charge_point=charge_point,
        id_tag=id_tag,
        status=verdict.status,
        asked=verdict.asked,
        document=verdict.token,
        authorization_reference=verdict.authorization_reference,
    )


def _commanded(charge_point: ChargePoint, id_tag: str, connector: int | None) -> CommandedToken | None:
    """Return the START_SESSION after which nobody is asked (CMD-27): an app's for its session, a card's for 15 min."""
    rows = CommandedToken.objects.extra(where=["UPPER(id_tag) = UPPER(%s)"], params=[id_tag]).filter(
        charge_point=charge_point, expires_at__gt=clock.now()
    )
    found: CommandedToken | None = None
    for row in rows.order_by("-id"):
        if row.type in _APP_TYPES and row.used_at is not None:
            continue
        if connector is None or row.connector_id in (None, connector):
            found = row
            break
    return found


def _remembered(charge_point: ChargePoint, id_tag: str) -> Verdict | None:
    row = (
        AuthorizationAnswer.objects.extra(where=["UPPER(id_tag) = UPPER(%s)"], params=[id_tag])
        .filter(charge_point=charge_point, at__gt=clock.now() - _REMEMBERED)
        .order_by("-at", "-id")
        .first()
    )
    # Only what an eMSP said itself: the whitelist may have changed, and asking again may succeed.
    if row is None or not row.asked or row.status != ACCEPTED:
        return None
    return Verdict(row.status, row.document, "AUTH_REQUEST", row.authorization_reference, asked=True)


def _in_use(charge_point: ChargePoint, token: Any, connector: int | None) -> bool:
    """Say whether a card charges elsewhere already (OCPP-76); apps may start as many sessions as they like."""
    if token.type in _APP_TYPES:
        return False
    names = [token.id_tag.upper(), token.uid.upper()]  # one of 1.6, one of 2.0.1
    rows = Transaction.objects.extra(where=["UPPER(id_tag) = ANY(%s)"], params=[names]).filter(
        stopped_at=None, authorised=True, superseded_at=None
    )
    here = rows.filter(charge_point=charge_point)
    if connector is None:
        # An Authorize at a charge point where it charges is how most drivers end a session.
        return not here.exists() and rows.exists()
    return rows.exclude(charge_point=charge_point, connector_id=connector).exists()


def _location(charge_point: ChargePoint, connector: int | None) -> dict[str, Any]:
    rows = EVSE.objects.filter(charge_point=charge_point).exclude(status="REMOVED")
    if connector is not None:
        rows = rows.filter(connector_id=connector)
    found = list(rows.order_by("id").values_list("location__object_id", "uid"))
    if not found:
        return {}
    return {"location_id": found[0][0], "evse_uids": [uid for location_id, uid in found if location_id == found[0][0]]}


def _everybody() -> tuple[Candidate, ...]:
    """Return all eMSPs that answer real-time authorizations; a hub without known parties finds them itself."""
    found: list[Candidate] = []
    for platform in snapshot.current().platforms.values():
        if not platform.reachable or ("tokens", "SENDER") not in platform.endpoints:
            continue
        parties = {party.address.key: party for party in platform.parties if party.active and party.role == "EMSP"}
        found += [
            Candidate(platform, party.address)
            for party in parties.values()
            if not party.through_hub or party.status == "CONNECTED"
        ]
        if platform.is_hub and not parties:
            found.append(Candidate(platform, None))
    # Who is connected directly is not asked through a hub, too (HUB-87).
    chosen: dict[object, Candidate] = {}
    for each in sorted(found, key=lambda candidate: candidate.platform.is_hub):
        chosen.setdefault(each.address.key if each.address else each.platform.id, each)
    return tuple(chosen.values())[:_MOST_CANDIDATES]


def _connected(platform: KnownPlatform, owner: Address) -> bool:
    return platform.reachable and not platform.away(owner)


def _ask_one(question: Question, candidate: Candidate, seconds: float) -> Verdict | None:
    """Return what one eMSP says; nothing if it cannot be reached (TOK-24)."""
    platform = candidate.platform
    routing = Routing(to=candidate.address, sender=question.sender or ours.addresses(Role.CPO)[0])
    query = {} if question.type == "RFID" else {"type": question.type}
    url = client.join(platform.endpoints[("tokens", "SENDER")], question.uid, "authorize", query=query or None)
    headers = {**routing.as_headers(), REQUEST_ID: new_id(), CORRELATION_ID: new_id()}
    body = documents.encode(question.location) if question.location else None
    result: client.Answer | client.ClientError
    try:
        result = client.send(platform.target(), "POST", url, body=body, headers=headers, timeout=seconds)
    except client.ClientError as error:
        result = error
    exchanges.record_out(result, platform_id=platform.id, module="tokens", routing=routing)
    if isinstance(result, client.ClientError):
        if isinstance(result, client.NoAnswer):
            defects.note(platform.id, "QRK-10 no authorization in time", f"POST {url}")
        log.warning("no real-time authorization from %s: %s", platform.name, result)
        return None
    with defects.reading(platform.id, f"POST {url}"):
        return _read(question, candidate, result)


def _read(question: Question, candidate: Candidate, answer: client.Answer) -> Verdict | None:
    if answer.http_status == 404 or answer.status_code == 2004:
        # TOK-28: unknown there, with whatever body
        return Verdict(INVALID, question.token, asked=True, status_201=whitelist_states.UNKNOWN)
    if answer.http_status >= 500 or answer.status_code in _UNREACHABLE:
        return None
    if not answer.ok:
        return Verdict(INVALID, question.token, asked=True)
    try:
        text = answer.object_text() or b"null"
        if answer.data_text() not in (None, text):
            defects.noted(["QRK-06 data in a list"])
        info = documents.members(text)
        allowed = _text(info, "allowed")
        token = _token(info) or question.token
    except (client.Garbage, status.OcpiError, msgspec.DecodeError):
        log.warning("an AuthorizationInfo that cannot be read")
        return None
    told = whitelist_states.OCPP_16.get(allowed, INVALID)
    told_201 = whitelist_states.OCPP_201.get(allowed, INVALID)
    if token and not _theirs(token, question, candidate):
        log.warning("%s answers for a Token that is not its own", candidate.platform.name)
        return Verdict(INVALID, question.token, asked=True)
    if told == ACCEPTED and not (token and _here(info, question)):
        told, told_201 = INVALID, whitelist_states.NOT_HERE if token else INVALID
    reference = _text(info, "authorization_reference")[:36]
    return Verdict(told, token, "AUTH_REQUEST", reference, asked=True, status_201=told_201)


def _token(info: dict[str, msgspec.Raw]) -> str:
    """Return the Token of an AuthorizationInfo; older partners leave it out (PIT-46)."""
    raw = bytes(info.get("token", msgspec.Raw(b"null")))
    if raw == b"null":
        defects.noted(["PIT-46 AuthorizationInfo without a token"])
        return ""
    return defects.taken(schema.check_leniently(raw, "Token")).decode()


def _theirs(token: str, question: Question, candidate: Candidate) -> bool:
    """Say whether it is the Token that was asked about, of the eMSP that was asked: nobody spends for others."""
    found = {name: str(documents.get(token, name)) for name in ("country_code", "party_id", "uid")}
    owner = Address(found["country_code"], found["party_id"])
    if found["uid"].casefold() != question.uid.casefold():
        return False
    if candidate.address is not None:
        return owner.key == candidate.address.key
    places = snapshot.current().at(owner, "EMSP")
    return not any(not party.through_hub and party.platform_id != candidate.platform.id for party in places)


def _here(info: dict[str, msgspec.Raw], question: Question) -> bool:
    """Say whether the answer allows our EVSEs; without a list it allows all of them (TOK-31)."""
    raw = bytes(info.get("location", msgspec.Raw(b"null")))
    if raw[:1] != b"{" or not question.location:
        return True
    allowed = documents.get(raw, "evse_uids")
    uids = [allowed] if isinstance(allowed, str) else allowed
    if not uids or not isinstance(uids, list):
        return True
    folded = {str(uid).casefold() for uid in uids}
    return any(uid.casefold() in folded for uid in question.location["evse_uids"])


def _text(info: dict[str, msgspec.Raw], name: str) -> str:
    value = msgspec.json.decode(info.get(name, msgspec.Raw(b"null")))
    return value if isinstance(value, str) else ""
