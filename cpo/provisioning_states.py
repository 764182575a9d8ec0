"""How a charge point is set as planned after a boot (OCPP-34): the run, and each setting of it. Pure."""

from __future__ import annotations

from ocpi import transitions

READING = "READING"  # it is asked how it is set
SETTING = "SETTING"  # what differs is being set
DONE = "DONE"
FAILED = "FAILED"  # it did not say how it is set

RUNS: transitions.Table = {
    READING: {"read": SETTING, "unread": FAILED, "boot": READING},
    SETTING: {"set": DONE, "boot": READING},
    DONE: {"boot": READING},
    FAILED: {"boot": READING},
}
transitions.check_table(RUNS)
OPEN = (READING, SETTING)

WAITING = "WAITING"  # to be set
SAME = "Same"  # it was set so already
ACCEPTED = "Accepted"
REJECTED = "Rejected"
REBOOT_REQUIRED = "RebootRequired"
NOT_SUPPORTED = "NotSupported"
UNANSWERED = "Unanswered"  # as often as we ask

SETTINGS: transitions.Table = {
    WAITING: {"same": SAME, "accepted": ACCEPTED, "rejected": REJECTED, "reboot": REBOOT_REQUIRED,
              "unknown": NOT_SUPPORTED, "unanswered": WAITING, "given_up": UNANSWERED, "boot": WAITING},
    SAME: {"boot": WAITING},
    ACCEPTED: {"boot": WAITING},
    REJECTED: {"boot": WAITING},
    REBOOT_REQUIRED: {"boot": WAITING},
    NOT_SUPPORTED: {"boot": WAITING},
    UNANSWERED: {"boot": WAITING},
}  # fmt: skip
transitions.check_table(SETTINGS)
MOST_ATTEMPTS = 3  # per key and boot

# The words of ChangeConfiguration and of SetVariables, by what they mean for a setting.
_EVENTS = {
    "Accepted": "accepted",
    "Rejected": "rejected",
    "RebootRequired": "reboot",
    "NotSupported": "unknown",
    "UnknownComponent": "unknown",
    "UnknownVariable": "unknown",
    "NotSupportedAttributeType": "unknown",
}


def status_after(status: str, answer: str, attempts: int) -> str:
    """Return what becomes of a setting that was answered so, or not (an empty answer), at this attempt.

    :raises IllegalTransition: if nothing was open about it.
    """
    event = _EVENTS.get(answer)
    if event is None:
        event = "given_up" if attempts >= MOST_ATTEMPTS else "unanswered"
    return transitions.next_state(SETTINGS, status, event)


def next_run(state: str, event: str) -> str:
    """Return the state of a run that follows.

    :raises IllegalTransition: if the event has no place in the state.
    """
    return transitions.next_state(RUNS, state, event)
