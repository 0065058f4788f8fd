"""Fetching many symbols' missing bars, a bounded number at once.

1. The missing bars of a symbol are covered by the cheapest requests (`aione.venue.cover`).
2. What comes is written at once.
3. A request that fails in passing is tried again, a few times, after a random wait that grows (full jitter); a hold
   is waited for by the ledger.
4. A refused symbol, or one whose reply stays unreadable, is reported and the run goes on. What would be so for every
   symbol ends the run: our own mistake, a barred region, or five symbols in a row that cannot be had.
5. A bar that was asked for in vain is looked at again (`aione.venue.absent`).
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from aione.errors import MalformedReply, RateLimited, RequestRejected, SymbolRejected, VenueUnavailable
from aione.panel.bar_panel import I8
from aione.panel.bars import Finality
from aione.store.ring_layout import Records
from aione.store.rings import Rings
from aione.venue.absent import mark_absent
from aione.venue.cover import Range, cheapest_requests
from aione.venue.errors_map import TruncatedReply
from aione.venue.ledger import LONGEST_HOLD_S
from aione.venue.rest import BinanceRest
from aione.venue.weights import klines_weight

TRIES: Final = 4
BACKOFF_BASE_S: Final = 0.5
BACKOFF_CAP_S: Final = 8.0
GIVE_UP_AFTER: Final = 5
OUR_MISTAKES: Final = frozenset({0, -4021, *range(-1130, -1099)})
"""Codes of requests that are wrong whatever the symbol; 0 stands in the body of a barred region."""

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


class Filler:
    """One run: what its workers share.

    Parameters
    ----------
    rest : BinanceRest
    rings : Rings
    end_ms : int
        Open time of the last closed bar.
    report : PreloadReport
        Filled while it runs.
    mark : Finality
        How sure an absent bar is to be marked; see `aione.venue.absent`.
    on_progress : callable, optional
    """

    def __init__(
        self,
        rest: BinanceRest,
        rings: Rings,
        end_ms: int,
        report: PreloadReport,
        *,
        mark: Finality = Finality.PROVISIONAL,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.report = report
        self._rest = rest
        self._rings = rings
        self._step_ms = rings.layout.interval_ms
        self._end_ms = end_ms
        self._mark = mark
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
        """Fetch every symbol's ranges of open times, a bounded number of symbols at once, in the order given."""
        queue = iter(ranges.items())
        await together([self._drain(queue) for _ in range(min(concurrency, len(ranges)))])

    async def _drain(self, queue: Iterator[tuple[str, Sequence[Range]]]) -> None:
        """Fetch symbols until none is left in the shared queue."""
        for symbol, ranges in queue:
            try:
                await self._fill(symbol, ranges)
                self._failed_in_a_row = 0
            except (SymbolRejected, MalformedReply) as error:
                self.report.failed[symbol] = str(error)
            except (RequestRejected, VenueUnavailable) as error:
                self.report.failed[symbol] = str(error)
                self._failed_in_a_row += 1
                if self._failed_in_a_row >= GIVE_UP_AFTER or _is_for_every_symbol(error):
                    raise
            await self.progress(symbol)

    async def _fill(self, symbol: str, ranges: Sequence[Range]) -> None:
        step_ms = self._step_ms
        positions = tuple((first // step_ms, last // step_ms) for first, last in ranges)
        replies: list[tuple[Range, I8]] = []
        for first, last in cheapest_requests(positions):
            bars = await self._request(symbol, first * step_ms, last * step_ms)
            written = await self._rings.write({symbol: bars})
            self.report.bars_written += written.changed
            self.report.bars_corrected += written.corrected
            replies.append(((first * step_ms, last * step_ms), bars["open_time_ms"]))
        asked = _times(ranges, step_ms)
        in_vain = asked[~np.isin(asked, np.concatenate([asked[:0], *(times for _, times in replies)]))]
        if in_vain.size:
            self.report.absent_bars += await mark_absent(
                self._rings,
                symbol,
                replies,
                in_vain,
                end_ms=self._end_ms,
                now_ms=self._rest.clock.now_ms(),
                mark=self._mark,
                ask=lambda first_ms, last_ms: self._request(symbol, first_ms, last_ms),
            )

    async def _request(self, symbol: str, start_ms: int, end_ms: int) -> Records:
        """Ask for one range of bars, again while the failure may pass."""
        limit = (end_ms - start_ms) // self._step_ms + 1
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


async def together(jobs: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run jobs at once and return when all have ended; after the first error the others are cancelled and it is raised.

    Notes
    -----
    `asyncio.TaskGroup` of Python 3.11 does the same but leaves `Task.cancelling` of its caller raised after an error,
    so that whoever looks there takes the caller for cancelled.
    """
    if not jobs:
        return
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _is_for_every_symbol(error: Exception) -> bool:
    return isinstance(error, RequestRejected) and (error.code is None or error.code in OUR_MISTAKES)


def _times(ranges: Sequence[Range], step_ms: int) -> I8:
    """Return every open time of inclusive ranges, int64, ascending."""
    spans = [np.arange(first, last + 1, step_ms, dtype=np.int64) for first, last in ranges]
    return np.concatenate(spans) if spans else np.zeros(0, np.int64)


__all__ = ["BACKOFF_BASE_S", "GIVE_UP_AFTER", "TRIES", "Filler", "OnProgress", "PreloadReport", "together"]
