"""The worker that follows the exchange tick by tick.

1. Every few seconds it reads which symbols are wanted: the screened ones, before the first prefilter the universe.
2. It keeps one stream of bars for each, best bid and ask for the screened, and mark prices for all (`Fleet`).
3. A closed bar goes to the rings at once, those of one moment in one write; while Redis is away they wait, bounded.
4. Forming bars and book entries go to Redis in batches.
5. At the start, when a connection stands (again), when symbols are new, and five seconds into each minute it fills
   by REST what is missing or unconfirmed (`Healer`).
6. Every second it says how it is (`aione.stream.status`) and copies the flows' metrics for its endpoint.

Whatever the exchange or Redis does, the worker goes on; a mistake of its own ends it, for its supervisor to see.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Final

import redis.asyncio as aioredis
from msgspec.structs import asdict

from aione.errors import ConfigError, InvalidInput
from aione.metrics import Endpoint, Metrics
from aione.panel.bars import MINUTE_MS, Finality
from aione.store import keys
from aione.store.connect import redis_errors
from aione.store.rings import Rings
from aione.store.state import StateStore
from aione.stream.bars import FINALITY_AT, BarFeed, records
from aione.stream.book import BookBoard
from aione.stream.fleet import Fleet
from aione.stream.healing import Healer
from aione.stream.loops import SURVIVED, repeat
from aione.stream.status import record_fleet, status_fields
from aione.stream.symbols import Wanted, read_wanted
from aione.venue.rest import BinanceRest
from aione.venue.stream_wire import (
    MARK_PRICE_STREAM,
    BookTicker,
    Data,
    KlineEvent,
    MarkPrice,
    book_ticker_stream,
    kline_stream,
)
from config.settings import Settings

FOLLOW_EVERY_S: Final = 2.0
BATCH_S: Final = 0.05
FORMING_EVERY_S: Final = 0.5
BOOK_EVERY_S: Final = 1.0
STATUS_EVERY_S: Final = 1.0
CLOCK_EVERY_S: Final = 600.0
HEAL_AT_MS: Final = 5_000
HEAL_BATCH_S: Final = 0.25
CLOCK_LOOK_S: Final = 0.5
FAREWELL_WITHIN_S: Final = 2.0
STREAM_KINDS: Final = ("kline", "bookTicker", "markPrice")


class StreamWorker:
    """Runs until cancelled.

    Parameters
    ----------
    redis : redis.asyncio.Redis
        A client that returns bytes.
    rings : Rings
        1m bars.
    rest : BinanceRest
        Open.
    settings : Settings
    metrics : Metrics
        Served on ``METRICS_PORT`` while the worker runs.

    Raises
    ------
    ConfigError
        ``VENUE.routes`` lacks a kind of stream that the worker needs.
    """

    def __init__(
        self, redis: aioredis.Redis, rings: Rings, rest: BinanceRest, settings: Settings, *, metrics: Metrics
    ) -> None:
        lacking = [kind for kind in STREAM_KINDS if kind not in settings.VENUE.routes]
        if lacking:
            raise ConfigError(f"VENUE.routes must name {list(STREAM_KINDS)}, lacks {lacking}")
        self._redis = redis
        self._state = StateStore(redis)
        self._rings = rings
        self._rest = rest
        self._settings = settings
        self._metrics = metrics
        self._feed = BarFeed()
        self._board = BookBoard()
        self._healer = Healer(rest, rings, self._feed, settings)
        self._fleet: Fleet | None = None
        self._wanted = Wanted()
        self._bars_ready = asyncio.Event()
        self._heal_now = asyncio.Event()
        self._started_ms = 0
        self.metrics_port = 0

    async def run(self) -> None:
        """Follow the exchange until cancelled.

        Raises
        ------
        AlreadyRunning
            ``METRICS_PORT`` is taken.
        """
        self._started_ms = wall_ms()
        with Endpoint(self._metrics, self._settings.METRICS_PORT) as endpoint:
            self.metrics_port = endpoint.port
            try:
                async with asyncio.TaskGroup() as group:
                    self._fleet = Fleet(self._settings.VENUE, group, self._deliver, self._opened)
                    for name, job, every_s in (
                        ("reading the exchange's clock", self._read_clock, CLOCK_EVERY_S),
                        ("writing closed bars", self._write_closed, 0.0),
                        ("writing forming bars", self._write_forming, FORMING_EVERY_S),
                        ("writing book tickers", self._write_book, BOOK_EVERY_S),
                        ("filling gaps", self._heal, 0.0),
                        ("writing the status", self._report, STATUS_EVERY_S),
                    ):
                        group.create_task(repeat(name, job, every_s, on_error=self._failed), name=name)
                    following = repeat(
                        "reading the symbols",
                        self._follow,
                        FOLLOW_EVERY_S,
                        on_error=self._failed,
                        survive=(*SURVIVED, InvalidInput),
                    )
                    group.create_task(following, name="reading the symbols")
            finally:
                await self._farewell()

    # ── From the connections ──

    def _deliver(self, data: Data) -> None:
        if isinstance(data, KlineEvent):
            if self._feed.take(data.bar):
                self._bars_ready.set()
        elif isinstance(data, BookTicker):
            self._board.take_quote(data)
        else:
            self._board.take_marks([data] if isinstance(data, MarkPrice) else data)

    def _opened(self, streams: Collection[str]) -> None:
        """A connection stands: its symbols' forming bars may be stale, and bars may have been missed."""
        names = set(streams)
        self._feed.forget(symbol for symbol in self._wanted.symbols if kline_stream(symbol) in names)
        self._heal_now.set()

    def _failed(self, name: str, _error: Exception) -> None:
        self._metrics.add("aione_errors_total", kind=name.replace(" ", "_").replace("'", ""))

    # ── Jobs ──

    async def _read_clock(self) -> None:
        await self._rest.server_time()

    async def _follow(self) -> None:
        wanted = await read_wanted(self._state)
        if wanted == self._wanted or not wanted.symbols:
            return
        gone = sorted(set(self._wanted.symbols) - set(wanted.symbols))
        new = set(wanted.symbols) - set(self._wanted.symbols)
        self._wanted = wanted
        self._board.follow(wanted.symbols)
        self._feed.drop(gone)
        self._healer.drop(gone)
        self._running.want(
            [
                *map(kline_stream, wanted.symbols),
                *map(book_ticker_stream, wanted.screened),
                MARK_PRICE_STREAM,
            ]
        )
        if new:
            self._heal_now.set()
        if gone:
            with redis_errors("removing symbols"):
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.hdel(keys.forming_bars(), *gone)
                    pipe.hdel(keys.book_tickers(), *gone)
                    await pipe.execute()

    async def _write_closed(self) -> None:
        if not self._feed.has_closed:
            self._bars_ready.clear()
            await self._bars_ready.wait()
        await asyncio.sleep(BATCH_S)
        rows = self._feed.closed()
        await self._rings.write(records(rows))
        self._feed.written(rows)
        for row in rows.values():
            self._metrics.add("aione_bars_written_total", finality=Finality(row[FINALITY_AT]).name.lower())

    async def _write_forming(self) -> None:
        changed = self._feed.forming()
        if changed:
            with redis_errors("writing forming bars"):
                await self._redis.hset(keys.forming_bars(), mapping=dict(changed.items()))

    async def _write_book(self) -> None:
        changed = self._board.changed()
        try:
            await self._state.save_book_tickers({symbol: asdict(entry) for symbol, entry in changed.items()})
        except SURVIVED:
            self._board.again(changed)
            raise

    async def _heal(self) -> None:
        await self._until_due()
        if not self._wanted.symbols:
            return
        try:
            report = await self._healer.heal(self._wanted.symbols, self._now_ms())
        except SURVIVED:
            self._heal_now.set()
            raise
        if report.filled:
            self._metrics.add("aione_gaps_healed_total", report.filled, cause="missing")
        if report.confirmed:
            self._metrics.add("aione_gaps_healed_total", report.confirmed, cause="unconfirmed")

    async def _until_due(self) -> None:
        """Wait for the next minute's check, or for a reason to check sooner.

        The exchange's clock may be set while this waits, so it is read again and again.
        """
        minute = (self._now_ms() - HEAL_AT_MS) // MINUTE_MS
        while not self._heal_now.is_set() and (self._now_ms() - HEAL_AT_MS) // MINUTE_MS == minute:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOCK_LOOK_S):
                    await self._heal_now.wait()
        if self._heal_now.is_set():
            await asyncio.sleep(HEAL_BATCH_S)
            self._heal_now.clear()

    async def _report(self) -> None:
        self._running.review()
        record_fleet(self._running, self._metrics)
        self._metrics.set_total("aione_dropped_total", self._feed.dropped)
        self._metrics.set_total("aione_errors_total", self._feed.refused, kind="refused_bar")
        self._metrics.set_total("aione_errors_total", self._board.refused, kind="refused_quote")
        await self._write_status("running")
        await self._metrics.refresh(self._redis)

    # ── Inside ──

    @property
    def _running(self) -> Fleet:
        assert self._fleet is not None, "the fleet stands while run() does"
        return self._fleet

    def _now_ms(self) -> int:
        return self._rest.clock.now_ms()

    async def _write_status(self, state: str) -> None:
        fields = status_fields(
            self._running,
            self._metrics,
            state=state,
            started_ms=self._started_ms,
            now_ms=wall_ms(),
            clock_offset_ms=round(self._rest.clock.offset_ms()),
            metrics_port=self.metrics_port,
        )
        with redis_errors("writing the stream's status"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(keys.stream_status(), mapping=dict(fields.items()))
                pipe.expire(keys.stream_status(), self._settings.REDIS_CACHE_TTL)
                await pipe.execute()

    async def _farewell(self) -> None:
        """Store the bars that still wait and say that the worker has stopped, if Redis is there."""
        with suppress(TimeoutError, *SURVIVED):
            async with asyncio.timeout(FAREWELL_WITHIN_S):
                rows = self._feed.closed()
                if rows:
                    await self._rings.write(records(rows))
                    self._feed.written(rows)
                await self._write_status("stopped")


def wall_ms() -> int:
    """Return this machine's time, UTC epoch milliseconds: what readers of the status compare it with."""
    return time.time_ns() // 1_000_000


__all__ = ["StreamWorker"]
