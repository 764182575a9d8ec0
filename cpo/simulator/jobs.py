"""Firmware updates and log uploads of a simulated charge point: done for real over HTTP, told step by step.

The version of a firmware is the first line of its file, if that is a short text; else the begin of its hash. It is
installed when nobody charges any more, and the charge point boots with it. A log is what the charge point has noted.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from cpo.simulator import files
from cpo.simulator.files import NoTransfer
from cpo.simulator.link import CallFailed, Payload

if TYPE_CHECKING:
    from cpo.simulator.base import Simulated

logger = logging.getLogger(__name__)

_LONGEST_VERSION = 50
ACCEPTED, CANCELED = "Accepted", "AcceptedCanceled"
SECURITY_LOG = "SecurityLog"
# What a trigger may ask to be told again.
TRIGGERED = frozenset({"DiagnosticsStatusNotification", "FirmwareStatusNotification", "LogStatusNotification"})
Tell = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A firmware that was asked for; `action` is what its statuses are told by."""

    location: str
    action: str = "FirmwareStatusNotification"
    request_id: int | None = None
    at: str = ""
    install_at: str = ""
    retries: int = 0
    pause_seconds: float = 0
    certificate: str = ""
    signature: str = ""
    in_detail: bool = False  # with the statuses that an UpdateFirmware of OCPP 1.6 does not know


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A log that was asked for."""

    location: str
    name: str
    content: bytes
    action: str = "LogStatusNotification"
    failed: str = "UploadFailure"
    request_id: int | None = None
    retries: int = 0
    pause_seconds: float = 0


class Jobs:
    """What one charge point does for its operator; a new job takes the place of one of its kind."""

    def __init__(self, point: Simulated) -> None:
        self._point = point
        self._told: dict[str, Payload] = {}  # the last status by action
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    # ------------------------------------------------------------ asked

    def update(self, wanted: Update) -> str:
        """Begin an update; return the status to answer."""
        if wanted.certificate and _certificate(wanted.certificate) is None:
            return "InvalidCertificate"
        return self._begin("update", self._update(wanted))

    def upload(self, wanted: Upload) -> str:
        """Begin an upload; return the status to answer."""
        return self._begin("upload", self._upload(wanted))

    def log_of(self, asked: Payload, kind: str) -> tuple[str, bytes]:
        """Return the name and content of a log: what was noted, of a time if one is asked for."""
        begin = str(asked.get("oldestTimestamp") or asked.get("startTime") or "")
        end = str(asked.get("latestTimestamp") or asked.get("stopTime") or "")
        lines = [
            f"{at:%Y-%m-%dT%H:%M:%S.%fZ} {text}"
            for at, text, security in self._point.diary
            if (not begin or at >= datetime.fromisoformat(begin))
            and (not end or at <= datetime.fromisoformat(end))
            and (security or kind != SECURITY_LOG)
        ]
        name = f"{self._point.identity}-{kind}-{datetime.now(UTC):%Y%m%dT%H%M%S}.log"
        return name, ("\n".join(lines) + "\n").encode()

    def status(self, action: str) -> Payload:
        """Return what a status notification says now."""
        return self._told.get(action, {"status": "Idle"})

    def has_told(self, action: str) -> bool:
        return action in self._told

    def tell(self, action: str) -> None:
        """Say again how far it is."""
        self._point.spawn(self._say(action, self.status(action)))

    def _begin(self, kind: str, work: Coroutine[Any, Any, None]) -> str:
        running = self._tasks.get(kind)
        canceled = running is not None and not running.done()
        if running is not None and canceled:
            running.cancel()
        self._tasks[kind] = self._point.spawn(work)
        return CANCELED if canceled else ACCEPTED

    # ------------------------------------------------------------ a firmware

    async def _update(self, wanted: Update) -> None:
        tell = self._teller(wanted.action, wanted.request_id)
        if wanted.in_detail and _seconds_until(wanted.at) > 0:
            await tell("DownloadScheduled")
        await asyncio.sleep(_seconds_until(wanted.at))
        content = None
        for again in range(wanted.retries + 1):
            await asyncio.sleep(wanted.pause_seconds if again else 0)
            await tell("Downloading")
            try:
                content = await asyncio.to_thread(files.fetch, wanted.location)
                break
            except NoTransfer as error:
                self._point.note(f"firmware not fetched: {error}")
        if content is None:
            await tell("DownloadFailed")
            return
        await tell("Downloaded")
        if wanted.certificate:
            good = is_signed(content, wanted.signature, wanted.certificate)
            await tell("SignatureVerified" if good else "InvalidSignature")
            if not good:
                self._point.note("firmware refused: its signature is wrong", security=True)
                return
        if wanted.in_detail and _seconds_until(wanted.install_at) > 0:
            await tell("InstallScheduled")
        await asyncio.sleep(_seconds_until(wanted.install_at))
        await self._install(version_of(content), wanted, tell)

    async def _install(self, version: str, wanted: Update, tell: Tell) -> None:
        point = self._point
        free = [each for each in point.connectors.values() if each.status == "Available"]
        for each in free:
            await point.set_status(each.number, "Unavailable")
        while running := [each.charging for each in point.connectors.values() if each.charging is not None]:
            await asyncio.wait(running)
        await tell("Installing")
        if wanted.in_detail:
            await tell("InstallRebooting")
        for each in free:
            each.status = "Available"
        point.firmware = version
        point.note(f"firmware {version} installed", security=True)
        await point.boot_updated()
        await tell("Installed")

    # ------------------------------------------------------------ a log

    async def _upload(self, wanted: Upload) -> None:
        tell = self._teller(wanted.action, wanted.request_id)
        for again in range(wanted.retries + 1):
            await asyncio.sleep(wanted.pause_seconds if again else 0)
            await tell("Uploading")
            try:
                await asyncio.to_thread(files.leave, wanted.location, wanted.name, wanted.content)
            except NoTransfer as error:
                self._point.note(f"log not uploaded: {error}")
            else:
                await tell("Uploaded")
                return
        await tell(wanted.failed)

    # ------------------------------------------------------------ told

    def _teller(self, action: str, request_id: int | None) -> Tell:
        async def tell(status: str) -> None:
            told: Payload = {"status": status} | ({} if request_id is None else {"requestId": request_id})
            self._told[action] = told
            await self._say(action, told)

        return tell

    async def _say(self, action: str, payload: Payload) -> None:
        try:
            await self._point.link.call_until_answered(action, payload)
        except CallFailed as error:
            logger.info("%s could not tell %s: %s", self._point.identity, action, error)


def version_of(content: bytes) -> str:
    """Return the version that a charge point shows once it runs this firmware."""
    first = content.split(b"\n", 1)[0].strip()
    if 0 < len(first) <= _LONGEST_VERSION and first.isascii() and first.decode().isprintable():
        return first.decode()
    return hashlib.sha256(content).hexdigest()[:12]


def is_signed(content: bytes, signature: str, certificate: str) -> bool:
    """Say whether a firmware is signed by the key of a certificate."""
    found = _certificate(certificate)
    if found is None:
        return False
    key, sha256 = found.public_key(), hashes.SHA256()
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(raw, content, ec.ECDSA(sha256))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(raw, content, padding.PSS(padding.MGF1(sha256), padding.PSS.AUTO), sha256)
        else:
            return False
    except (InvalidSignature, ValueError):
        return False
    return True


def _certificate(pem: str) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return None


def _seconds_until(moment: str) -> float:
    if not moment:
        return 0.0
    return max((datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds(), 0.0)


def update_of(asked: Payload, **more: Any) -> Update:
    """Return what an UpdateFirmware of OCPP 2.0.1, or a SignedUpdateFirmware of 1.6, asks for."""
    firmware = asked["firmware"]
    return Update(
        location=firmware["location"],
        request_id=asked["requestId"],
        at=firmware.get("retrieveDateTime", ""),
        install_at=firmware.get("installDateTime", ""),
        retries=asked.get("retries", 0),
        pause_seconds=asked.get("retryInterval", 0),
        certificate=firmware.get("signingCertificate", ""),
        signature=firmware.get("signature", ""),
        in_detail=True,
        **more,
    )


def get_log(jobs: Jobs, asked: Payload) -> Payload:
    """Answer a GetLog, which both versions have alike."""
    name, content = jobs.log_of(asked["log"], asked["logType"])
    status = jobs.upload(
        Upload(
            location=asked["log"]["remoteLocation"],
            name=name,
            content=content,
            request_id=asked["requestId"],
            retries=asked.get("retries", 0),
            pause_seconds=asked.get("retryInterval", 0),
        )
    )
    return {"filename": name, "status": status}
