"""What a start costs the exchange: its weight and its time, whatever this machine is busy with.

Time is the loop's own: it passes only while everybody waits for the exchange (20 ms an answer). What Redis and this
process need is real and costs none of it.
"""

from __future__ import annotations

import asyncio
import selectors

import pytest
import redis.asyncio as aioredis

from aione.panel import MINUTE_MS
from aione.publish.publisher import Publisher
from aione.screening.refresh import find_candidates, screen_candidates
from aione.screening.runtime import Runtime
from aione.sim.memory import LEAST_STEP_S, LoopClock, MemoryExchange, MemoryTransport
from aione.sim.options import SimOptions
from aione.sim.table import TableMarket
from aione.store import keys
from aione.store.cycles import CycleLog
from aione.store.incident_log import IncidentLog
from aione.store.rings import MemoryRings
from aione.store.trades import TradeStore
from aione.store.unified import UnifiedDataStore
from aione.venue.clock import ServerClock
from aione.venue.history import preload
from aione.venue.ledger import LocalLedger
from aione.venue.rest import BinanceRest
from config.settings import load_settings

SYMBOLS = 500
START_MS = 1_779_278_400_000
"""A whole UTC minute."""
HISTORY = 1_600
LATENCY_S = 0.020


class Patience(selectors.SelectSelector):
    """Waits for what really happens first; where nothing does, time passes at once."""

    def __init__(self, advance):
        super().__init__()
        self._advance = advance

    def select(self, timeout=None):
        far = timeout is not None and timeout > 1.0
        ready = super().select(timeout if not timeout else 3.0 if far else 0.01)
        if not ready and timeout:
            self._advance(timeout)
        return ready


class ExchangeLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self._now_s = 0.0
        super().__init__(Patience(self._pass))

    def time(self):
        return self._now_s

    def _pass(self, seconds):
        self._now_s += max(seconds, LEAST_STEP_S)


@pytest.fixture(scope="module")
def market():
    return TableMarket([f"C{n:03d}USDT" for n in range(SYMBOLS)], START_MS - HISTORY * MINUTE_MS, HISTORY + 10)


class Surroundings:
    """The exchange in memory, a client of it, and settings whose floors let every symbol of the market pass."""

    def __init__(self, market):
        loop = asyncio.get_running_loop()
        clock = LoopClock(loop, START_MS)
        options = SimOptions(latency_s=LATENCY_S, budget_by_market_clock=True)
        self.exchange = MemoryExchange(market, clock, options, loop.time)
        floors = dict.fromkeys(("min_quote_volume_24h", "min_open_interest_quote", "min_depth_quote"), 1.0)
        self.settings = load_settings(environ={}, overrides={"STAGE1_PREFILTER_THRESHOLDS": floors})
        self.clock = ServerClock(lambda: clock.now_ms() / 1000, loop.time)
        self.ledger = LocalLedger(self.settings.VENUE, clock=self.clock)
        self.rest = BinanceRest("http://exchange", self.ledger, transport=MemoryTransport(self.exchange))
        self.rest.clock = self.clock

    def statuses(self):
        return {status for _, status in self.exchange.rest.requests}


def run(main):
    loop = ExchangeLoop()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def test_a_preload_of_five_hundred_symbols_fits_into_one_minute_of_the_budget(market, capsys):
    async def main():
        world = Surroundings(market)
        rings = MemoryRings()
        async with world.rest as rest:
            report = await preload(
                rest, rings, market.symbols, interval="1m", bars=499, end_ms=START_MS - MINUTE_MS,
                concurrency=world.settings.KLINES_SEMAPHORE,
            )  # fmt: skip
        used, seconds = await world.ledger.used(), asyncio.get_running_loop().time()
        panel = await rings.load(market.symbols, START_MS - MINUTE_MS, 499)
        return report, used, seconds, panel, world

    report, used, seconds, panel, world = run(main)
    with capsys.disabled():
        facts = f"{report.requests} requests, weight {used} of {world.ledger.limit()}, {seconds:.2f} s of exchange time"
        print(f"\npreload of {SYMBOLS} x 499 bars: {facts}")  # noqa: T201  # the numbers that this is about
    assert panel.valid.all()
    assert (report.failed, report.gaps_left, world.statuses()) == ({}, {}, {200})
    assert report.weight == 2 * SYMBOLS
    assert report.weight <= used <= report.weight + 1, "the exchange's clock is asked once"
    assert seconds < 60.0, "all of it was booked in the minute in which it began"


def test_a_refresh_with_open_interest_and_depth_of_every_symbol_takes_less_than_five_seconds(market, redis_url, capsys):
    async def main():
        world = Surroundings(market)
        redis = aioredis.Redis.from_url(redis_url)
        await redis.flushdb()
        store = UnifiedDataStore.for_flow(redis, world.settings, None)
        async with world.rest as rest:
            runtime = Runtime(
                world.settings, redis, rest, store.minutes, store.days, store.states, TradeStore(redis),
                Publisher(redis, world.settings), CycleLog(redis), IncidentLog(redis),
            )  # fmt: skip
            found = await find_candidates(runtime)
            result = await screen_candidates(runtime, found)
        seconds, used = asyncio.get_running_loop().time(), await world.ledger.used()
        is_stored = bool(await redis.exists(keys.prefilter_result()))
        await redis.aclose()
        return world, found, result, seconds, used, is_stored

    world, found, result, seconds, used, is_stored = run(main)
    asked = {path: number for (path, _), number in world.exchange.rest.requests.items()}
    with capsys.disabled():
        facts = f"{sum(asked.values())} requests, weight {used}, {seconds:.2f} s of exchange time"
        print(f"\nrefresh with {SYMBOLS} symbols at {1000 * LATENCY_S:.0f} ms: {facts}")  # noqa: T201  # likewise
    assert len(found.symbols) == asked["/fapi/v1/openInterest"] == asked["/fapi/v1/depth"] == SYMBOLS
    assert world.statuses() == {200}
    assert used <= world.ledger.limit()
    assert is_stored
    assert {name: after for name, _, after in result.funnel}["depth"] == SYMBOLS
    assert seconds < 5.0
