"""Candidates become levels: the heaviest takes in its neighbours, compiled.

``found`` is float64 (4, C), a column a candidate: price, weight, age in minutes, kind. ``merged`` is float64 (7, C), a
column a level: price, strength, age in minutes, kind, whether its visits are counted, touches, breaks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aione.indicators.kernel import jit
from aione.panel import F8


@jit
def merge(found: F8, n: int, width: float, last: float, order: NDArray[np.int64], merged: F8) -> int:
    """Merge the first ``n`` candidates; return the number of levels, which stand by ascending price.

    A gap wider than ``width`` parts what cannot merge, so each stretch between two gaps is merged by itself. ``order``
    is working room.
    """
    price = found[0]
    _sort(price, n, order)
    count, start = 0, 0
    for i in range(n):
        if i + 1 == n or price[order[i + 1]] - price[order[i]] > width:
            count = _merge_stretch(found, order, start, i + 1, width, last, merged, count)
            start = i + 1
    return count


@jit
def _sort(price: F8, n: int, order: NDArray[np.int64]) -> None:
    """Write the candidates' places by ascending price to ``order`` (insertion: there are some fifty)."""
    for i in range(n):
        level, j = price[i], i - 1
        while j >= 0 and price[order[j]] > level:
            order[j + 1] = order[j]
            j -= 1
        order[j + 1] = i


@jit
def _merge_stretch(
    found: F8, order: NDArray[np.int64], start: int, end: int, width: float, last: float, merged: F8, count: int
) -> int:
    """Let the heaviest candidate take in its neighbours, again and again; return how many levels there are then.

    Of equally heavy ones the nearer to the close comes first. ``order[start:end]`` holds the candidates that are left.
    """
    price, weight, age = found[0], found[1], found[2]
    while end > start:
        at, best = start, order[start]
        for i in range(start + 1, end):
            rival = order[i]
            nearer = abs(price[rival] - last) < abs(price[best] - last)
            if weight[rival] > weight[best] or (weight[rival] == weight[best] and nearer):
                at, best = i, rival
        first, stop = at, at + 1
        while first > start and price[best] - price[order[first - 1]] <= width:
            first -= 1
        while stop < end and price[order[stop]] - price[best] <= width:
            stop += 1
        miss, youngest = 1.0, age[best]
        for i in range(first, stop):
            miss *= 1.0 - weight[order[i]]
            youngest = min(youngest, age[order[i]])
        place = count
        while place > 0 and merged[0, place - 1] > price[best]:
            for field in range(4):
                merged[field, place] = merged[field, place - 1]
            place -= 1
        merged[0, place], merged[1, place], merged[2, place], merged[3, place] = (
            price[best],
            1.0 - miss,
            youngest,
            found[3, best],
        )
        merged[4, count] = 0.0
        count += 1
        for i in range(stop, end):
            order[first + i - stop] = order[i]
        end -= stop - first
    return count


__all__ = ["merge"]
