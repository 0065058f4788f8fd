"""The look-ahead audit: what the engine says at a bar is the same whether or not the future is there.

1. The reference walks the stretch on copies that end at each bar: for it nothing later exists.
2. Every way in `FUTURES` walks the same bars beside it, and all that both say is compared byte by byte.
3. ``series``: one call of every series function over the whole stretch, its later bars included, gives at each bar what
   the reference read there, to 1e-9. A value that is repainted later would differ.
4. ``averages``: what remembers everything (the averages of higher timeframes) is called anew for each bar on bars that
   end with it and begin where the whole series begins, and compared byte by byte.
5. ``prefix``: every series function is called on the first part of the stretch, at a dozen ends, and must give the
   first part of the whole series, byte by byte.

An audit that has compared nothing but unknowns proves nothing, so known values are counted apart and columns that were
never known are named.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from aione.errors import InvalidInput
from aione.evaluate.compare import Difference, Tally, compare, not_same, unknown
from aione.evaluate.futures import FUTURES, Stretch, truncated
from aione.evaluate.said import Column, said
from aione.evaluate.series import REMEMBERS_ALL, averages, series
from aione.panel import F8, BarPanel

RELATIVE: Final = 1e-9
ABSOLUTE: Final = 1e-12
"""Within these a series and a reading from a shorter history are the same: Wilder's averages forget by and by."""

PREFIXES: Final = 12
BLOCK_BARS: Final = 1440
AFTER_BARS: Final = 240
"""Later bars that the series functions are given."""

Told = Callable[[Iterable[Any], str, int], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class LookaheadReport:
    """What an audit has found.

    Attributes
    ----------
    symbols : tuple of str
    bars : int
        Bars walked, of all symbols at once.
    first_ms, last_ms : int
        Open times of the first and the last of them.
    checks : tuple of Tally
    never_known : tuple of str
        Columns that were unknown at every bar of every symbol: of these nothing is proven.
    columns : mapping kind -> int
    seconds : float
    """

    symbols: tuple[str, ...]
    bars: int
    first_ms: int
    last_ms: int
    checks: tuple[Tally, ...]
    never_known: tuple[str, ...]
    columns: Mapping[str, int]
    seconds: float

    @property
    def differences(self) -> int:
        """Return how many values differed, of all checks."""
        return sum(tally.differences for tally in self.checks)

    @property
    def shown(self) -> list[Difference]:
        """Return the first differences of each check."""
        return [one for tally in self.checks for one in tally.shown]


def audit_lookahead(
    stretch: Stretch, *, futures: Sequence[str] = tuple(FUTURES), told: Told | None = None
) -> LookaheadReport:
    """Compare everything that the engine says in a stretch with and without the future.

    Parameters
    ----------
    stretch : Stretch
        With at least ``SCREENING_LOOKBACK`` bars before ``start``.
    futures : sequence of str
        Names in `FUTURES`.
    told : callable, optional
        Wraps the bars that are walked, to show progress: ``told(bars, word, total)``.

    Raises
    ------
    InvalidInput
        The stretch is not inside its panel, or a future has an unknown name.
    """
    started = time.perf_counter()
    before = stretch.start + 1 - stretch.settings.SCREENING_LOOKBACK
    if before < 0 or not stretch.start < stretch.stop <= stretch.panel.shape[1]:
        raise InvalidInput(
            f"the stretch must have {stretch.settings.SCREENING_LOOKBACK} bars to its first and lie in the panel's"
            f" {stretch.panel.shape[1]}, was {stretch.start} to {stretch.stop}"
        )
    if strange := [name for name in futures if name not in FUTURES]:
        raise InvalidInput(f"there is no future called {strange[0]}, expected one of {', '.join(FUTURES)}")
    reference = Reference(stretch)
    checks = _beside(stretch, reference, futures, told)
    whole_of = stretch.panel.window(
        min(stretch.panel.shape[1], stretch.stop + AFTER_BARS),
        min(stretch.panel.shape[1], stretch.stop + AFTER_BARS) - before,
    )
    checks += _series_checks(stretch, reference, whole_of, stretch.start - before)
    return LookaheadReport(
        symbols=stretch.panel.symbols,
        bars=stretch.stop - stretch.start,
        first_ms=int(stretch.panel.open_time_ms[stretch.start]),
        last_ms=int(stretch.panel.open_time_ms[stretch.stop - 1]),
        checks=tuple(checks),
        never_known=tuple(name for name, is_known in reference.is_known.items() if not is_known),
        columns=reference.columns,
        seconds=time.perf_counter() - started,
    )


class Reference:
    """What is said without the future, and what is remembered of it for the series."""

    def __init__(self, stretch: Stretch) -> None:
        self.stretch = stretch
        self.readings: dict[str, list[F8]] = {}
        self.is_known: dict[str, bool] = {}
        self.columns: dict[str, int] = {}
        self.tally = Tally("reference")

    def __iter__(self) -> Iterator[tuple[int, list[Column]]]:
        for step in truncated(self.stretch):
            columns = said(step.readings, step.stage1, step.stage2)
            for name, values in step.readings.values.items():
                self.readings.setdefault(name, []).append(values)
            self._count(columns)
            yield step.open_time_ms, columns

    def _count(self, columns: Sequence[Column]) -> None:
        if not self.columns:
            for column in columns:
                self.columns[column.kind] = self.columns.get(column.kind, 0) + 1
        for column in columns:
            self.tally.count(column.kind, column.values)
            key = f"{column.kind} {column.name}"
            if not self.is_known.get(key, False):
                self.is_known[key] = not unknown(column.values).all()


def _beside(stretch: Stretch, reference: Reference, names: Sequence[str], told: Told | None) -> list[Tally]:
    tallies = [Tally(name) for name in names]
    walks = [FUTURES[name](stretch) for name in names]
    bars: Iterable[tuple[int, list[Column]]] = reference
    if told is not None:
        bars = told(reference, "bars", stretch.stop - stretch.start)
    for open_time_ms, expected in bars:
        for tally, steps in zip(tallies, walks, strict=True):
            compare(tally, expected, next(steps), stretch.panel.symbols, open_time_ms)
    for tally in tallies:
        tally.values, tally.known = Counter(reference.tally.values), Counter(reference.tally.known)
    return tallies


# ── Series ──


def _series_checks(stretch: Stretch, reference: Reference, panel: BarPanel, first: int) -> list[Tally]:
    """Compare the series over ``panel``, whose column ``first`` is the stretch's first bar, in three ways."""
    params = stretch.settings.STAGE1_MONITOR_PARAMS.indicators
    whole = series(panel, params)
    times = panel.open_time_ms[first : first + stretch.stop - stretch.start]
    said_there, repainted, early = Tally("series"), Tally("averages"), Tally("prefix")
    for name, column in whole.items():
        if name in reference.readings and name not in REMEMBERS_ALL:
            expected = np.array(reference.readings[name])
            found = column[:, first : first + len(times)].T
            far = ~np.isclose(found, expected, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
            _note_rows(said_there, name, expected, found, far, panel.symbols, times)
    for begin in range(0, len(times), BLOCK_BARS):
        block = panel.window(first + min(begin + BLOCK_BARS, len(times)), first + BLOCK_BARS)
        _averages(repainted, stretch, block, block.shape[1] - (min(begin + BLOCK_BARS, len(times)) - begin))
    for stop in np.unique(np.linspace(first + 1, first + len(times), PREFIXES).astype(int)):
        for name, column in series(panel.until(int(stop)), params).items():
            expected, found = column.T, whole[name][:, :stop].T
            wrong = not_same(expected, found)
            _note_rows(early, name, expected, found, wrong, panel.symbols, panel.open_time_ms[:stop])
    return [said_there, repainted, early]


def _averages(tally: Tally, stretch: Stretch, block: BarPanel, first: int) -> None:
    """Call the averages anew for every bar from ``first`` on and compare each last value with the whole series."""
    params = stretch.settings.STAGE1_MONITOR_PARAMS.indicators
    whole = averages(block, params)
    for at in range(first, block.shape[1]):
        time_ms = block.open_time_ms[at : at + 1]
        for name, column in averages(block.until(at + 1), params).items():
            expected, found = column[:, -1:].T, whole[name][:, at : at + 1].T
            _note_rows(tally, name, expected, found, not_same(expected, found), block.symbols, time_ms)


def _note_rows(
    tally: Tally,
    name: str,
    expected: F8,
    found: F8,
    wrong: np.ndarray | None,
    symbols: Sequence[str],
    times: np.ndarray,
) -> None:
    """Count ``(T, S)`` values and note where they are wrong."""
    tally.count("indicator", expected)
    if wrong is not None:
        for row in np.flatnonzero(wrong.any(axis=1)):
            tally.note(Column("indicator", name, expected[row]), found[row], wrong[row], symbols, int(times[row]))


# ── Parts ──


def parts(stretch: Stretch, count: int) -> list[Stretch]:
    """Return the stretch in ``count`` pieces, each with no more of the panel than it needs, for as many processes."""
    edges = np.linspace(stretch.start, stretch.stop, count + 1).astype(int)
    lookback = stretch.settings.SCREENING_LOOKBACK
    found = []
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        first, end = max(0, start + 1 - lookback), min(stretch.panel.shape[1], stop + AFTER_BARS)
        panel = stretch.panel.window(end, end - first)
        found.append(replace(stretch, panel=panel, start=start - first, stop=stop - first))
    return found


def joined(reports: Sequence[LookaheadReport]) -> LookaheadReport:
    """Return the reports of consecutive parts as one; ``seconds`` is the longest of them."""
    checks = [Tally(tally.check) for tally in reports[0].checks]
    for report in reports:
        for total, tally in zip(checks, report.checks, strict=True):
            total.add(tally)
    never = set(reports[0].never_known).intersection(*(report.never_known for report in reports))
    return replace(
        reports[0],
        bars=sum(report.bars for report in reports),
        last_ms=reports[-1].last_ms,
        checks=tuple(checks),
        never_known=tuple(name for name in reports[0].never_known if name in never),
        seconds=max(report.seconds for report in reports),
    )


__all__ = ["LookaheadReport", "Told", "audit_lookahead", "joined", "parts"]
