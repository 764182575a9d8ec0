"""The TransactionEvents of a simulated OCPP 2.0.1 station: numbered, kept in order while the line is away, replayed."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from datetime import datetime

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cpo.simulator.clock import write
from cpo.simulator.energy import Metered
from cpo.simulator.link import CallFailed, Link, Payload

logger = logging.getLogger(__name__)


class Events:
    """What a station still has to tell of its transactions, oldest first."""

    def __init__(self, link: Link, *, signs: bool) -> None:
        self._link = link
        self._queue: asyncio.Queue[tuple[Payload, asyncio.Future[Payload]]] = asyncio.Queue()
        self._signer = Signer() if signs else None
        self._under_way = 0

    @property
    def waiting(self) -> bool:
        """Say whether something has not been answered yet."""
        return self._under_way > 0

    async def run(self) -> None:
        """Tell one after the other, each until it is answered."""
        while True:
            payload, told = await self._queue.get()
            try:
                answer = await self._link.call_until_answered("TransactionEvent", payload)
                if not told.done():
                    told.set_result(answer)
            except CallFailed as error:
                logger.warning("%s: an event was refused: %s", self._link.identity, error)
                if not told.done():
                    told.set_result({})
            finally:
                self._under_way -= 1

    def tell(
        self,
        kind: str,
        trigger: str,
        metered: Metered,
        *,
        at: datetime,
        wh: int | None = None,
        watts: float | None = None,
        charge: float | None = None,
        context: str = "Sample.Periodic",
        token: bool = False,
        reservation: int | None = None,
    ) -> asyncio.Future[Payload]:
        """Queue an event; what is returned has the answer once there is one."""
        told = {
            "transactionId": metered.transaction_id,
            "chargingState": metered.state or None,
            "stoppedReason": metered.reason or None,
            "remoteStartId": metered.remote_start_id,
        }
        payload: Payload = {
            "eventType": kind,
            "triggerReason": trigger,
            "timestamp": write(at),
            "seqNo": metered.seq_no,
            "evse": {"id": metered.connector, "connectorId": 1},
            "transactionInfo": {name: value for name, value in told.items() if value is not None},
        }
        if not self._link.online.is_set():
            payload["offline"] = True
        if token:
            payload["idToken"] = {"idToken": metered.id_tag, "type": metered.token_type}
        if reservation is not None:
            payload["reservationId"] = reservation
        if wh is not None:
            payload["meterValue"] = [
                {"timestamp": write(at), "sampledValue": self._sampled(wh, watts, charge, context, at)}
            ]
        metered.seq_no += 1
        self._under_way += 1
        future: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((payload, future))
        return future

    def _sampled(self, wh: int, watts: float | None, charge: float | None, context: str, at: datetime) -> list[Payload]:
        energy: Payload = {
            "value": wh,
            "measurand": "Energy.Active.Import.Register",
            "context": context,
            "unitOfMeasure": {"unit": "Wh"},
        }
        if self._signer is not None and context != "Sample.Periodic":
            energy["signedMeterValue"] = self._signer.sign(wh, context, at)
        found = [energy]
        if watts is not None:
            found.append(
                {
                    "value": round(watts / 1000, 4),
                    "measurand": "Power.Active.Import",
                    "context": context,
                    "unitOfMeasure": {"unit": "W", "multiplier": 3},
                }
            )
        if charge is not None:
            found.append({"value": round(charge * 100), "measurand": "SoC", "context": context})
        return found


class Signer:
    """A meter that signs what it shows, in the Open Charge Metering Format."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._public = base64.b64encode(public).decode()
        self._count = 0

    def sign(self, wh: int, context: str, at: datetime) -> Payload:
        """Return a signedMeterValue."""
        self._count += 1
        shown = {
            "FV": "1.0",
            "GI": "Simulated",
            "PG": f"T{self._count}",
            "RD": [
                {
                    "TM": at.strftime("%Y-%m-%dT%H:%M:%S,000+0000 S"),
                    "TX": {"Transaction.Begin": "B", "Transaction.End": "E"}.get(context, "C"),
                    "RV": wh,
                    "RI": "1-b:1.8.0",
                    "RU": "Wh",
                    "ST": "G",
                }
            ],
        }
        text = json.dumps(shown, separators=(",", ":"))
        signature = self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
        document = f'OCMF|{text}|{{"SA":"ECDSA-secp256r1-SHA256","SD":"{signature.hex()}"}}'
        return {
            "signedMeterData": base64.b64encode(document.encode()).decode(),
            "signingMethod": "ECDSA-secp256r1-SHA256",
            "encodingMethod": "OCMF",
            "publicKey": self._public,
        }
