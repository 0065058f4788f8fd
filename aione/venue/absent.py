"""Bars that the exchange does not have: it stood still, or nothing was listed yet.

Such a bar is marked in the ring, so that it is no hole and nobody asks for it again. Since a bar that is marked wrongly
would never be asked for, an answer without it is not enough:

1. It should have closed more than ten minutes ago (`LATE_MS`), and a later bar of the symbol is known.
2. A reply lacks it while holding the bars that are known on both sides of it. Where no earlier one is known, as before
   a listing, the later one must do. So an empty, truncated or partial reply says nothing.
3. The mark is provisional at first. The comparison with REST (`aione.stream.verify`) asks once more, minutes later, and
   only then it stays (`CONFIRMED`).

Any bar that comes after all takes the place of its mark.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from aione.panel.bar_panel import I8
from aione.panel.bars import Finality
from aione.store.ring_layout import ABSENT, Records, absent_bars
from aione.store.rings import Rings
from aione.venue.cover import Range
from aione.venue.weights import KLINES_MAX

LATE_MS: Final = 600_000
CONFIRMED: Final = Finality.SUCCESSOR_SEEN
"""A mark that was looked at twice; below what a stream or REST says of a bar."""
RUNS_AT_MOST: Final = 10
"""So many stretches of one symbol are looked at in one go; the others are asked for again later."""

Replies: TypeAlias = Sequence[tuple[Range, I8]]
Ask: TypeAlias = Callable[[int, int], Awaitable[Records]]
"""Fetches the bars with open times of an inclusive range."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A stretch of bars that were asked for in vain, and the bars known around it.

    Attributes
    ----------
    first_ms, last_ms : int
        Inclusive open times.
    before_ms : int or None
        The nearest earlier bar that is known.
    after_ms : int
        The nearest later one.
    """

    first_ms: int
    last_ms: int
    before_ms: int | None
    after_ms: int

    def bars(self, step_ms: int) -> int:
        """Return how many bars are in doubt."""
        return (self.last_ms - self.first_ms) // step_ms + 1

    def question(self, step_ms: int) -> Range | None:
        """Return the range to ask for, both known bars in it; None where they are too far apart for one request.

        Before a listing the stretch is as long as the history: its last bars alone are asked for.
        """
        longest_ms = (KLINES_MAX - 1) * step_ms
        if self.before_ms is None:
            return max(self.first_ms, self.after_ms - longest_ms), self.after_ms
        return (self.before_ms, self.after_ms) if self.after_ms - self.before_ms <= longest_ms else None

    def answer(self, asked: Range, times: I8, step_ms: int) -> I8:
        """Return the open times that the reply to a range, which held bars of ``times``, shows to be absent."""
        witnesses = [self.after_ms] if self.before_ms is None else [self.before_ms, self.after_ms]
        if not np.isin(witnesses, times).all():
            return np.zeros(0, np.int64)
        grid = np.arange(max(self.first_ms, asked[0]), self.last_ms + 1, step_ms, dtype=np.int64)
        return grid[~np.isin(grid, times)]


async def mark_absent(
    rings: Rings, symbol: str, replies: Replies, in_vain: I8, *, end_ms: int, now_ms: int, mark: Finality, ask: Ask
) -> int:
    """Mark the bars, of those asked for in vain, that are shown to be absent; ask again where no reply shows it.

    Parameters
    ----------
    rings : Rings
    symbol : str
    replies : sequence of (range, open times)
        What was asked before, and the bars that came.
    in_vain : int64 (n,)
        Open times, ascending.
    end_ms : int
        Open time of the last closed bar.
    now_ms : int
        The exchange's time.
    mark : Finality
        ``PROVISIONAL`` at the first look, `CONFIRMED` at the second.
    ask : callable
        Fetches a range; its bars are written too.

    Returns
    -------
    int
        Marks that are new or surer than before.
    """
    step_ms = rings.layout.interval_ms
    old = in_vain[in_vain <= now_ms - LATE_MS - step_ms]
    if not old.size:
        return 0
    span_ms = (rings.layout.capacity - 1) * step_ms
    held = (await rings.records([symbol], max(step_ms, end_ms - span_ms), end_ms))[symbol]
    known = held["open_time_ms"][held["reserved"] & ABSENT == 0]
    marked = 0
    asked_again = 0
    for doubt in doubts(old, known, step_ms):
        shown = [old[:0], *(doubt.answer(asked, times, step_ms) for asked, times in replies)]
        absent = np.unique(np.concatenate(shown))
        question = doubt.question(step_ms)
        if absent.size < doubt.bars(step_ms) and question is not None and asked_again < RUNS_AT_MOST:
            asked_again += 1
            bars = await ask(*question)
            await rings.write({symbol: bars})
            absent = np.union1d(absent, doubt.answer(question, bars["open_time_ms"], step_ms))
        marked += (await rings.write({symbol: absent_bars(absent, mark)})).changed if absent.size else 0
    return marked


def doubts(in_vain: I8, known: I8, step_ms: int) -> Iterator[Doubt]:
    """Yield each stretch of ``in_vain`` that has a known bar after it; both ascending open times.

    Examples
    --------
    >>> minutes = lambda *numbers: np.array(numbers) * 60_000
    >>> [(d.first_ms // 60_000, d.last_ms // 60_000, d.after_ms // 60_000)
    ...  for d in doubts(minutes(3, 4, 9), minutes(2, 5, 6), 60_000)]
    [(3, 4, 5)]
    """
    for run in _runs(in_vain, step_ms):
        first_ms, last_ms = int(run[0]), int(run[-1])
        at = int(np.searchsorted(known, first_ms))
        if at < len(known):
            after = known[np.searchsorted(known, last_ms, side="right") :]
            if after.size:
                yield Doubt(first_ms, last_ms, int(known[at - 1]) if at else None, int(after[0]))


def _runs(times_ms: I8, step_ms: int) -> Sequence[I8]:
    return np.split(times_ms, np.flatnonzero(np.diff(times_ms) != step_ms) + 1) if times_ms.size else []


__all__ = ["CONFIRMED", "LATE_MS", "Doubt", "doubts", "mark_absent"]
