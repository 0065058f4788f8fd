"""The weight ledger: one suite for the shared and the local one, on a clock that the test moves."""

import asyncio

import pytest
import redis.asyncio as aioredis

from aione.errors import InvalidInput, RateLimited, ServiceUnavailable
from aione.store import keys
from aione.venue.clock import ServerClock
from aione.venue.ledger import LocalLedger
from aione.venue.ledger_redis import RedisLedger
from aione.venue.weights import DATA_BUDGET, FUNDING_BUDGET
from config.models import VenueParams

MINUTE = 28_333_334
PARAMS = VenueParams(weight_per_minute=100, weight_reserve_frac=0.1)


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self, now_s=MINUTE * 60 + 10.0):
        self.now_s = now_s
        self.slept = []

    def clock(self):
        return ServerClock(wall_s=lambda: self.now_s, monotonic_s=lambda: self.now_s)

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)


@pytest.fixture
def time():
    return Time()


@pytest.fixture(params=["redis", "local"])
def ledger(request, redis, time):
    if request.param == "redis":
        return RedisLedger(redis, PARAMS, clock=time.clock(), sleep=time.sleep)
    return LocalLedger(PARAMS, clock=time.clock(), sleep=time.sleep)


async def test_what_fits_is_booked_at_once(ledger, time):
    assert [await ledger.reserve(40), await ledger.reserve(50)] == [MINUTE, MINUTE]
    assert await ledger.used() == 90
    assert time.slept == []


async def test_the_reserve_is_never_touched_and_the_next_minute_is_waited_for(ledger, time):
    await ledger.reserve(90)
    assert await ledger.reserve(1) == MINUTE + 1
    assert len(time.slept) == 1
    assert 50.0 <= time.slept[0] <= 50.25
    assert await ledger.used() == 1


async def test_a_minute_is_the_utc_minute_of_the_exchanges_clock(ledger, time):
    await ledger.reserve(90)
    ledger.clock.measured(1000 * (time.now_s + 45), sent_s=time.now_s, received_s=time.now_s)
    await ledger.reserve(90)
    assert time.slept[0] <= 5.25


async def test_the_exchanges_count_raises_ours_and_never_lowers_it(ledger):
    window = await ledger.reserve(10)
    await ledger.observe(70, window)
    assert await ledger.used() == 70
    await ledger.observe(20, window)
    assert await ledger.used() == 70


async def test_a_count_of_the_minute_before_is_not_taken_for_this_one(ledger, time):
    window = await ledger.reserve(10)
    time.now_s += 60
    await ledger.observe(90, window)
    assert await ledger.used() == 0
    await ledger.observe(5)
    assert await ledger.used() == 5


async def test_a_weight_that_never_fits_is_refused(ledger):
    for weight in (0, -1, 91):
        with pytest.raises(InvalidInput, match=r"weight must be in 1\.\.90"):
            await ledger.reserve(weight)


async def test_budgets_of_their_own_do_not_touch_the_weight(ledger, time):
    window = time.now_s * 1000 // 300_000
    for _ in range(450):
        assert await ledger.reserve(1, FUNDING_BUDGET) == window
    assert await ledger.reserve(1, DATA_BUDGET) == window
    assert await ledger.used() == 0
    assert time.slept == []
    assert await ledger.reserve(1, FUNDING_BUDGET) == window + 1


async def test_a_long_hold_is_raised_not_slept_through(ledger, time):
    await ledger.hold(3600.0)
    await ledger.hold(5.0)
    with pytest.raises(RateLimited, match="every request is on hold for another 3600 s") as caught:
        await ledger.reserve(1)
    assert caught.value.retry_after_s == pytest.approx(3600, abs=2)
    assert time.slept == []


async def test_a_short_hold_is_waited_for_by_all(redis):
    ledgers = [RedisLedger(redis, PARAMS), RedisLedger(redis, PARAMS)]
    await ledgers[0].hold(0.3)
    started = asyncio.get_running_loop().time()
    await asyncio.gather(*(ledger.reserve(1) for ledger in ledgers))
    assert asyncio.get_running_loop().time() - started >= 0.29


async def test_a_local_hold_ends(time):
    ledger = LocalLedger(PARAMS, clock=time.clock(), sleep=time.sleep)
    await ledger.hold(30.0)
    await ledger.reserve(1)
    assert 30.0 <= sum(time.slept) <= 30.6


async def test_many_processes_never_book_more_than_the_budget(redis, time):
    """Forty callers of four ledgers: the minute is filled to the last unit and not one beyond."""
    ledgers = [RedisLedger(redis, PARAMS, clock=time.clock(), sleep=time.sleep) for _ in range(4)]
    windows = await asyncio.gather(*(ledgers[n % 4].reserve(7) for n in range(40)))
    booked = {window: 7 * windows.count(window) for window in windows}
    assert sum(booked.values()) == 280
    assert max(booked.values()) <= 90
    for window, weight in booked.items():
        assert int(await redis.get(keys.weight(window))) == weight


async def test_counts_expire_and_the_total_stays(redis):
    ledger = RedisLedger(redis, PARAMS)
    window = await ledger.reserve(3)
    await ledger.reserve(1, FUNDING_BUDGET)
    assert 0 < await redis.pttl(keys.weight(window)) <= 120_000
    await ledger.observe(50, window)
    assert 0 < await redis.pttl(keys.weight(window)) <= 120_000
    assert int(await redis.get(keys.weight_total())) == 3


async def test_without_redis_nothing_is_sent():
    client = aioredis.Redis.from_url("redis://127.0.0.1:1/0")
    ledger = RedisLedger(client, PARAMS)
    for call in (ledger.reserve(1), ledger.observe(1), ledger.hold(1.0), ledger.used()):
        with pytest.raises(ServiceUnavailable):
            await call
    await client.aclose()


def test_the_clock_runs_on_from_a_measurement_and_ignores_a_step_of_the_wall():
    wall, monotonic = [1000.0], [50.0]
    clock = ServerClock(wall_s=lambda: wall[0], monotonic_s=lambda: monotonic[0])
    assert clock.now_ms() == 1_000_000
    assert clock.known_ms is None
    clock.measured(2_000_000, sent_s=49.0, received_s=50.0)
    assert (clock.now_ms(), clock.known_ms) == (2_000_500, 2_000_000)
    wall[0] += 3600
    monotonic[0] += 10
    assert clock.now_ms() == 2_010_500
