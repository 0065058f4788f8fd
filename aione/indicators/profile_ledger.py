"""The volume profile's ledger: where on the price axis volume begins and ends, in whole units.

Each bar's volume is spread evenly over the sixteenths of a bin that its high-low touches. Written down is only where
that begins and what ends behind it; running sums give the rest. Volumes are counted in whole units, so small that
what they cut off is below rounding (`unit_of`): whatever is added can be taken out again, in any order, and nothing
is left of it. So a profile that follows the bars one by one is the profile of the same bars at once, to the bit.
"""

from __future__ import annotations

from math import frexp, isnan, ldexp
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aione.indicators.kernel import row_jit
from aione.panel import F8, I8

SUB_BINS: Final = 16
"""Parts of a bin, over which a bar's volume is spread: the window's range in 768 steps for 48 bins."""

TOTAL_BITS: Final = 57
"""Binary digits of the whole window's volume in units: 16 times as much fits into an int64 with room to spare."""


class Ledger(NamedTuple):
    """Scratch of a profile of so many bars and bins.

    Attributes
    ----------
    shares : float64 (16 bins,)
        ``1 / n``.
    place : int32 (2, bars)
    fine : int64 (2 x 16 bins + 2,)
    steps : int64 (2, bins + 1)
        Of each bin: by how much the volume of a sixteenth changes inside it, and what that adds to the bin itself.
    volumes : float64 (bins,)
        Units.
    """

    shares: F8
    place: NDArray[Any]
    fine: I8
    steps: I8
    volumes: F8


@row_jit
def make_ledger(bars: int, bins: int) -> Ledger:
    """Return empty scratch."""
    shares = np.empty(bins * SUB_BINS)
    for i in range(len(shares)):
        shares[i] = 1.0 / (i + 1.0)
    return Ledger(
        shares,
        np.empty((2, bars), np.int32),
        np.empty(2 * len(shares) + 2, np.int64),
        np.empty((2, bins + 1), np.int64),
        np.empty(bins),
    )


@row_jit
def unit_of(total: float) -> float:
    """Units in a volume of 1, a power of two: a window of so much in total then has below 2 ** `TOTAL_BITS`."""
    return ldexp(1.0, TOTAL_BITS - max(frexp(total)[1], -900))


@row_jit
def spread(high: F8, low: F8, volume: F8, bottom: float, scale: float, unit: float, has_gaps: bool, o: Ledger) -> None:
    """Write the bars to ``o.steps``; ``scale`` sixteenths per unit of price above ``bottom``.

    Each half of the bars has a ledger of its own, so that one need not wait for the other. A bar that cannot be (its
    low above its high) is put somewhere inside.
    """
    n, sixteenths = len(high), len(o.shares)
    last = np.int32(sixteenths - 1)
    zero = np.int32(0)
    for i in range(n):
        start = max(zero, min(np.int32((low[i] - bottom) * scale), last))
        o.place[0, i] = start
        o.place[1, i] = max(start, min(np.int32((high[i] - bottom) * scale), last))
    starts, ends = o.place[0].view(np.uint32), o.place[1].view(np.uint32)
    one, two = o.fine[: sixteenths + 1], o.fine[sixteenths + 1 :]
    for i in range(sixteenths + 1):
        one[i], two[i] = 0, 0
    behind = np.uint32(1)
    half = n // 2 if not has_gaps else 0
    first, last_, early = starts[:half], ends[:half], volume[:half]
    first_2, last_2, late = starts[half : 2 * half], ends[half : 2 * half], volume[half : 2 * half]
    for i in range(half):
        start, end, start_2, end_2 = first[i], last_[i], first_2[i], last_2[i]
        part = np.int64(early[i] * unit * o.shares[end - start])
        part_2 = np.int64(late[i] * unit * o.shares[end_2 - start_2])
        one[start] += part
        two[start_2] += part_2
        one[end + behind] -= part
        two[end_2 + behind] -= part_2
    for i in range(2 * half, n):
        if not isnan(volume[i] + high[i] + low[i]):
            part = np.int64(volume[i] * unit * o.shares[ends[i] - starts[i]])
            one[starts[i]] += part
            one[ends[i] + behind] -= part
    _gather(one, two, o.steps)


@row_jit
def _gather(one: I8, two: I8, steps: I8) -> None:
    """Add the sixteenths of each bin up: whole numbers, so the next need not wait long for the one before."""
    bins = steps.shape[1] - 1
    at, step, running = np.uint64(0), np.uint64(1), np.int64(0)
    for b in range(bins):
        before, inside = running, np.int64(0)
        for _ in range(SUB_BINS):
            running += one[at] + two[at]
            inside += running
            at += step
        steps[0, b], steps[1, b] = running - before, inside - SUB_BINS * before
    steps[0, bins], steps[1, bins] = one[at] + two[at], 0


@row_jit
def book(
    high: float, low: float, volume: float, bottom: float, scale: float, unit: float, sign: int, shares: F8, steps: I8
) -> None:
    """Add one bar to ``steps``, or take it out again (``sign`` -1)."""
    zero, last = np.int32(0), np.int32(len(shares) - 1)
    start = max(zero, min(np.int32((low - bottom) * scale), last))
    end = max(start, min(np.int32((high - bottom) * scale), last))
    part = sign * np.int64(volume * unit * shares[end - start])
    behind = end + 1
    steps[0, start // SUB_BINS] += part
    steps[1, start // SUB_BINS] += part * (SUB_BINS - start % SUB_BINS)
    steps[0, behind // SUB_BINS] -= part
    if behind <= last:
        steps[1, behind // SUB_BINS] -= part * (SUB_BINS - behind % SUB_BINS)


@row_jit
def profile_of(steps: I8, bottom: float, top: float, value_area_frac: float, volumes: F8) -> tuple[float, float, float]:
    """POC, VAH and VAL of what is written; NaN where nothing traded. ``volumes`` is scratch."""
    bins, running, total = len(volumes), np.int64(0), 0.0
    for b in range(bins):
        volumes[b] = np.float64(running * SUB_BINS + steps[1, b])
        running += steps[0, b]
        total += volumes[b]
    if not total > 0.0:
        return np.nan, np.nan, np.nan
    poc, lowest, highest = value_area(volumes, total * value_area_frac)
    width = (top - bottom) / bins
    upper = top if highest == bins - 1 else bottom + (highest + 1) * width
    return bottom + (poc + 0.5) * width, upper, bottom + lowest * width


@row_jit
def value_area(volumes: F8, wanted: float) -> tuple[int, int, int]:
    """Return the places of the POC and of the lowest and highest bin of the value area."""
    poc = 0
    for i in range(len(volumes)):
        if volumes[i] > volumes[poc]:
            poc = i
    lowest, highest, held = poc, poc, volumes[poc]
    while held < wanted and (lowest > 0 or highest < len(volumes) - 1):
        above = volumes[highest + 1] if highest < len(volumes) - 1 else -np.inf
        below = volumes[lowest - 1] if lowest > 0 else -np.inf
        if above >= below:
            highest += 1
            held += above
        else:
            lowest -= 1
            held += below
    return poc, lowest, highest


__all__ = [
    "SUB_BINS",
    "Ledger",
    "book",
    "make_ledger",
    "profile_of",
    "spread",
    "unit_of",
    "value_area",
]
