"""Wake the workers for lanes that have something due, off the request's path: a publish never delays or fails it.

A process that sends wakes its own sender: no other has to be told. In all others one thread takes what gathered, sets a
short-lived flag per lane and publishes one `drain` for those that were not awake (REL-08). If Redis is away it is left
alone for some seconds: the sweep finds the rows (REL-04).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from ocpi import drain_messages

log = logging.getLogger(__name__)

Lane = tuple[int, int]  # platform id, slot

_AWAKE_MILLISECONDS = 1000
_SOCKET_SECONDS = 0.2
_BREAK_SECONDS = 3.0
_MOST_WAITING = 20_000
_LANES_PER_MESSAGE = 400
_BUSY_SECONDS, _GATHER_SECONDS = 0.01, 0.005
# One command for all lanes: a message for all of them goes into the queue, the last key, if none had a flag; otherwise
# the numbers of those that had none come back.
_WAKE = """
local fresh, queue = {}, table.remove(KEYS)
for number, flag in ipairs(KEYS) do
    if redis.call('SET', flag, 1, 'NX', 'PX', ARGV[1]) then fresh[#fresh + 1] = number end
end
if #fresh < #KEYS then return fresh end
redis.call('LPUSH', queue, ARGV[2])
return {}
"""

_gathered: set[Lane] = set()
_lock = threading.Lock()
_something = threading.Event()
_thread_of: int | None = None
_redis: tuple[str, redis.Redis] | None = None  # and where it leads to
_at_home: Callable[[Iterable[Lane]], None] | None = None  # wakes the sender of this process


def wake(lanes: Iterable[Lane]) -> None:
    """Have these lanes drained soon; costs the caller microseconds and never raises."""
    if not settings.OCPI_WAKE:
        return
    at_home = _at_home
    if at_home is not None:
        at_home(lanes)
        return
    with _lock:
        if len(_gathered) < _MOST_WAITING:
            _gathered.update(lanes)
        _start()
    _something.set()


def wake_at_home(sender: Callable[[Iterable[Lane]], None] | None) -> None:
    """Have the sender of this process woken instead of a worker; None when it has ended."""
    global _at_home
    _at_home = sender


def awake(lanes: Sequence[Lane]) -> None:
    """Take the flags away before the lanes are read, so that a change from now on wakes again."""
    if not lanes:
        return
    try:
        _client().delete(*(_flag(lane) for lane in lanes))
    except redis.RedisError as error:
        log.warning("the flags of %d lanes stay until they expire: %s", len(lanes), error)


def publish(lanes: Sequence[Lane]) -> None:
    """Publish one `drain` for those lanes that are not awake yet.

    :raises RedisError: if the broker is away.
    """
    queue = drain_messages.queue()
    for start in range(0, len(lanes), _LANES_PER_MESSAGE):
        some = lanes[start : start + _LANES_PER_MESSAGE]
        keys = [*(_flag(lane) for lane in some), queue]
        fresh = _client().eval(_WAKE, len(keys), *keys, _AWAKE_MILLISECONDS, drain_messages.write(some))
        if fresh:
            _client().lpush(queue, drain_messages.write([some[number - 1] for number in fresh]))


def _start() -> None:
    """Start this process's thread, once; a fork starts its own."""
    global _thread_of
    if _thread_of != os.getpid():
        _thread_of = os.getpid()
        threading.Thread(target=_run, name="outbox-wake", daemon=True).start()


def _run() -> None:
    published_at = 0.0
    while True:
        _something.wait()
        # The first change after a pause wakes at once; what follows closely is gathered.
        if time.monotonic() - published_at < _BUSY_SECONDS:
            time.sleep(_GATHER_SECONDS)
        _something.clear()
        with _lock:
            lanes = sorted(_gathered)
            _gathered.clear()
        if not lanes:
            continue
        try:
            publish(lanes)
            published_at = time.monotonic()
        except (redis.RedisError, OSError) as error:
            log.warning("the broker is away, the sweep will find %d lanes: %s", len(lanes), error)
            time.sleep(_BREAK_SECONDS)
            with _lock:
                _gathered.clear()
        except Exception:
            log.exception("%d lanes were not woken", len(lanes))


def _client() -> redis.Redis:
    global _redis
    url = settings.REDIS_URL
    if _redis is None or _redis[0] != url:
        made = redis.Redis.from_url(
            url,
            socket_timeout=_SOCKET_SECONDS,
            socket_connect_timeout=_SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 0),  # once, whatever the library does by itself
        )
        _redis = (url, made)
    return _redis[1]


def _forget() -> None:
    global _lock, _something, _redis, _at_home
    _lock, _something, _redis, _at_home = threading.Lock(), threading.Event(), None, None


def _flag(lane: Lane) -> str:
    return f"ocpi:awake:{lane[0]}:{lane[1]}"


os.register_at_fork(after_in_child=_forget)
