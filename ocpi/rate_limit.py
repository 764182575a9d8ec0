"""How often one platform may ask, and one stranger may fail (REL-50): HTTP 429 above that.

Token buckets in this process's memory; `admit` never waits for anything. One thread per process squares them with
Redis: it takes what was spent off the shared bucket and brings back its level, at once after a pause and then every
0.1 s. Over any time T all processes of an instance together let through at most burst + rate x T, and what the others
let through between two squarings; that is owed, and paid back before anybody is let in again. While Redis is away each
process limits by itself.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from ocpi import ours

log = logging.getLogger(__name__)

MOST_BUCKETS = 10_000  # per limiter; about 2 MB
_SQUARING_SECONDS = 0.1
_BREAK_SECONDS = 1.0
_SOCKET_SECONDS = 0.2
_AT_ONCE = 500  # buckets in one command
_MINUTE = 60.0
_REFUSED = "ocpi:rate:refused"

# KEYS: buckets; ARGV: rate, burst, and what was spent of each. Redis' own clock, so that hosts may disagree.
_SQUARE = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local levels = {}
for i, key in ipairs(KEYS) do
    local kept = redis.call('HMGET', key, 'level', 'at')
    local level = burst
    if kept[1] then level = math.min(burst, kept[1] + math.max(0, now - kept[2]) * rate) end
    level = level - ARGV[i + 2]
    levels[i] = string.format('%.6f', level)
    redis.call('HSET', key, 'level', levels[i], 'at', string.format('%.6f', now))
    redis.call('PEXPIRE', key, math.ceil((burst - level) / rate * 1000) + 1000)
end
return levels
"""


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float  # on the limiter's clock
    spent: int = 0  # not squared yet


class Limiter:
    """Buckets of one kind, by a key: `rate` per second, up to `burst` at once. Safe for threads and event loops."""

    def __init__(
        self, name: str, rate: float, burst: int, *, most: int = MOST_BUCKETS, clock: Callable[[], float] | None = None
    ) -> None:
        self.name, self.rate, self.burst = name, rate, burst
        self._most, self._clock = most, clock or time.monotonic
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}
        self._spent: set[str] = set()

    def take(self, key: str) -> float | None:
        """Take one from a bucket; the seconds until there is one if it is empty."""
        with self._lock:
            bucket = self._bucket(key)
            if bucket.level < 1:
                return (1 - bucket.level) / self.rate
            bucket.level -= 1
            bucket.spent += 1
            self._spent.add(key)
        return None

    def wait(self, key: str) -> float | None:
        """Return what `take` would, and take nothing."""
        with self._lock:
            if key not in self._buckets:
                return None
            level = self._bucket(key).level
        return None if level >= 1 else (1 - level) / self.rate

    def square(self, client: redis.Redis) -> None:
        """Bring what was spent to Redis, and its levels back.

        :raises RedisError: if it is away; what was spent counts the next time.
        """
        with self._lock:
            taken = {key: bucket.spent for key in self._spent if (bucket := self._buckets.get(key))}
            self._spent.clear()
            for key in taken:
                self._buckets[key].spent = 0
        keys = list(taken)
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            try:
                levels = self._levels(client, some, [taken[key] for key in some])
            except redis.RedisError:
                self._owe({key: taken[key] for key in keys[start:]})
                raise
            self._set(dict(zip(some, levels, strict=True)))

    def __len__(self) -> int:
        return len(self._buckets)

    def _levels(self, client: redis.Redis, keys: Sequence[str], spent: Sequence[int]) -> list[float]:
        names = [f"ocpi:rate:{self.name}:{key}" for key in keys]
        found: Any = client.eval(_SQUARE, len(names), *names, self.rate, self.burst, *spent)
        return [float(level) for level in found]

    def _set(self, levels: Mapping[str, float]) -> None:
        now = self._clock()
        with self._lock:
            for key, level in levels.items():
                if bucket := self._buckets.get(key):
                    bucket.level, bucket.at = level - bucket.spent, now

    def _owe(self, spent: Mapping[str, int]) -> None:
        with self._lock:
            for key, number in spent.items():
                if bucket := self._buckets.get(key):
                    bucket.spent = min(bucket.spent + number, self.burst)  # the rest has run in again meanwhile
                    self._spent.add(key)

    def _bucket(self, key: str) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._most:
                self._forget_some(now)
            bucket = self._buckets[key] = _Bucket(float(self.burst), now)
        else:
            bucket.level = min(self.burst, bucket.level + (now - bucket.at) * self.rate)
            bucket.at = now
        return bucket

    def _forget_some(self, now: float) -> None:
        """Forget the buckets that are full again, else the tenth that is oldest."""
        full = [k for k, b in self._buckets.items() if b.level + (now - b.at) * self.rate >= self.burst]
        for key in full or list(self._buckets)[: max(1, self._most // 10)]:
            del self._buckets[key]
            self._spent.discard(key)


def admit(platform_id: int) -> float | None:
    """Count one request of a platform; the seconds after which to come again if it was one too many.

    Costs microseconds and no I/O, on any thread or event loop.
    """
    if not ours.known_settings().OCPI_RATE_PER_PLATFORM:
        return None
    wait = _platforms().take(str(platform_id))
    _note(wait, str(platform_id))
    return wait


def admit_stranger(address: str) -> float | None:
    """Return the seconds after which an address may fail again, if it has failed too often; counts nothing."""
    if not settings.OCPI_RATE_STRANGERS:
        return None
    wait = _strangers().wait(address)
    if wait is not None:
        _note(wait, "")
    return wait


def refused_stranger(address: str) -> None:
    """Count one request from this address that showed no valid token."""
    if settings.OCPI_RATE_STRANGERS:
        _strangers().take(address)
        _note(None, "")


def retry_after(wait: float) -> dict[str, str]:
    """Return the header that says when to come again, in whole seconds."""
    return {"Retry-After": str(max(1, math.ceil(wait)))}


def is_proxy(peer: str) -> bool:
    """Say whether an address is one of our front servers (OCPI_TRUSTED_PROXIES)."""
    return _within(peer, _networks(tuple(settings.OCPI_TRUSTED_PROXIES)))


def caller_address(peer: str, forwarded: str | None) -> str:
    """Return the address that a request comes from: the peer's, or what a proxy of ours says it had before it.

    IPv6 addresses count by their network of 64 bits: that is what one subscriber has.
    """
    trusted = _networks(tuple(settings.OCPI_TRUSTED_PROXIES))
    address = peer
    for before in reversed((forwarded or "").split(",")):
        if not _within(address, trusted) or _parsed(before.strip()) is None:
            break
        address = before.strip()
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address


def refused() -> dict[str, int]:
    """Return how many requests were refused: by platform id, strangers under "".

    :raises RedisError: if Redis, which sums up all processes, is away.
    """
    found: Any = _client().hgetall(_REFUSED)
    return {key.decode(): int(number) for key, number in found.items()}


# ---- what one process has: a fork begins anew

_lock = threading.Lock()
_something = threading.Event()
_thread_of: int | None = None
_redis: redis.Redis | None = None
_refusals: dict[str, int] = {}


@lru_cache(maxsize=1)
def _platforms() -> Limiter:
    return Limiter("platform", settings.OCPI_RATE_PER_PLATFORM, settings.OCPI_RATE_BURST)


@lru_cache(maxsize=1)
def _strangers() -> Limiter:
    return Limiter("stranger", settings.OCPI_RATE_STRANGERS / _MINUTE, settings.OCPI_RATE_STRANGERS)


def _note(wait: float | None, refused_key: str) -> None:
    if wait is not None:
        with _lock:
            _refusals[refused_key] = _refusals.get(refused_key, 0) + 1
    if _thread_of != os.getpid():
        _start()
    if not _something.is_set():
        _something.set()


def _start() -> None:
    global _thread_of
    with _lock:
        if _thread_of != os.getpid() and settings.OCPI_WAKE:
            threading.Thread(target=_run, name="rate-limit", daemon=True).start()
        _thread_of = os.getpid()


def _run() -> None:
    away = False
    while True:
        _something.wait()
        _something.clear()
        try:
            square()
            away = False
            time.sleep(_SQUARING_SECONDS)
        except (redis.RedisError, OSError) as error:
            if not away:
                log.warning("Redis is away, each process limits requests by itself: %s", error)
            away = True
            time.sleep(_BREAK_SECONDS)
        except Exception:
            log.exception("the request limits were not squared")
            time.sleep(_BREAK_SECONDS)


def square() -> None:
    """Square this process's buckets with Redis, now and in this thread.

    :raises RedisError: if Redis is away; nothing is lost.
    """
    global _refusals
    client = _client()
    for limiter in (_platforms, _strangers):
        if limiter.cache_info().currsize:
            limiter().square(client)
    with _lock:
        refusals, _refusals = _refusals, {}
    try:
        for key, number in refusals.items():
            client.hincrby(_REFUSED, key, number)
    except redis.RedisError:
        with _lock:
            for key, number in refusals.items():
                _refusals[key] = _refusals.get(key, 0) + number
        raise


def forget() -> None:
    """Forget every bucket of this process: after a fork, or when the settings changed."""
    global _lock, _something, _redis, _thread_of, _refusals
    _lock, _something, _redis, _thread_of, _refusals = threading.Lock(), threading.Event(), None, None, {}
    _platforms.cache_clear()
    _strangers.cache_clear()


os.register_at_fork(after_in_child=forget)


def _client() -> redis.Redis:
    global _redis
    if _redis is None:
        _redis = redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=_SOCKET_SECONDS,
            socket_connect_timeout=_SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
    return _redis


@lru_cache(maxsize=8)
def _networks(names: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(name, strict=False) for name in names)


def _within(address: str, networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]) -> bool:
    parsed = _parsed(address) if networks else None
    return parsed is not None and any(parsed in network for network in networks)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None
