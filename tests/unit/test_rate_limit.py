"""How often a platform may ask and a stranger may fail: buckets, shared through Redis, local without it (REL-50)."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings as configured
from pytest_django.fixtures import Settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from hub import environment
from ocpi import rate_limit
from ocpi.rate_limit import Limiter, caller_address
from tests.people import Person
from tests.platforms import Listener, eventually

SPENT = 200


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shared() -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(configured.REDIS_URL)
    yield client
    client.close()


@pytest.fixture
def limited(settings: Settings) -> Iterator[Settings]:
    rate_limit.forget()
    settings.OCPI_RATE_PER_PLATFORM, settings.OCPI_RATE_BURST, settings.OCPI_RATE_STRANGERS = 50, 200, 20
    yield settings
    rate_limit.forget()


@pytest.mark.req("REL-50")
def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    limiter = Limiter("test", 50, 200, clock=clock)
    assert [limiter.take("1") for _ in range(SPENT)] == [None] * SPENT
    assert limiter.take("1") == pytest.approx(1 / 50)
    clock.now += 0.1
    assert [limiter.take("1") is None for _ in range(6)] == [True] * 5 + [False]
    assert limiter.take("2") is None, "another platform has a bucket of its own"
    clock.now += 3600
    assert sum(limiter.take("1") is None for _ in range(SPENT + 10)) == SPENT, "a pause gives no more than one burst"


@pytest.mark.req("REL-50")
def test_what_is_asked_without_taking_takes_nothing() -> None:
    limiter = Limiter("test", 1, 2, clock=Clock())
    assert [limiter.wait("a") for _ in range(5)] == [None] * 5
    assert len(limiter) == 0
    assert [limiter.take("a"), limiter.take("a"), limiter.wait("a")] == [None, None, 1.0]


@pytest.mark.req("REL-50")
def test_threads_together_get_no_more_than_the_burst() -> None:
    limiter = Limiter("test", 50, 200, clock=Clock())
    let_in: list[int] = []

    def ask() -> None:
        let_in.append(sum(limiter.take("1") is None for _ in range(100)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(let_in) == SPENT


@pytest.mark.req("REL-50")
@pytest.mark.parametrize("trouble", [redis.ConnectionError("away"), OSError("away"), ValueError("odd")])
def test_buckets_are_squared_again_after_redis_was_away(monkeypatch: pytest.MonkeyPatch, trouble: Exception) -> None:
    class Enough(BaseException):
        pass

    outcomes: list[BaseException | None] = [trouble, trouble, None, trouble, Enough()]
    something = threading.Event()
    something.set()

    def square() -> None:
        something.set()  # somebody has asked meanwhile
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    monkeypatch.setattr(rate_limit, "_something", something)
    monkeypatch.setattr(rate_limit, "square", square)
    monkeypatch.setattr(rate_limit, "_SQUARING_SECONDS", 0)
    monkeypatch.setattr(rate_limit, "_BREAK_SECONDS", 0)

    with pytest.raises(Enough):
        rate_limit._run()

    assert outcomes == []


@pytest.mark.req("REL-50")
def test_processes_share_one_bucket(shared: redis.Redis) -> None:
    clock, name = Clock(), f"test-{uuid.uuid4()}"
    one, other = (Limiter(name, 0.001, 200, clock=clock) for _ in range(2))
    for _ in range(150):
        one.take("1")
    one.square(shared)
    other.take("1")
    other.square(shared)
    assert sum(other.take("1") is None for _ in range(SPENT)) == 49, "200 less 150 and 1"
    other.square(shared)
    one.take("1")  # from what it knew
    one.square(shared)
    assert one.take("1") is not None
    owed = one.take("1") or 0
    assert owed > 1 / 0.001, "what was let in too much is waited for as well"
    assert shared.ttl(f"ocpi:rate:{name}:1") > 0, "a bucket that is full again leaves Redis"


@pytest.mark.req("REL-50")
def test_what_is_spent_while_it_is_squared_still_counts() -> None:
    limiter = Limiter("test", 0.001, 10, clock=Clock())

    class Slow:
        def eval(self, *_: object) -> list[str]:
            for _number in range(4):
                limiter.take("1")
            return ["9.0"]

    limiter.take("1")
    limiter.square(Slow())  # type: ignore[arg-type]
    assert sum(limiter.take("1") is None for _ in range(10)) == 5


@pytest.mark.req("REL-50")
def test_without_redis_each_process_limits_by_itself(shared: redis.Redis) -> None:
    name = f"test-{uuid.uuid4()}"
    limiter = Limiter(name, 0.001, 10, clock=Clock())
    away = redis.Redis(port=1, retry=Retry(NoBackoff(), 0))
    let_in = 0
    for _ in range(20):
        let_in += int(limiter.take("1") is None)
        with pytest.raises(redis.RedisError):
            limiter.square(away)
    assert let_in == 10
    limiter.square(shared)
    assert limiter.take("1") is not None, "what was spent meanwhile is brought to Redis when it is back"


@pytest.mark.req("REL-50")
def test_memory_is_bounded() -> None:
    clock = Clock()
    limiter = Limiter("test", 1, 2, most=100, clock=clock)
    limiter.take("busy")
    limiter.take("busy")
    for number in range(1000):
        clock.now += 0.01
        limiter.take(f"address {number}")
        assert len(limiter) <= 100
    full = Limiter("test", 1, 2, most=100, clock=clock)
    for number in range(99):
        full.take(f"address {number}")
    clock.now += 1.5
    full.take("busy")
    full.take("busy")
    full.take("one more")
    assert full.wait("busy") is not None, "those that are full again go first"


@pytest.mark.req("REL-50")
def test_asking_does_not_wait_for_a_redis_that_hangs(limited: Settings) -> None:
    with Listener() as silent:
        silent.reply("*", "/", delay=30)
        limited.REDIS_URL, limited.OCPI_WAKE = f"redis://{silent.host}/0", True
        started = time.perf_counter()
        assert [rate_limit.admit(1) for _ in range(SPENT)] == [None] * SPENT
        assert rate_limit.admit(1) is not None
        assert time.perf_counter() - started < 5, "201 waits of 200 ms would be 40 s"


@pytest.mark.req("REL-50")
def test_a_thread_brings_it_to_redis(limited: Settings, shared: redis.Redis) -> None:
    limited.OCPI_WAKE = True
    limited.OCPI_RATE_PER_PLATFORM, limited.OCPI_RATE_BURST = 1, 2
    platform = uuid.uuid4().int % 10**12
    assert [rate_limit.admit(platform) is None for _ in range(3)] == [True, True, False]
    eventually(lambda: shared.hget(f"ocpi:rate:platform:{platform}", "level"))
    eventually(lambda: rate_limit.refused().get(str(platform)) == 1)
    shared.hdel("ocpi:rate:refused", str(platform))


@pytest.mark.req("REL-50")
@pytest.mark.parametrize("place", ["cpo_side", "hub_side"])
def test_a_platform_that_asks_too_often(
    limited: Settings, request: pytest.FixtureRequest, place: str, emsp: Person, second_emsp: Person
) -> None:
    request.getfixturevalue(place)
    path = "cpo/2.2.1/locations" if place == "cpo_side" else "hub/2.2.1/sender/locations"
    limited.OCPI_RATE_PER_PLATFORM, limited.OCPI_RATE_BURST = 1, 3
    assert [emsp.get(path).http_status for _ in range(3)] == [200] * 3
    refused = emsp.get(path)
    assert refused.codes == (429, 2000)
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["OCPI-to-party-id"] == "EMS"
    assert refused.headers["OCPI-from-party-id"] == ("TNM" if place == "cpo_side" else "HUB")
    assert emsp.put(path, b"{").http_status == 429, "before anything of the request is looked at"
    assert second_emsp.get(path).codes == (200, 1000), "the others notice nothing"


@pytest.mark.req("REL-50")
@pytest.mark.parametrize("place", ["cpo_side", "hub_side"])
def test_strangers_that_fail_too_often(
    limited: Settings, request: pytest.FixtureRequest, place: str, emsp: Person, stranger: Person
) -> None:
    request.getfixturevalue(place)
    paths = ["/ocpi/versions", "cpo/2.2.1/locations" if place == "cpo_side" else "hub/2.2.1/sender/locations"]
    assert {stranger.get(paths[number % 2]).http_status for number in range(20)} == {401}
    for path in paths:
        refused = stranger.get(path)
        assert refused.codes == (429, 2000)
        assert 1 <= int(refused.headers["Retry-After"]) <= 3
    assert stranger.get(paths[0], headers={"X-Forwarded-For": "198.51.100.7"}).http_status == 429
    assert emsp.get(paths[1]).codes == (200, 1000), "a valid token is let in from there"
    limited.OCPI_TRUSTED_PROXIES = ["127.0.0.1"]
    assert stranger.get(paths[0], headers={"X-Forwarded-For": "198.51.100.7"}).http_status == 401


@pytest.mark.req("REL-50")
@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.7", "198.51.100.7"),  # the first was written by the caller
        ("10.0.0.1", "1.2.3.4, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("2001:db8::1:2:3", None, "2001:db8::/64"),
        ("10.0.0.1", "2001:db8::9", "2001:db8::/64"),
        ("", "198.51.100.7", ""),
    ],
)
def test_whose_request_it_is(settings: Settings, peer: str, forwarded: str | None, found: str) -> None:
    settings.OCPI_TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert caller_address(peer, forwarded) == found


@pytest.mark.req("REL-50")
@pytest.mark.parametrize(
    ("rate", "burst", "read"),
    [
        (None, None, (50, 200)),
        (None, "300", (50, 300)),
        ("20", None, (20, 80)),
        ("20", "25", (20, 25)),
        ("50/250", "25", (50, 250)),
        ("off", None, (0, 0)),
        ("0", None, (0, 0)),
        ("", "25", (0, 0)),
    ],
)
def test_how_the_rate_is_set(
    monkeypatch: pytest.MonkeyPatch, rate: str | None, burst: str | None, read: tuple[int, int]
) -> None:
    for name, value in (("RATE", rate), ("BURST", burst)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert environment.rate("RATE", 50, burst="BURST") == read
