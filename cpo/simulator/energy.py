"""What a simulated car draws, and what its charge point has metered, in whole Wh as a meter shows it. Pure."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

_TAPER_AT = 0.8  # batteries take full power up to here


@dataclass(slots=True)
class Metered:
    """One transaction as the charge point itself has metered it."""

    connector: int
    id_tag: str
    meter_start_wh: int
    started_at: datetime
    transaction_id: int | str = 0  # OCPP 2.0.1: a text that the charge point itself makes up
    meter_stop_wh: int | None = None
    stopped_at: datetime | None = None
    reason: str = ""
    accepted: bool = False
    # Of OCPP 2.0.1: the type of the token, the number of the next event, what the car did when it was last told.
    token_type: str = ""
    seq_no: int = 0
    state: str = ""
    remote_start_id: int | None = None
    samples: list[tuple[datetime, int]] = field(default_factory=list)

    @property
    def energy_wh(self) -> int:
        """What has been delivered, so far or in all."""
        last = self.meter_stop_wh if self.meter_stop_wh is not None else self.samples[-1][1] if self.samples else None
        return (last if last is not None else self.meter_start_wh) - self.meter_start_wh


@dataclass(slots=True)
class Car:
    """A battery that takes less power as it fills."""

    capacity_wh: float = 60_000
    state_of_charge: float = 0.2

    def power(self, available_w: float) -> float:
        if self.state_of_charge >= 1:
            return 0.0
        left = (1 - self.state_of_charge) / (1 - _TAPER_AT)
        return available_w * min(1.0, max(left, 0.05))

    def charge(self, available_w: float, time: timedelta) -> float:
        """Draw for a while; return the energy in Wh."""
        energy = self.power(available_w) * time.total_seconds() / 3600
        energy = min(energy, (1 - self.state_of_charge) * self.capacity_wh)
        self.state_of_charge += energy / self.capacity_wh
        return energy
