"""The worker that follows the exchange tick by tick.

1. Every few seconds it reads which symbols are wanted, and takes its share of them (`Following`).
2. It keeps one stream of bars for each, best bid and ask and depth for the screened, mark prices for all (`Fleet`).
3. A closed bar goes to RAM and to the rings at once, those of one moment in one write; while Redis is away they wait
   in RAM and are replayed (`TieredRings`).
4. Forming bars and book entries go out in batches.
5. At the start, when a connection stands (again), when symbols are new, and five seconds into each minute it fills
   by REST what is missing or unconfirmed (`Healer`); what was only streamed is compared with REST later (`Verifier`).
6. Every second it says how it is (`aione.stream.status`), and what goes wrong once when it begins and once when it is
   over (`aione.stream.incidents`).

Whatever the exchange or Redis does, the worker goes on; a mistake of its own ends it, for its supervisor to see.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Final, TypeAlias

from aione.errors import ConfigError, InvalidInput
from aione.metrics import Endpoint, Metrics
from aione.panel.bars import MINUTE_MS, Finality
from aione.store.archiver import Archiver
from aione.store.tiers import TieredRings
from aione.stream.bars import FINALITY_AT, BarFeed, records
from aione.stream.behind import BehindWatch
from aione.stream.book import BookBoard
from aione.stream.errand import Errand
from aione.stream.event_desk import EventDesk
from aione.stream.fleet import Fleet, OpenSocket
from aione.stream.following import Following
from aione.stream.healing import Healer
from aione.stream.loops import SURVIVED, repeat, watch_over
from aione.stream.outlet import Outlet
from aione.stream.reporting import Reporter
from aione.stream.shard import Shard
from aione.stream.symbols import Wanted, streams_of
from aione.stream.verify import Verifier
from aione.venue.rest import BinanceRest
from aione.venue.socket import SessionSocket
from aione.venue.stream_wire import (
    MARK_PRICE_STREAM,
    BookTicker,
    Data,
    DepthUpdate,
    KlineEvent,
    MarkPrice,
    kline_stream,
)
from config.settings import Settings

log = logging.getLogger(__name__)

FOLLOW_EVERY_S: Final = 2.0
BATCH_S: Final = 0.05
FORMING_EVERY_S: Final = 0.5
BOOK_EVERY_S: Final = 1.0
STATUS_EVERY_S: Final = 1.0
REPLAY_EVERY_S: Final = 1.0
VERIFY_EVERY_S: Final = 15.0
CLOCK_EVERY_S: Final = 600.0
HEAL_AT_MS: Final = 5_000
HEAL_BATCH_S: Final = 0.25
CLOCK_LOOK_S: Final = 0.5
BEHIND_EVERY_S: Final = 5.0
FAREWELL_WITHIN_S: Final = 2.0
STREAM_KINDS: Final = ("kline", "bookTicker", "markPrice")

Job: TypeAlias = Callable[[], Awaitable[None]]


class StreamWorker:
    """Runs until cancelled.

    Parameters
    ----------
    outlet : Outlet
        Where everything but bars goes.
    rings : TieredRings
        1m bars.
    rest : BinanceRest
        Open.
    settings : Settings
    metrics : Metrics
    shard : Shard, optional
        Which symbols are this worker's.
    open_socket : callable, optional
        Makes what drives a connection; the network's by default.
    errands : collection of Errand, optional
        What else is to be done now and then.
    events : EventDesk, optional
        Takes what Prefect is told of; nobody is told without one.
    serves_metrics : bool
        Whether ``METRICS_PORT`` serves the metrics while the worker runs.

    Raises
    ------
    ConfigError
        ``VENUE.routes`` lacks a kind of stream that the worker needs.
    """

    def __init__(
        self,
        outlet: Outlet,
        rings: TieredRings,
        rest: BinanceRest,
        settings: Settings,
        *,
        metrics: Metrics,
        shard: Shard = Shard(),  # noqa: B008  # immutable
        open_socket: OpenSocket = SessionSocket,
        errands: Collection[Errand] = (),
        events: EventDesk | None = None,
        serves_metrics: bool = True,
    ) -> None:
        kinds = [*STREAM_KINDS, *(["depth"] if settings.VENUE.depth_stream else [])]
        lacking = [kind for kind in kinds if kind not in settings.VENUE.routes]
        if lacking:
            raise ConfigError(f"VENUE.routes must name {kinds}, lacks {lacking}")
        self._outlet = outlet
        self._rings = rings
        self._rest = rest
        self._settings = settings
        self._metrics = metrics
        self._open_socket = open_socket
        self._errands = errands
        self._events = events
        self._serves_metrics = serves_metrics
        self._feed = BarFeed(now_ms=self._now_ms)
        self._board = BookBoard(now_ms=self._now_ms)
        self._following = Following(outlet, shard, self._take_up, self._board.restore)
        self._behind = BehindWatch(rings)
        self._healer = Healer(rest, rings, settings)
        self._verifier = Verifier(rest, rings, settings)
        archivers = [errand for errand in errands if isinstance(errand, Archiver)]
        self._reporter = Reporter(outlet, rings, rest, metrics, shard, self._feed, self._board, archivers, events)
        self._fleet: Fleet | None = None
        self._bars_ready = asyncio.Event()
        self._heal_now = asyncio.Event()

    @property
    def metrics_port(self) -> int:
        """Return the port that serves the metrics, once `run` has taken one; 0 before."""
        return self._reporter.metrics_port

    async def run(self) -> None:
        """Follow the exchange until cancelled.

        Raises
        ------
        AlreadyRunning
            ``METRICS_PORT`` is taken.
        ExceptionGroup
            Of what a job raised that it does not survive, or of `JobEnded`.
        """
        with self._endpoint():
            try:
                async with asyncio.TaskGroup() as group:
                    self._fleet = self._reporter.fleet = Fleet(
                        self._settings.VENUE, group, self._deliver, self._opened, open_socket=self._open_socket
                    )
                    jobs = []
                    for name, job, every_s, survived in self._jobs():
                        work = repeat(name, job, every_s, on_error=self._failed, survive=survived)
                        jobs.append(group.create_task(work, name=name))
                    await watch_over(jobs)
            finally:
                await self._farewell()

    def _jobs(self) -> Iterator[tuple[str, Job, float, tuple[type[Exception], ...]]]:
        """Yield everything that is done again and again: name, what, how often, and the errors it survives."""
        yield "reading the symbols", self._following.run_once, FOLLOW_EVERY_S, (*SURVIVED, InvalidInput)
        yield "reading the exchange's clock", self._read_clock, CLOCK_EVERY_S, SURVIVED
        yield "writing closed bars", self._write_closed, 0.0, SURVIVED
        yield "replaying bars", self._replay, REPLAY_EVERY_S, SURVIVED
        yield "writing forming bars", self._write_forming, FORMING_EVERY_S, SURVIVED
        yield "writing book tickers", self._write_book, BOOK_EVERY_S, SURVIVED
        yield "filling gaps", self._heal, 0.0, SURVIVED
        yield "verifying bars", self._verify, VERIFY_EVERY_S, SURVIVED
        yield "looking for bars that are due", self._look_behind, BEHIND_EVERY_S, SURVIVED
        yield "watching", self._watch, STATUS_EVERY_S, SURVIVED
        yield "writing the status", self._reporter.report, STATUS_EVERY_S, SURVIVED
        for errand in self._errands:
            yield errand.name, partial(self._do, errand), errand.every_s, SURVIVED

    # ── From the connections ──

    def _deliver(self, data: Data) -> None:
        if isinstance(data, KlineEvent):
            if self._feed.take(data.bar, data.event_ms):
                self._bars_ready.set()
        elif isinstance(data, BookTicker):
            self._board.take_quote(data)
        elif isinstance(data, DepthUpdate):
            self._board.take_depth(data)
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

    def _take_up(self, wanted: Wanted, gone: Collection[str], new: Collection[str]) -> None:
        """Follow exactly these symbols; the connections come first, for they alone may refuse."""
        self._running.want(streams_of(wanted, self._settings.VENUE.depth_stream, MARK_PRICE_STREAM))
        self._reporter.wanted = wanted
        self._board.follow(wanted.symbols)
        self._feed.follow(wanted.symbols)
        self._behind.follow(wanted.symbols, self._now_ms())
        self._healer.drop(gone)
        if new:
            self._heal_now.set()

    async def _write_closed(self) -> None:
        if not self._feed.has_closed:
            self._bars_ready.clear()
            await self._bars_ready.wait()
        await asyncio.sleep(BATCH_S)
        rows = self._feed.closed()
        written = await self._rings.write(records(rows))
        self._feed.written(rows)
        self._reporter.corrected(written.corrected)
        for row in rows.values():
            self._metrics.add("aione_bars_written_total", finality=Finality(row[FINALITY_AT]).name.lower())

    async def _replay(self) -> None:
        self._rings.keep(self._wanted.symbols)
        replayed = await self._rings.replay()
        if replayed:
            log.info("%d bars that Redis lacked are written", replayed)

    async def _write_forming(self) -> None:
        await self._outlet.save_forming(self._feed.forming())

    async def _write_book(self) -> None:
        changed = self._board.changed()
        try:
            await self._outlet.save_book(changed)
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
        self._reporter.healed(report)

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

    async def _verify(self) -> None:
        report = await self._verifier.run_once(self._wanted.symbols, self._now_ms())
        self._reporter.corrected(report.corrected)
        if report.compared:
            self._metrics.add("aione_bars_verified_total", report.compared)

    async def _do(self, errand: Errand) -> None:
        following = self._following
        await following.has_symbols.wait()
        await errand.run_once((following.everyone if errand.is_for_all else following.wanted).symbols, self._now_ms())

    async def _look_behind(self) -> None:
        self._reporter.overdue(await self._behind.look(self._now_ms()))

    async def _watch(self) -> None:
        self._running.review()
        await self._reporter.observe()

    # ── Inside ──

    @property
    def _wanted(self) -> Wanted:
        return self._following.wanted

    @property
    def _running(self) -> Fleet:
        assert self._fleet is not None, "the fleet stands while run() does"
        return self._fleet

    def _now_ms(self) -> int:
        return self._rest.clock.now_ms()

    @contextmanager
    def _endpoint(self) -> Iterator[None]:
        settings = self._settings
        with (
            Endpoint(self._metrics, settings.METRICS_PORT, settings.METRICS_HOST)
            if self._serves_metrics
            else nullcontext()
        ) as endpoint:
            self._reporter.metrics_port = 0 if endpoint is None else endpoint.port
            yield

    async def _farewell(self) -> None:
        """Store the bars that still wait and say that the worker has stopped, if Redis is there; then the errands."""
        with suppress(TimeoutError, *SURVIVED):
            async with asyncio.timeout(FAREWELL_WITHIN_S):
                rows = self._feed.closed()
                if rows:
                    await self._rings.write(records(rows))
                    self._feed.written(rows)
                await self._rings.replay()
                await self._reporter.say("stopped")
        task = asyncio.current_task()
        if self._events is not None and task is not None and task.cancelling():  # told to end, and not by a mistake
            self._events.stopped()
        for errand in self._errands:
            with suppress(TimeoutError, *SURVIVED):
                async with asyncio.timeout(FAREWELL_WITHIN_S):
                    await self._do(errand)


__all__ = ["Errand", "StreamWorker"]
