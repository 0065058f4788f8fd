"""Filling by REST what the stream did not bring: missing bars, and provisional ones that nobody confirmed.

1. For each symbol it is remembered up to which bar its ring is known to be complete and final.
2. A check reads the ring from there (and at least `RECENT_BARS` back) to the last bar that must be closed by now.
3. A symbol seen for the first time, and every symbol each `FULL_CHECK_EVERY_S`, is read over the whole history;
   what is missing before its first bar is the preload's business and left alone.
4. Missing and provisional bars are fetched alike, with the cheapest requests that cover them, before anything that is
   less urgent, the symbols in the order given: the best ranks first. What REST says is final.
5. Only a symbol whose check ran through and left nothing open gets a new mark of step 1, so an outage is caught up
   whole, and so does a process that was killed: finality stands in the rings, not in its memory.
6. A bar that the exchange was asked for and does not have is asked for again after one minute, then after two and four,
   up to `WAIT_AT_MOST_MS`: when the market stands still, healing must not use up what everybody else needs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from aione.panel.bar_panel import B1, I8
from aione.panel.bars import MINUTE_MS, Finality
from aione.store.ring_layout import ABSENT, Records
from aione.store.rings import Rings
from aione.venue.history import fetch_ranges
from aione.venue.ledger import Priority
from aione.venue.rest import BinanceRest
from config.settings import Settings

RECENT_BARS: Final = 5
SYMBOLS_A_READ: Final = 32
FULL_CHECK_EVERY_S: Final = 600.0
SETTLE_MS: Final = 4_000
BEHIND_MS: Final = 180_000
"""A bar that is missing or unproven for so long after its end makes its symbol one that is behind."""
WAIT_AT_MOST_MS: Final = 300_000
WAIT_SLACK_MS: Final = 10_000
"""A wait ends so much sooner, so that the check at its end is not just missed."""


@dataclass(frozen=True, slots=True)
class Gap:
    """How many missing bars of a symbol were filled, and the open times of the first and the last of them."""

    bars: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class HealReport:
    """What a check found and did, in bars; ``behind`` names the symbols that still lack something old.

    ``gaps`` are the missing bars that were filled, by symbol, of symbols that had been checked before: what a symbol
    lacks when it comes is no gap.
    """

    missing: int = 0
    filled: int = 0
    unconfirmed: int = 0
    confirmed: int = 0
    corrected: int = 0
    behind: tuple[str, ...] = ()
    gaps: Mapping[str, Gap] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Vain:
    """Bars of a symbol that were asked for in vain, and when they are asked for again."""

    newest_ms: int
    is_newest: bool
    wait_ms: int
    until_ms: int

    def left(self, open_ms: I8, now_ms: int) -> I8:
        """Return which open bars are to be asked for now: newer ones, unless the newest one was in vain as well."""
        if now_ms >= self.until_ms:
            return open_ms
        return open_ms[:0] if self.is_newest else open_ms[open_ms > self.newest_ms]


class Healer:
    """Keeps the rings without gaps and their bars final.

    Parameters
    ----------
    rest : BinanceRest
    rings : Rings
        1m bars.
    settings : Settings
    """

    def __init__(self, rest: BinanceRest, rings: Rings, settings: Settings) -> None:
        self._rest = rest
        self._rings = rings
        self._bars = settings.PRELOAD_1M_LOOKBACK_INIT
        self._concurrency = settings.KLINES_SEMAPHORE
        self._complete_ms: dict[str, int] = {}
        self._full_check_ms = 0
        self._vain: dict[str, _Vain] = {}
        self._checked: set[str] = set()

    async def heal(self, symbols: Sequence[str], now_ms: int) -> HealReport:
        """Check and fill these symbols up to the last bar that is closed for certain at ``now_ms``.

        Raises
        ------
        VenueError, ServiceUnavailable
            Nothing is forgotten; the next check begins where this one did.
        """
        end_ms = (now_ms - SETTLE_MS) // MINUTE_MS * MINUTE_MS - MINUTE_MS
        if now_ms - self._full_check_ms >= FULL_CHECK_EVERY_S * 1000:
            self._complete_ms.clear()
            self._full_check_ms = now_ms
        before = await self._open(symbols, end_ms)
        self._complete_ms.update({symbol: end_ms for symbol, (open_ms, _) in before.items() if not open_ms.size})
        asked = {symbol: self._to_ask(symbol, open_ms, now_ms) for symbol, (open_ms, _) in before.items()}
        wanted = {symbol: ranges_of(open_ms) for symbol, open_ms in asked.items() if open_ms.size}
        after, corrected = before, 0
        if wanted:
            report = await fetch_ranges(
                self._rest.at(Priority.HEAL), self._rings, wanted, end_ms=end_ms, concurrency=self._concurrency
            )
            corrected = report.bars_corrected
            after = {**before, **await self._open(list(wanted), end_ms)}
            for symbol in wanted:
                if symbol not in report.failed:
                    self._conclude(symbol, asked[symbol], after[symbol][0], end_ms, now_ms)
        gaps = filled_gaps({symbol: before[symbol] for symbol in wanted if symbol in self._checked}, after)
        self._checked.update(symbols)
        missing, unconfirmed = _count(before)
        left_missing, left_unconfirmed = _count(after)
        old_ms = now_ms - BEHIND_MS - MINUTE_MS
        return HealReport(
            missing,
            missing - left_missing,
            unconfirmed,
            unconfirmed - left_unconfirmed,
            corrected,
            tuple(symbol for symbol, (open_ms, _) in after.items() if open_ms.size and open_ms[0] <= old_ms),
            gaps,
        )

    def _to_ask(self, symbol: str, open_ms: I8, now_ms: int) -> I8:
        vain = self._vain.get(symbol)
        return open_ms if vain is None else vain.left(open_ms, now_ms)

    def _conclude(self, symbol: str, asked_ms: I8, open_ms: I8, end_ms: int, now_ms: int) -> None:
        """Remember what a check of a symbol that was answered has left open."""
        if not open_ms.size:
            self._complete_ms[symbol] = end_ms
            self._vain.pop(symbol, None)
            return
        newest_ms = int(asked_ms[-1])
        before = self._vain.get(symbol)
        if before is None:
            wait_ms, until_ms = MINUTE_MS, now_ms + MINUTE_MS - WAIT_SLACK_MS
        elif now_ms < before.until_ms:  # only what is newer was asked for
            wait_ms, until_ms = before.wait_ms, before.until_ms
        else:
            wait_ms = min(2 * before.wait_ms, WAIT_AT_MOST_MS)
            until_ms = now_ms + wait_ms - WAIT_SLACK_MS
        self._vain[symbol] = _Vain(newest_ms, newest_ms in open_ms, wait_ms, until_ms)

    def drop(self, symbols: Collection[str]) -> None:
        """Forget symbols that are not followed any more."""
        for symbol in symbols:
            self._complete_ms.pop(symbol, None)
            self._vain.pop(symbol, None)
            self._checked.discard(symbol)

    async def _open(self, symbols: Sequence[str], end_ms: int) -> dict[str, tuple[I8, B1]]:
        """Return, by symbol in order, the open times of bars that are missing or provisional, and which are missing."""
        found: dict[str, tuple[I8, B1]] = {}
        for bars, group in self._windows(symbols, end_ms).items():
            start_ms = end_ms - (bars - 1) * MINUTE_MS
            for first in range(0, len(group), SYMBOLS_A_READ):  # not 54 MB at once for what is looked at and let go
                held = await self._rings.records(group[first : first + SYMBOLS_A_READ], start_ms, end_ms)
                for symbol, rows in held.items():
                    found[symbol] = open_times(rows, start_ms, end_ms, has_history=bars < self._bars)
        return {symbol: found[symbol] for symbol in symbols}

    def _windows(self, symbols: Sequence[str], end_ms: int) -> dict[int, list[str]]:
        """Group symbols by how many bars back they must be read."""
        windows: dict[int, list[str]] = {}
        for symbol in symbols:
            since = (end_ms - self._complete_ms.get(symbol, 0)) // MINUTE_MS
            windows.setdefault(min(max(since, RECENT_BARS), self._bars), []).append(symbol)
        return windows


def open_times(rows: Records, start_ms: int, end_ms: int, *, has_history: bool) -> tuple[I8, B1]:
    """Return the open times from ``start_ms`` to ``end_ms`` whose bar is missing or provisional, and which are missing.

    Without history before the window, what is missing before the first bar held is left out; of a window that is wholly
    empty the recent bars are wanted.
    """
    grid = np.arange(start_ms, end_ms + 1, MINUTE_MS, dtype=np.int64)
    is_held = np.isin(grid, rows["open_time_ms"], assume_unique=True)
    is_sure = (rows["finality"] >= Finality.STREAM_CLOSED) | (rows["reserved"] & ABSENT != 0)
    is_wanted = ~np.isin(grid, rows["open_time_ms"][is_sure], assume_unique=True)
    if not has_history:
        is_wanted[: int(is_held.argmax()) if rows.size else max(0, len(grid) - RECENT_BARS)] = False
    return grid[is_wanted], ~is_held[is_wanted]


def ranges_of(open_times_ms: I8) -> list[tuple[int, int]]:
    """Return ascending open times as inclusive ranges.

    Examples
    --------
    >>> ranges_of(np.array([60_000, 120_000, 300_000]))
    [(60000, 120000), (300000, 300000)]
    """
    runs = np.split(open_times_ms, np.flatnonzero(np.diff(open_times_ms) != MINUTE_MS) + 1)
    return [(int(run[0]), int(run[-1])) for run in runs if run.size]


def filled_gaps(before: Mapping[str, tuple[I8, B1]], after: Mapping[str, tuple[I8, B1]]) -> dict[str, Gap]:
    """Return what was missing before and is not after, by symbol; both as `open_times` gives them."""
    gaps = {}
    for symbol, (open_ms, is_missing) in before.items():
        left_ms, is_left = after[symbol]
        filled_ms = np.setdiff1d(open_ms[is_missing], left_ms[is_left], assume_unique=True)
        if filled_ms.size:
            gaps[symbol] = Gap(int(filled_ms.size), int(filled_ms[0]), int(filled_ms[-1]))
    return gaps


def _count(found: Mapping[str, tuple[I8, B1]]) -> tuple[int, int]:
    """Return how many bars are missing and how many are provisional."""
    missing = sum(int(is_missing.sum()) for _, is_missing in found.values())
    return missing, sum(open_ms.size for open_ms, _ in found.values()) - missing


__all__ = [
    "BEHIND_MS",
    "FULL_CHECK_EVERY_S",
    "RECENT_BARS",
    "Gap",
    "HealReport",
    "Healer",
    "filled_gaps",
    "open_times",
    "ranges_of",
]
