"""The weight ledger: one suite for the shared and the local one, on a clock that the test moves."""

import asyncio
from collections import Counter
from copy import copy

import pytest
import redis.asyncio as aioredis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aione.errors import InvalidInput, RateLimited
from aione.store import keys
from aione.venue.clock import ServerClock
from aione.venue.ledger import LocalLedger, Priority
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


# ── Places ──


async def asleep(ledger, weight, priority=Priority.SCREEN):
    """Return a caller that has found the minute full and sleeps until it is cancelled."""
    sleeps = asyncio.Event()

    async def sleep(_):
        sleeps.set()
        await asyncio.Event().wait()

    one = copy(ledger)
    one._sleep = sleep
    waiter = asyncio.create_task(one.reserve(weight, priority=priority))
    await sleeps.wait()
    return waiter


async def cancelled(*waiters):
    for waiter in waiters:
        waiter.cancel()
    done = await asyncio.gather(*waiters, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in done)


async def test_who_is_cancelled_gives_its_place_back(ledger, time):
    await ledger.reserve(90)
    waiters = [await asleep(ledger, 20) for _ in range(4)]
    healing = await asleep(ledger, 7, Priority.HEAL)
    assert (await ledger.state()).waiting == {Priority.SCREEN: 80, Priority.HEAL: 7}
    await cancelled(*waiters)
    assert (await ledger.state()).waiting == {Priority.HEAL: 7}
    assert await ledger.reserve(1, priority=Priority.REFRESH) == MINUTE + 1
    assert len(time.slept) == 1, "nobody else wants the next minute any more"
    await cancelled(healing)


async def test_a_waiter_that_is_refused_by_a_hold_gives_its_place_back(ledger, time):
    await ledger.reserve(90)

    async def banned(seconds):
        await time.sleep(seconds)
        await ledger.hold(3600.0)

    ledger._sleep = banned
    with pytest.raises(RateLimited):
        await ledger.reserve(20)
    time.now_s -= 60
    assert (await ledger.state()).waiting == {}


async def test_who_looks_again_too_early_has_one_place_and_who_finds_it_taken_moves(ledger, time):
    """A clock that was set back wakes a sleeper before its minute; in its minute others may have been faster."""
    await ledger.reserve(90)
    woken = []

    async def sleep(seconds):
        woken.append((time.now_s, dict((await ledger.state()).waiting)))
        if len(woken) == 2:
            time.now_s += seconds
            await copy(ledger).reserve(85, priority=Priority.HEAL)
        elif len(woken) == 3:
            time.now_s += seconds

    one = copy(ledger)
    one._sleep = sleep
    assert await one.reserve(20) == MINUTE + 2
    assert [waiting for _, waiting in woken] == [{Priority.SCREEN: 20}] * 3
    assert (await ledger.state()).waiting == {}
    for minute in (MINUTE + 1, MINUTE + 2):
        time.now_s = (minute - 1) * 60 + 10
        assert (await ledger.state()).waiting == {}, "no place is left behind"


async def test_places_and_counts_of_the_past_are_forgotten(time):
    ledger = LocalLedger(PARAMS, clock=time.clock(), sleep=time.sleep)
    for _ in range(20):
        await ledger.reserve(60)
    assert len(ledger._places) <= 2
    assert len(ledger._counts["weight"]) <= 2


async def test_a_clock_that_is_set_back_by_days_finds_a_budget_that_is_kept(ledger, time):
    await ledger.reserve(90)
    time.now_s -= 2 * 86_400
    for _ in range(3):
        await ledger.reserve(30)
    assert await ledger.used() == 90
    await ledger.reserve(1)
    assert len(time.slept) == 1


# ── Holds ──


@pytest.mark.parametrize("seconds", [float("inf"), 1e30, 10.0**9])
async def test_a_hold_that_makes_no_sense_is_as_long_as_the_longest_ban(ledger, seconds):
    await ledger.hold(seconds)
    assert (await ledger.state()).hold_s == pytest.approx(3 * 86_400, abs=5)


@pytest.mark.parametrize("seconds", [float("nan"), 0.0, -5.0, float("-inf")])
async def test_what_is_no_length_of_time_is_no_hold(ledger, seconds):
    await ledger.hold(seconds)
    assert (await ledger.state()).hold_s == 0.0
    await ledger.hold(30.0)
    await ledger.hold(seconds)
    assert (await ledger.state()).hold_s == pytest.approx(30, abs=1)
