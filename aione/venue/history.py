"""`preload`: the history that the rings lack, fetched with the cheapest requests.

1. The rings say which bars are missing; those before a symbol's listing are not asked for.
2. The missing bars of a symbol are covered by the cheapest requests (`aione.venue.cover`).
3. A bounded number of symbols is fetched at once; what comes is written at once, so an end half-way loses nothing.
4. A request that fails in passing is tried again, a few times, after a random wait that grows (full jitter); a hold
   is waited for by the ledger. A refused symbol, or one whose reply stays unreadable, is reported and the run goes on.
5. A bar that the exchange was asked for and does not have (it stood still; nothing was listed) is marked as absent,
   so that no later run asks again: when it should have closed more than ten minutes ago and a later bar of the symbol
   is known. The newest missing bars are never marked: they may only be late.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from aione.errors import InvalidInput, MalformedReply, RateLimited, SymbolRejected, VenueUnavailable
from aione.panel.bar_panel import I8
from aione.store.ring_layout import Records, absent_bars
from aione.store.rings import Rings
from aione.venue.cover import Range, cheapest_requests
from aione.venue.errors_map import TruncatedReply
from aione.venue.ledger import LONGEST_HOLD_S
from aione.venue.rest import BinanceRest
from aione.venue.weights import klines_weight
from aione.venue.wire_bars import interval_ms

TRIES: Final = 4
BACKOFF_BASE_S: Final = 0.5
BACKOFF_CAP_S: Final = 8.0
GIVE_UP_AFTER: Final = 5
LATE_MS: Final = 600_000

OnProgress = Callable[[int, int, str], Awaitable[None] | None]
"""Called with (symbols done, symbols in all, the symbol just done); may be async."""


@dataclass(slots=True)
class PreloadReport:
    """What one preload did.

    Attributes
    ----------
    symbols : int
        Symbols asked for.
    bars_written : int
        Slots of the rings that changed to a bar.
    requests, weight : int
        Of klines, retries included, and tries that a hold stopped as well.
    failed : dict symbol -> reason
        Symbols whose history could not be had.
    gaps_left : dict symbol -> list of (first, last) open time
        What is still missing, inclusive; symbols without gaps are not in it.
    absent_bars : int
        Bars newly marked as such that the exchange does not have.
    bars_corrected : int
        Bars that were final before and that the exchange now tells differently.
    """

    symbols: int
    bars_written: int = 0
    requests: int = 0
    weight: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    gaps_left: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    absent_bars: int = 0
    bars_corrected: int = 0


async def preload(
    rest: BinanceRest,
    rings: Rings,
    symbols: Sequence[str],
    *,
    interval: str,
    bars: int,
    end_ms: int,
    concurrency: int,
    on_progress: OnProgress | None = None,
    onboard_ms: Mapping[str, int] | None = None,
) -> PreloadReport:
    """Fetch the bars that the rings lack of the ``bars`` bars that end at ``end_ms``.

    Parameters
    ----------
    rest : BinanceRest
    rings : Rings
        Of timeframe ``interval``.
    symbols : sequence of str
    interval : str
        ``1m`` or ``1d``.
    bars : int
        At most the rings' capacity.
    end_ms : int
        Open time of the last closed bar.
    concurrency : int
        Symbols at once.
    on_progress : callable, optional
    onboard_ms : mapping symbol -> int, optional
        When each was listed; no bar before it is asked for.

    Raises
    ------
    RequestRejected
        The request itself is wrong or the region is barred: it would be so for every symbol.
    ServiceUnavailable
        Redis does not answer.
    VenueUnavailable
        Five symbols in a row could not be had although each request was tried four times: the exchange is down. What
        came before is in the rings.
    InvalidInput
        Rings of another timeframe, a window they cannot hold, or a concurrency below 1.
    """
    if rings.timeframe != interval:
        raise InvalidInput(f"rings must be of timeframe {interval}, were of {rings.timeframe}")
    if concurrency < 1:
        raise InvalidInput(f"concurrency must be at least 1, was {concurrency}")
    names = list(dict.fromkeys(symbols))
    window = _Window(interval_ms(interval), end_ms, bars, onboard_ms or {})
    missing = await window.missing(rings, names)
    work = _Preload(rest, rings, window, on_progress, PreloadReport(len(names)))
    for symbol in names:
        if symbol not in missing:
            await work.progress(symbol)
    await work.run(missing, concurrency)
    work.report.gaps_left = await window.missing(rings, list(missing))
    return work.report


async def fetch_ranges(
    rest: BinanceRest, rings: Rings, ranges: Mapping[str, Sequence[Range]], *, end_ms: int, concurrency: int
) -> PreloadReport:
    """Fetch these ranges of open times, whether or not the rings hold them already; first come, first fetched.

    Parameters
    ----------
    rest : BinanceRest
    rings : Rings
    ranges : mapping symbol -> ranges of open times
        Inclusive, ascending and apart, none after ``end_ms``.
    end_ms : int
        Open time of the last closed bar; what follows a symbol's last range up to here is held.
    concurrency : int
        Symbols at once.

    Raises
    ------
    As `preload`.
    """
    window = _Window(interval_ms(rings.timeframe), end_ms, 1, {})
    work = _Preload(rest, rings, window, None, PreloadReport(len(ranges)))
    await work.run(ranges, concurrency)
    return work.report


@dataclass(frozen=True, slots=True)
class _Window:
    """The bars wanted: ``bars`` of them, the last at ``end_ms``, none before a symbol's listing."""

    step_ms: int
    end_ms: int
    bars: int
    onboard_ms: Mapping[str, int]

    async def missing(self, rings: Rings, symbols: Sequence[str]) -> dict[str, list[Range]]:
        """Return the open-time ranges that the rings lack, without symbols that lack none."""
        start_ms = self.end_ms - self.step_ms * (self.bars - 1)
        gaps = await rings.gaps(symbols, start_ms, self.end_ms)
        wanted = {symbol: self._listed(symbol, ranges) for symbol, ranges in gaps.items()}
        return {symbol: ranges for symbol, ranges in wanted.items() if ranges}

    def _listed(self, symbol: str, ranges: Sequence[Range]) -> list[Range]:
        first_ms = self.onboard_ms.get(symbol, 0) // self.step_ms * self.step_ms
        return [(max(first, first_ms), last) for first, last in ranges if last >= first_ms]

    def times(self, ranges: Sequence[Range]) -> I8:
        """Return every open time of the ranges, int64, ascending."""
        spans = [np.arange(first, last + 1, self.step_ms, dtype=np.int64) for first, last in ranges]
        return np.concatenate(spans) if spans else np.zeros(0, np.int64)


class _Preload:
    """One run: what its workers share."""

    def __init__(
        self, rest: BinanceRest, rings: Rings, window: _Window, on_progress: OnProgress | None, report: PreloadReport
    ) -> None:
        self.report = report
        self._rest = rest
        self._rings = rings
        self._window = window
        self._on_progress = on_progress
        self._done = 0
        self._failed_in_a_row = 0

    async def progress(self, symbol: str) -> None:
        """Count a symbol as done and tell it."""
        self._done += 1
        if self._on_progress is not None:
            told = self._on_progress(self._done, self.report.symbols, symbol)
            if inspect.isawaitable(told):
                await told

    async def run(self, ranges: Mapping[str, Sequence[Range]], concurrency: int) -> None:
        """Fetch every symbol's ranges, a bounded number of symbols at once, in the order given."""
        queue = iter(ranges.items())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(concurrency, len(ranges))):
                    group.create_task(self.drain(queue))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def drain(self, queue: Iterator[tuple[str, Sequence[Range]]]) -> None:
        """Fetch symbols until none is left in the shared queue."""
        for symbol, ranges in queue:
            try:
                await self._fill(symbol, ranges)
                self._failed_in_a_row = 0
            except (SymbolRejected, MalformedReply) as error:
                self.report.failed[symbol] = str(error)
            except VenueUnavailable as error:
                self.report.failed[symbol] = str(error)
                self._failed_in_a_row += 1
                if self._failed_in_a_row >= GIVE_UP_AFTER:
                    raise
            await self.progress(symbol)

    async def _fill(self, symbol: str, ranges: Sequence[Range]) -> None:
        step_ms = self._window.step_ms
        positions = tuple((first // step_ms, last // step_ms) for first, last in ranges)
        received = [np.zeros(0, np.int64)]
        for first, last in cheapest_requests(positions):
            bars = await self._request(symbol, first * step_ms, last * step_ms)
            written = await self._rings.write({symbol: bars})
            self.report.bars_written += written.changed
            self.report.bars_corrected += written.corrected
            received.append(bars["open_time_ms"])
        await self._mark_absent(symbol, ranges, np.concatenate(received))

    async def _mark_absent(self, symbol: str, ranges: Sequence[Range], received: I8) -> None:
        """Mark what was asked for in vain, where it is old enough and a later bar is known; see step 5."""
        asked = self._window.times(ranges)
        in_vain = asked[~np.isin(asked, received)]
        first_ms, last_ms = ranges[-1]
        held_ms = self._window.end_ms if last_ms < self._window.end_ms else first_ms - self._window.step_ms
        known_ms = max(held_ms, int(received.max(initial=0)))
        settled_ms = self._rest.clock.now_ms() - LATE_MS - self._window.step_ms
        absent = in_vain[(in_vain < known_ms) & (in_vain <= settled_ms)]
        if absent.size:
            marked = (await self._rings.write({symbol: absent_bars(absent)})).changed
            self.report.absent_bars += marked

    async def _request(self, symbol: str, start_ms: int, end_ms: int) -> Records:
        """Ask for one range of bars, again while the failure may pass."""
        limit = (end_ms - start_ms) // self._window.step_ms + 1
        for attempt in range(1, TRIES + 1):
            self.report.requests += 1
            self.report.weight += klines_weight(limit)
            try:
                return await self._rest.klines(
                    symbol, self._rings.timeframe, limit=limit, start_ms=start_ms, end_ms=end_ms
                )
            except (VenueUnavailable, TruncatedReply) as error:
                hold_s = error.retry_after_s if isinstance(error, RateLimited) else 0.0
                if attempt == TRIES or hold_s > LONGEST_HOLD_S:
                    raise
                longest_s = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** (attempt - 1))
                await asyncio.sleep(random.uniform(0, longest_s))  # noqa: S311  # full jitter; the ledger waits the hold
        raise AssertionError("the last try returns or raises")


__all__ = ["OnProgress", "PreloadReport", "fetch_ranges", "preload"]
