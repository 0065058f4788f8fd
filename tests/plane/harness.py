"""The product's whole data plane against the simulated exchange, in one process and in virtual time.

Real: StreamWorker, Fleet, Session and its driver, BarFeed, Healer, Verifier, TieredRings, BinanceRest, the ledger, and
the simulated exchange with its limits and faults. Taken out: the network (a line in memory) and Redis (a ring in memory
behind a switch, which survives the workers as a server would; a worker's own memory dies with it).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

import orjson

from aione.errors import ServiceUnavailable
from aione.metrics import Metrics
from aione.panel.bars import VALUE_FIELDS, Finality, Source
from aione.sim.memory import URL, LoopClock, MemoryExchange, MemoryTransport
from aione.sim.options import SimOptions
from aione.sim.rest import ENDPOINTS
from aione.sim.table import TableMarket
from aione.store.rings import MemoryRings
from aione.store.tiers import TieredRings
from aione.stream.symbols import Wanted
from aione.stream.worker import StreamWorker
from aione.venue.clock import ServerClock
from aione.venue.ledger import LocalLedger
from aione.venue.rest import BinanceRest
from config.settings import load_settings

MINUTE = 60_000
START_MS = 1_779_278_400_000
HISTORY = 90
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "BNBUSDT", "LTCUSDT", "XLMUSDT")
MARKET = TableMarket(SYMBOLS, START_MS - HISTORY * MINUTE, 400)
OPTIONS = SimOptions(kline_ms=2_000, book_ticker_ms=6_000, tick_s=2.0, coin_margined=())


class Shared:
    """What stands for Redis: rings that outlive every worker, a switch, and what else workers say."""

    def __init__(self, symbols):
        self.rings = MemoryRings()
        self.wanted = Wanted(tuple(symbols), tuple(symbols))
        self.is_down = False
        self.status = {}
        self.streams = {}
        self.incidents = []
        self.outages = 0

    async def lose_what_is_also_in(self, ram):
        """Be emptied, as a server that comes back without its file; nobody is told.

        What stands nowhere else, as the bars of symbols that nobody follows just now, is the preload's and the
        archive's to bring back, which are not here: it stays.
        """
        before, self.rings = self.rings, MemoryRings()
        self.outages += 1
        for symbol in before.symbols:
            rows = before._rings[symbol][before._rings[symbol]["open_time_ms"] > 0]
            known = set(ram._rings[symbol]["open_time_ms"].tolist()) if symbol in ram.symbols else set()
            if not known.issuperset(rows["open_time_ms"].tolist()):
                await self.rings.write({symbol: rows})


class LookOut:
    """What a canary in Redis tells."""

    def __init__(self, handle):
        self.handle, self.outages = handle, None

    async def is_well(self):
        self.handle.check()
        before, self.outages = self.outages, self.handle.shared.outages
        return before == self.outages


class Handle:
    """One worker's connection to what is shared; dead once the worker is killed."""

    timeframe = "1m"

    def __init__(self, shared):
        self.shared = shared
        self.layout = shared.rings.layout
        self.is_dead = False

    def check(self):
        if self.shared.is_down or self.is_dead:
            raise ServiceUnavailable("Redis does not answer")


class SwitchedRings(Handle):
    def canary(self):
        return LookOut(self)

    async def write(self, records):
        self.check()
        return await self.shared.rings.write(records)

    async def records(self, *window):
        self.check()
        return await self.shared.rings.records(*window)

    async def gaps(self, *window):
        self.check()
        return await self.shared.rings.gaps(*window)

    async def unsure(self, *window):
        self.check()
        return await self.shared.rings.unsure(*window)


class MemoryOutlet(Handle):
    async def wanted(self):
        self.check()
        return self.shared.wanted

    async def save_forming(self, records):
        self.check()

    async def save_book(self, entries):
        self.check()

    async def load_book(self, symbols):
        self.check()
        return {}

    async def forget(self, symbols):
        self.check()

    async def save_status(self, worker, fields, streams):
        self.check()
        self.shared.status, self.shared.streams = fields, streams

    async def tell(self, worker, incidents):
        self.check()
        self.shared.incidents += [(incident.kind, incident.ended_ms is not None) for incident in incidents]

    async def refresh_metrics(self, metrics):
        self.check()


class Running:
    """One worker that runs."""

    def __init__(self, plane):
        self.rings = SwitchedRings(plane.shared)
        self.outlet = MemoryOutlet(plane.shared)
        self.ram = MemoryRings()
        tiers = TieredRings(self.rings, memory=self.ram, is_buffering=True)
        self.metrics = Metrics()
        self.tiers = tiers
        self.worker = StreamWorker(
            self.outlet, tiers, plane.rest, plane.settings, metrics=self.metrics,
            open_socket=plane.exchange.open_socket, serves_metrics=False,
        )  # fmt: skip
        self.task = asyncio.create_task(self.worker.run())

    async def end(self, *, is_killed):
        """Cancel it; a killed one has no time to say anything to anyone."""
        self.rings.is_dead = self.outlet.is_dead = is_killed
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


class Plane:
    """Everything together; an async context manager."""

    def __init__(self, symbols, **venue):
        loop = asyncio.get_running_loop()
        self.clock = LoopClock(loop, START_MS)
        self.exchange = MemoryExchange(MARKET, self.clock, OPTIONS, loop.time)
        settings = load_settings(environ={})
        addresses = {"rest_url": "http://exchange", "ws_url": URL, "depth_stream": ""}
        changed = settings.VENUE.model_copy(update={**addresses, **venue})
        self.settings = settings.model_copy(
            update={"VENUE": changed, "PRELOAD_1M_LOOKBACK_INIT": HISTORY, "VERIFY_INTERVAL_SEC": 600}
        )
        self.ledger = LocalLedger(changed, clock=ServerClock(lambda: self.clock.now_ms() / 1000, loop.time))
        transport = MemoryTransport(self.exchange)
        self.rest = BinanceRest("http://exchange", self.ledger, transport=transport)
        self.rest.clock = ServerClock(lambda: self.clock.now_ms() / 1000, loop.time)
        self.symbols = tuple(symbols)
        self.shared = Shared(symbols)
        self.running = None
        self.one_at_a_time = asyncio.Lock()
        self.counts = Counter()

    async def __aenter__(self):
        self.serving = asyncio.create_task(self.exchange.run())
        await self.rest.__aenter__()
        self.start()
        return self

    async def __aexit__(self, *error):
        await self.running.end(is_killed=False)
        self.serving.cancel()
        await asyncio.wait([self.serving])
        await self.exchange.hub.shut()
        await self.rest.__aexit__(None, None, None)

    def start(self):
        self.running = Running(self)

    async def restart(self, *, is_killed, after_s):
        await self.running.end(is_killed=is_killed)
        self.counts["killed" if is_killed else "restarted"] += 1
        await asyncio.sleep(after_s)
        self.start()

    async def sleep_until_ms(self, moment_ms):
        await asyncio.sleep(max(0.0, (moment_ms - self.clock.now_ms()) / 1000))
        task = self.running.task
        assert self.one_at_a_time.locked() or not task.done(), task.exception()

    # ── The truth, by another way than the product's ──

    async def truth(self, symbol, first_ms, last_ms):
        """Return the exchange's own rows, open time -> the eight values, decoded from its JSON here."""
        query = {
            "symbol": symbol,
            "interval": "1m",
            "limit": "1000",
            "startTime": str(first_ms),
            "endTime": str(last_ms),
        }
        answer = await self.exchange.rest._make(ENDPOINTS["/fapi/v1/klines"], query)
        return {
            row[0]: (*map(float, row[1:6]), float(row[7]), float(row[9]), row[8])
            for row in orjson.loads(answer)
        }  # fmt: skip

    async def wrong_bars(self, first_ms, last_ms, *, only_final):
        """Return (symbol, open time, held, true) of every bar that differs, that is missing, or not final."""
        wrong = []
        for symbol in self.shared.wanted.symbols:
            truth = await self.truth(symbol, first_ms, last_ms)
            held = (await self.shared.rings.records([symbol], first_ms, last_ms))[symbol]
            rows = {int(row["open_time_ms"]): row for row in held}
            for open_ms, values in truth.items():
                row = rows.get(open_ms)
                if row is None or row["finality"] < Finality.STREAM_CLOSED:
                    if not only_final:
                        wrong.append((symbol, open_ms, None if row is None else int(row["finality"]), values))
                elif tuple(row[name] for name in VALUE_FIELDS) != values or row["source"] == Source.UNKNOWN:
                    wrong.append((symbol, open_ms, tuple(row[name] for name in VALUE_FIELDS), values))
            wrong += [(symbol, open_ms, "never was", None) for open_ms in rows.keys() - truth.keys()]
        return wrong


__all__ = ["HISTORY", "MARKET", "MINUTE", "START_MS", "SYMBOLS", "Plane"]
