"""Where a bar stands in its ring, and how rings become a panel; shared by the ring in Redis and the one in RAM."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aione.errors import InvalidInput
from aione.panel.bar_panel import B1, F8, I8, BarPanel
from aione.panel.bars import BAR_RECORD, DAY_MS, MINUTE_MS, VALUE_FIELDS, Finality

RECORD_BYTES: Final = BAR_RECORD.itemsize
INTERVALS_MS: Final = {"1m": MINUTE_MS, "1d": DAY_MS}
CAPACITIES: Final = {"1m": 2048, "1d": 256}

ABSENT: Final = 1
"""Bit of a record's ``reserved``: the exchange was asked for this bar and has none. Its numbers are NaN."""
CORRECTED: Final = 2
"""Bit of a record's ``reserved``: the bar was final before and the exchange has told other numbers since."""

Records = NDArray[Any]
"""Rows of `BAR_RECORD`."""
U1 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did.

    Attributes
    ----------
    changed : int
        Slots whose bar, or whose certainty, is another one now.
    corrected : int
        Those of them that held the same bar, final, with other numbers.
    """

    changed: int = 0
    corrected: int = 0

    def __add__(self, other: Written) -> Written:
        """Return what both writes did."""
        return Written(self.changed + other.changed, self.corrected + other.corrected)


@dataclass(frozen=True, slots=True)
class Correction:
    """A final bar that was told differently later: one `BAR_RECORD` before and one after."""

    symbol: str
    timeframe: str
    before: Records
    after: Records


@dataclass(frozen=True, slots=True)
class RingView:
    """A panel with what a scan must know of its bars' certainty.

    Attributes
    ----------
    panel : BarPanel
        S symbols, T bars.
    finality, source : uint8 (S,)
        Of the last bar, as `Finality` and `aione.panel.bars.Source`; 0 where the bar is missing or absent.
    holes : int64 (S,)
        Bars that are missing after the first one held. What comes before it is history that the symbol does not
        have (yet); what the exchange is known not to have is no hole.
    missing_ms : int64 (S,)
        Open time of the oldest bar that is missing in the window, before the first one held too; 0 where none is.
    """

    panel: BarPanel
    finality: U1
    source: U1
    holes: I8
    missing_ms: I8


@dataclass(frozen=True, slots=True)
class RingLayout:
    """The geometry of one ring: slot = (open_time_ms // interval_ms) mod capacity.

    Raises
    ------
    InvalidInput
        A timeframe without a known interval, or a capacity below 1.

    Examples
    --------
    >>> layout = RingLayout.of("1m", capacity=4)
    >>> layout.slot(5 * 60_000)
    1
    """

    timeframe: str
    interval_ms: int
    capacity: int

    @classmethod
    def of(cls, timeframe: str, capacity: int | None = None) -> RingLayout:
        """Return the layout of a timeframe, by default as large as its history needs."""
        if timeframe not in INTERVALS_MS:
            raise InvalidInput(f"timeframe must be one of {sorted(INTERVALS_MS)}, was {timeframe!r}")
        size = CAPACITIES[timeframe] if capacity is None else capacity
        if size < 1:
            raise InvalidInput(f"capacity must be at least 1, was {size}")
        return cls(timeframe, INTERVALS_MS[timeframe], size)

    def slot(self, open_time_ms: int) -> int:
        """Return the slot of a bar."""
        return (open_time_ms // self.interval_ms) % self.capacity

    def segments(self, start_ms: int, bars: int) -> list[tuple[int, int]]:
        """Return the one or two ``(first slot, slots)`` that hold ``bars`` bars from ``start_ms`` on."""
        first = self.slot(start_ms)
        before_wrap = min(bars, self.capacity - first)
        whole = [(first, before_wrap), (0, bars - before_wrap)]
        return [segment for segment in whole if segment[1] > 0]

    def grid(self, start_ms: int, bars: int) -> I8:
        """Return the open times of ``bars`` bars from ``start_ms`` on, int64 ``(bars,)``."""
        return start_ms + self.interval_ms * np.arange(bars, dtype=np.int64)

    def window(self, end_ms: int, bars: int) -> int:
        """Return the open time of the first of ``bars`` bars that end at ``end_ms``; refuse what no ring can hold."""
        if not 1 <= bars <= self.capacity:
            raise InvalidInput(f"bars must be in 1..{self.capacity}, the ring's capacity, was {bars}")
        if end_ms % self.interval_ms:
            raise InvalidInput(f"end_ms must be a multiple of {self.interval_ms}, was {end_ms}")
        return end_ms - self.interval_ms * (bars - 1)

    def bars_between(self, start_ms: int, end_ms: int) -> int:
        """Return how many bars an inclusive range of open times has; refuse what no ring can hold."""
        if start_ms % self.interval_ms or start_ms > end_ms:
            raise InvalidInput(
                f"start_ms must be a multiple of {self.interval_ms} and not after end_ms {end_ms}, was {start_ms}"
            )
        bars = (end_ms - start_ms) // self.interval_ms + 1
        self.window(end_ms, bars)
        return bars

    def runs(self, symbol: str, records: Records) -> Iterator[tuple[int, Records]]:
        """Yield ``(first slot, records)`` of consecutive slots without a wrap, in order of open time.

        The same bar given twice falls into two runs, in the order given, so writing the runs one after another
        applies the ring's rule to both.

        Raises
        ------
        InvalidInput
            Another dtype than `BAR_RECORD`; an open time that is not positive or not on the interval's grid.
        """
        if records.dtype != BAR_RECORD or records.ndim != 1:
            raise InvalidInput(f"records of {symbol} must be rows of BAR_RECORD, were {records.ndim}-d {records.dtype}")
        if not records.size:
            return
        times = records["open_time_ms"]
        only = int(times[0])
        if records.size == 1 and only > 0 and only % self.interval_ms == 0:
            yield self.slot(only), records
            return
        strange = (times <= 0) | (times % self.interval_ms != 0)
        if strange.any():
            raise InvalidInput(
                f"open times of {symbol} must be positive multiples of {self.interval_ms} ms, one was "
                f"{times[strange][0]}"
            )
        order = np.argsort(times, kind="stable")
        ordered = np.ascontiguousarray(records[order])
        slots = (ordered["open_time_ms"] // self.interval_ms) % self.capacity
        breaks = (np.diff(ordered["open_time_ms"]) != self.interval_ms) | (np.diff(slots) != 1)
        for run in np.split(np.arange(len(ordered)), np.flatnonzero(breaks) + 1):
            yield int(slots[run[0]]), ordered[run[0] : run[-1] + 1]

    def view(self, symbols: Sequence[str], start_ms: int, bars: int, windows: Iterable[Records]) -> RingView:
        """Lay windows, each the slots of `segments` in order, on one panel, with what is known of its bars.

        ``windows`` are blocks of symbols: rows of ``bars`` records each, ``(n, bars)``, in the order of ``symbols``;
        a block is done with before the next one is asked for. A slot whose open time is not the expected one is a gap.
        """
        grid = self.grid(start_ms, bars)
        values = {name: np.empty((len(symbols), bars)) for name in VALUE_FIELDS}
        valid = np.empty((len(symbols), bars), dtype=np.bool_)
        holes, missing_ms = np.zeros(len(symbols), np.int64), np.zeros(len(symbols), np.int64)
        finality, source = np.zeros(len(symbols), np.uint8), np.zeros(len(symbols), np.uint8)
        row = 0
        for window in windows:
            rows = slice(row, row + len(window))
            row += len(window)
            held = window["open_time_ms"] == grid
            fill_block(values, valid, rows, window, held)
            if not held.all():
                first = np.where(held.any(axis=1), held.argmax(axis=1), bars)
                holes[rows] = bars - first - held.sum(axis=1)
                missing_ms[rows] = np.where(held.all(axis=1), 0, grid[(~held).argmax(axis=1)])
            finality[rows] = np.where(valid[rows, -1], window["finality"][:, -1], 0)
            source[rows] = np.where(valid[rows, -1], window["source"][:, -1], 0)
        panel = BarPanel(tuple(symbols), grid, valid=valid, interval_ms=self.interval_ms, **values)
        return RingView(panel, finality, source, holes, missing_ms)

    def missing(self, start_ms: int, held: I8) -> list[tuple[int, int]]:
        """Return the inclusive open-time ranges that are missing.

        ``held`` are the open times found in the slots of the window from ``start_ms`` on, int64 ``(bars,)``.

        Examples
        --------
        >>> RingLayout.of("1m").missing(60_000, np.array([60_000, 0, 0, 240_000]))
        [(120000, 180000)]
        """
        return missing_ranges(self.grid(start_ms, len(held)), held)


def fill_block(values: dict[str, F8], valid: B1, rows: slice, window: Records, held: B1) -> None:
    """Copy a block of records ``(n, bars)`` into the panel's arrays; what is not ``held``, or absent, becomes NaN."""
    valid[rows] = held & (window["reserved"] & ABSENT == 0)
    gaps = None if valid[rows].all() else ~valid[rows]
    for name, array in values.items():
        array[rows] = window[name]
        if gaps is not None:
            array[rows][gaps] = np.nan


def is_sure(last: Records, open_time_ms: int) -> B1:
    """Return where a slot holds this very bar, final or known to be absent, bool ``(S,)``."""
    is_absent = last["reserved"] & ABSENT != 0
    known: B1 = (last["open_time_ms"] == open_time_ms) & ((last["finality"] >= Finality.STREAM_CLOSED) | is_absent)
    return known


def raw_bytes(records: Records) -> NDArray[np.uint8]:
    """Return each record as its bytes, uint8 ``(n, 72)``: bit for bit comparable, NaN and flags included."""
    return np.ascontiguousarray(records).view(np.uint8).reshape(len(records), RECORD_BYTES)


def absent_bars(open_times_ms: I8, finality: Finality = Finality.PROVISIONAL) -> Records:
    """Return the marks of bars that the exchange does not have; see `aione.venue.absent` for how sure one is."""
    marks = np.zeros(len(open_times_ms), BAR_RECORD)
    marks["open_time_ms"] = open_times_ms
    for name in VALUE_FIELDS[:-1]:
        marks[name] = np.nan
    marks["finality"], marks["reserved"] = finality, ABSENT
    return marks


def missing_ranges(grid: I8, held: I8) -> list[tuple[int, int]]:
    """Return the inclusive ranges of ``grid`` where ``held`` differs from it; both int64 ``(bars,)``."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], held != grid, [False])).astype(np.int8)))
    return [(int(grid[first]), int(grid[stop - 1])) for first, stop in edges.reshape(-1, 2)]


__all__ = [
    "ABSENT",
    "CAPACITIES",
    "CORRECTED",
    "INTERVALS_MS",
    "RECORD_BYTES",
    "Correction",
    "Records",
    "RingLayout",
    "RingView",
    "Written",
    "absent_bars",
    "fill_block",
    "is_sure",
    "missing_ranges",
    "raw_bytes",
]
