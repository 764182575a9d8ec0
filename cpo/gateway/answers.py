"""Answer the CALLs of one charge point: check, keep, have decided, answer; each refusal has its CALLERROR."""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol

from cpo.gateway import actions, frames, schemas
from cpo.gateway.actions import Action, Situation
from cpo.gateway.config import Config
from cpo.gateway.decisions import Decisions
from cpo.gateway.frame_log import FrameLog
from cpo.gateway.frames import Call, Fault, FrameError, PayloadError
from cpo.gateway.inbox_writer import InboxWriter, Kept, Message, StoreUnavailable, Superseded
from cpo.gateway.store import UNREACHABLE, Record, Store
from cpo.gateway.watch import Watch

logger = logging.getLogger(__name__)

_DEVIATIONS = 200  # kinds remembered per connection
_ALARM_SECONDS = 300  # between two alarms of one connection


class Services(Protocol):
    """What a connection needs of its node."""

    config: Config
    store: Store
    inbox: InboxWriter
    decisions: Decisions
    frame_log: FrameLog
    watch: Watch

    def spawn(self, work: Coroutine[Any, Any, None]) -> None: ...


class Speaker(Protocol):
    """Whose CALLs are answered."""

    record: Record
    version: str
    epoch: int
    booted: bool
    triggered: set[str]  # actions we have asked for on this connection


class Answers:
    """The answers to one charge point on one connection."""

    def __init__(self, services: Services, speaker: Speaker) -> None:
        self._services = services
        self._speaker = speaker
        self._actions = actions.ACTIONS[speaker.version]
        self._deviations: set[tuple[str, str]] = set()
        self._quiet_until = 0.0  # the loop's time until when no further alarm is raised

    async def answer(self, item: Call | FrameError) -> str | None:
        """Return the frame to send back, if any.

        :raises StoreUnavailable: if it cannot be kept now; then it must stay unanswered.
        :raises Superseded: if a newer connection has come.
        """
        if isinstance(item, FrameError):
            if item.fault is Fault.OURS:
                self._alarm("", None)
            return self._refusal(item)
        answer = await self._answer_text(item)
        return None if item.send else answer

    def _refusal(self, error: FrameError) -> str:
        code = frames.error_code(error.fault, self._speaker.version)
        if error.of_result:
            return frames.call_result_error(str(error.message_id), code, error.text)
        return frames.call_error(error.message_id, code, error.text)

    async def _answer_text(self, call: Call) -> str:
        try:
            return frames.call_result_of(call.message_id, await self._answer(call))
        except PayloadError as error:
            return self._refusal(FrameError(error.fault, error.text, message_id=call.message_id))
        except (StoreUnavailable, Superseded):
            raise
        except Exception as error:
            logger.exception(
                "ocpp call failed: %s %s %s", self._speaker.record.identity, call.action[:64], call.message_id
            )
            return await self._failed(call, error)

    async def _failed(self, call: Call, error: Exception) -> str:
        """Park what our own fault kept from being handled.

        What a transaction is billed by is answered as usual once it is parked, a start with its real id (OCPP-27,
        OCPP-39): a charge point that gets a CALLERROR may drop the message. All else is told InternalError.

        :raises StoreUnavailable: if a message of a transaction cannot even be parked: what nobody has kept stays
            unanswered, so that the charge point sends it again (OCPP-98).
        """
        action = self._actions.get(call.action)
        if action is None or not action.kept:
            self._alarm(call.action, error)
            return self._refusal(FrameError(Fault.OURS, "internal error", message_id=call.message_id))
        billed = call.action in actions.BILLED
        try:
            kept = await self._services.inbox.keep(self._parked(call, error))
        except (StoreUnavailable, Superseded):
            raise
        except Exception as worse:
            logger.exception("ocpp call could not be parked: %s %s", self._speaker.record.identity, call.message_id)
            self._alarm(call.action, worse)
            if billed:
                raise StoreUnavailable from worse
        else:
            if billed:
                return frames.call_result(call.message_id, _answer_of_parked(call, kept))
        return self._refusal(FrameError(Fault.OURS, "internal error", message_id=call.message_id))

    def _parked(self, call: Call, error: Exception) -> Message:
        now = datetime.now(UTC)
        message = Message(
            charge_point=self._speaker.record.id,
            epoch=self._speaker.epoch,
            received_at=now,
            protocol=self._speaker.version,
            action=call.action,
            message_id=call.message_id,
            payload=call.text,
            payload_hash=actions.payload_hash(f"failed {call.action}", call.text),  # a repeat gets another chance
            answer=None,
            state="FAILED",
            error=f"{type(error).__name__}: {error}"[:2000],
            repeats=False,
        )
        if call.action == "StartTransaction":
            # The key is what gives it its id; a repeat finds it by that, whatever was wrong with us the first time.
            try:
                start = actions.start_key(self._speaker.record.id, call.payload, now)
            except Exception:
                start = actions.StartKey(message.payload_hash)
            message.start_key, message.start_key_since = start.key, start.since
        return message

    def _alarm(self, action: str, error: Exception | None) -> None:
        """Have an operator told of an error that no parked message tells of, once in a while (OCPP-27, OCPP-108)."""
        loop_time = asyncio.get_running_loop().time()
        if loop_time < self._quiet_until:
            return
        self._quiet_until = loop_time + _ALARM_SECONDS
        record = self._speaker.record
        name = type(error).__name__ if error is not None else "a frame that could not be read"
        self._services.spawn(
            self._services.store.note_event(
                "GatewayError", identity=record.identity, charge_point=record.id, info=f"{action[:64]} {name}".strip()
            )
        )

    def _action(self, call: Call) -> Action:
        action = self._actions.get(call.action)
        if action is None:
            known = call.action in schemas.actions(self._speaker.version)
            raise PayloadError(
                Fault.SWITCHED_OFF if known else Fault.UNKNOWN_ACTION,
                "the central system does not take this action",
                "",
            )
        if call.action in self._speaker.record.switched_off and call.action in actions.SWITCHABLE:
            raise PayloadError(Fault.SWITCHED_OFF, "this action is switched off for the charge point", "")
        self._check_boot_status(call.action, action)
        return action

    def _check_boot_status(self, name: str, action: Action) -> None:
        """Refuse what a charge point that is not accepted may not say (OCPP-32)."""
        boot_status = self._speaker.record.boot_status
        if boot_status == "Rejected" and name != "BootNotification":
            raise PayloadError(Fault.NOT_NOW, "the charge point is rejected", "")
        asked = action.in_pending or name in self._speaker.triggered
        if boot_status == "Pending" and self._speaker.version != "1.6" and not asked:
            raise PayloadError(Fault.NOT_NOW, "the charge point is not accepted yet", "")

    async def _answer(self, call: Call) -> str:
        action = self._action(call)
        error = ""
        try:
            deviation = frames.check_payload(
                self._speaker.version, call.action, call.payload, lenient=self._speaker.record.lenient
            )
            if deviation is not None:
                self._deviates(call.action, deviation)
        except PayloadError as refused:
            if not action.parked:
                raise
            self._deviates(call.action, refused.kind)
            error = refused.text
        now = datetime.now(UTC)
        situation = self._situation(now)
        if not action.kept:
            return frames.payload_text(action.answer(call.payload, situation))
        self._services.watch.clocks.note(self._speaker.record.id, call.payload, now)
        kept = await self._keep(call, action, situation, error)
        self._services.watch.duplicates[call.action] += kept.repeated
        if kept.reused:
            self._deviates(call.action, "message id used again for another message")
        if call.action == "BootNotification":
            self._note_boot(call, now)
        if not action.fresh:
            if not error and action.waits(call.payload):
                return frames.payload_text(await self._decided(call, action, kept, situation))
            if kept.answer:
                # From the first time it may be an older one of ours; it is sent as it was (OCPP-26).
                return kept.answer
        return frames.payload_text(action.answer(call.payload, situation))

    def _situation(self, now: datetime) -> Situation:
        config = self._services.config
        heartbeat = self._speaker.record.heartbeat_seconds or config.heartbeat_seconds
        return Situation(now, self._speaker.record.boot_status, heartbeat, config.retry_seconds)

    async def _keep(self, call: Call, action: Action, situation: Situation, error: str) -> Kept:
        waits = not error and action.waits(call.payload)
        message = Message(
            charge_point=self._speaker.record.id,
            epoch=self._speaker.epoch,
            received_at=situation.now,
            protocol=self._speaker.version,
            action=call.action,
            message_id=call.message_id,
            payload=call.text,
            payload_hash=actions.payload_hash(call.action, call.text),
            answer=None if waits else frames.payload_text(action.answer(call.payload, situation)),
            state="FAILED" if error else "NEW",
            error=error,
            repeats=not action.fresh,
        )
        if call.action == "StartTransaction":
            start = actions.start_key(self._speaker.record.id, call.payload, situation.now)
            message.start_key, message.start_key_since = start.key, start.since
        return await self._services.inbox.keep(message)

    async def _decided(self, call: Call, action: Action, kept: Kept, situation: Situation) -> Any:
        """Return the CPO side's answer, or after a while our own."""
        text = kept.answer or await self._services.decisions.wait(kept.id, self._services.config.decision_seconds)
        own = action.answer(call.payload, situation)
        if kept.transaction_id is not None:
            own["transactionId"] = kept.transaction_id
        if text is None:
            logger.warning("ocpp no decision in time: %s %s", self._speaker.record.identity, call.action)
            try:
                text = await self._services.decisions.give_up(kept.id, frames.payload_text(own))
            except UNREACHABLE:
                return own
        answer = frames.read_payload(text)
        if kept.transaction_id is not None and isinstance(answer, dict):
            answer["transactionId"] = kept.transaction_id
        try:
            frames.check_text(self._speaker.version, call.action, frames.payload_text(answer), answer=True)
        except PayloadError as error:
            logger.error("ocpp decision breaks the schema: %s %s: %s", call.action, kept.id, error.text)
            return own
        return answer

    def _note_boot(self, call: Call, now: datetime) -> None:
        self._speaker.booted = True
        self._services.spawn(self._services.store.booted(self._speaker.record.id, call.text, now))

    def _deviates(self, action: str, kind: str) -> None:
        self._services.watch.deviations[action] += 1
        if (action, kind) not in self._deviations and len(self._deviations) < _DEVIATIONS:
            self._deviations.add((action, kind))
            self._services.spawn(self._services.store.deviates(self._speaker.record.id, action, kind))


def _answer_of_parked(call: Call, kept: Kept) -> Any:
    """Return what a parked message of a transaction is answered: what it was answered before, if it is a repeat."""
    if kept.answer:
        answer = frames.read_payload(kept.answer)
    elif call.action == "StartTransaction":
        answer = {"idTagInfo": {"status": "Invalid"}}  # nobody is let in unasked, and nothing is lost
    else:
        answer = {}
    if kept.transaction_id is not None:
        answer["transactionId"] = kept.transaction_id
    return answer
