"""How firmware updates, logs and diagnostics go on, and rollouts of them (OCPP-85). Pure."""

from __future__ import annotations

from ocpi import transitions

# ------------------------------------------------------------ a job of one charge point

WAITING = "WAITING"  # its turn in a rollout has not come
ASKED = "ASKED"  # the request is queued or on its way
RUNNING = "RUNNING"  # the charge point has taken it
DONE = "DONE"
FAILED = "FAILED"
CANCELLED = "CANCELLED"

JOBS: transitions.Table = {
    WAITING: {"ask": ASKED, "cancel": CANCELLED, "fail": FAILED},
    # A status may come before the answer is settled.
    ASKED: {"taken": RUNNING, "done": DONE, "fail": FAILED, "cancel": CANCELLED},
    RUNNING: {"taken": RUNNING, "done": DONE, "fail": FAILED, "cancel": CANCELLED},
    DONE: {},
    FAILED: {},
    CANCELLED: {},
}
transitions.check_table(JOBS)
OPEN = (ASKED, RUNNING)

# What a status means; one that is not here says that it goes on. Idle says nothing about a job.
_DONE = frozenset({"Installed", "Uploaded"})
_FAILED = frozenset(
    {
        "DownloadFailed", "InstallationFailed", "InstallVerificationFailed", "InvalidSignature", "RevokedCertificate",
        "InvalidCertificate", "UploadFailed", "UploadFailure", "BadMessage", "NotSupportedOperation",
        "PermissionDenied", "AcceptedCanceled",
    }
)  # fmt: skip
_NOTHING = frozenset({"Idle", ""})


def event_of(status: str) -> str | None:
    """Return what a status notification means for its job; None: nothing."""
    if status in _NOTHING:
        return None
    if status in _DONE:
        return "done"
    return "fail" if status in _FAILED else "taken"


def event_of_answer(operation_state: str, status: str) -> str:
    """Return what the end of the request means for its job; a 1.6 answer without a status is a yes."""
    if operation_state != "ANSWERED":
        return "fail"
    return "taken" if status in ("", "Accepted", "AcceptedCanceled") else "fail"


def next_state(state: str, event: str) -> str:
    """Return the state of a job that follows.

    :raises IllegalTransition: if the event has no place in the state.
    """
    return transitions.next_state(JOBS, state, event)


# ------------------------------------------------------------ a rollout

READY = "READY"
ROLLING = "RUNNING"
PAUSED = "PAUSED"
STOPPED = "STOPPED"  # by an operator, or because too many failed
OVER = "DONE"

ROLLOUTS: transitions.Table = {
    READY: {"start": ROLLING, "stop": STOPPED},
    ROLLING: {"pause": PAUSED, "stop": STOPPED, "over": OVER},
    PAUSED: {"start": ROLLING, "stop": STOPPED},
    STOPPED: {},
    OVER: {},
}
transitions.check_table(ROLLOUTS)


def next_rollout(state: str, event: str) -> str:
    """Return the state of a rollout that follows.

    :raises IllegalTransition: if the event has no place in the state.
    """
    return transitions.next_state(ROLLOUTS, state, event)
