"""How a simulated charge point behaves, and what each of its connectors is doing."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from cpo.simulator.clock import Epoch
from cpo.simulator.energy import Car, Metered


@dataclass(slots=True)
class Connector:
    """One connector of the charge point."""

    number: int
    register_wh: float
    status: str = "Available"
    car: Car | None = None
    open: Metered | None = None
    charging: asyncio.Task[None] | None = None
    stopping: str = ""  # why the transaction is to end, once it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """How a simulated charge point behaves."""

    connectors: int = 1
    power_w: float = 22_000
    voltage: float = 230
    phases: int = 3
    seconds_per_minute: float = 60
    clock_behind: timedelta = timedelta(hours=24)
    epoch: Epoch | None = None  # shared by charge points that are to agree about the time
    sample_minutes: float = 1
    authorize_remote: bool = False  # Authorize before a remote start (AuthorizeRemoteTxRequests)
    session_minutes: float | None = None  # a session ends by itself after this; None: when the car is full
    vendor: str = "Simulated"
    model: str = "One"
    answer_seconds: float = 20
    reconnect_seconds: float = 1
    heartbeat: bool = True
    reserves_any: bool = True  # a reservation may be of whichever connector is free (ReserveConnectorZeroSupported)
    firmware: str = "1.0"
    stops_refused: bool = True  # a transaction whose tag is refused ends by itself (StopTransactionOnInvalidId)
    signs: bool = False  # OCPP 2.0.1: meter values of begin and end are signed
