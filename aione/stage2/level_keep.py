"""Which levels are kept around the close, and the context that they make, compiled.

``merged`` is described in `aione.stage2.level_merge`, ``bars`` and ``blocks`` in `aione.stage2.level_bars`. A row of
``tiers`` holds a tier's first and last place in ``bars``, its tolerance and its half life in minutes. ``out`` is
float64 (6, K): price, kind, touches, breaks, age in minutes, strength. A level's visits are counted when it is first
looked at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aione.indicators.kernel import jit
from aione.panel import F8
from aione.stage2.level_kinds import DRAWN_STRENGTH, FIRST_MACRO, FIRST_MESO, IMMEDIATE_STRENGTH, MAJOR_STRENGTH
from aione.stage2.level_visits import held_share, visits


@jit
def keep_levels(
    merged: F8, count: int, last: float, apart: float, bars: F8, blocks: F8, tiers: F8, out: F8, context: F8
) -> None:
    """Write the levels that are kept on each side of the close, by ascending price, and the context."""
    price = merged[0]
    above = 0
    while above < count and price[above] <= last:
        above += 1
    below = above - 1
    while below >= 0 and price[below] >= last:
        below -= 1
    room = out.shape[1]
    half = room // 2 - (above - below - 1 + 2 * (room // 2) > room)
    kept = np.empty(half + 1, dtype=np.int64)
    at, n = 0, _walk(merged, count, below, -1, half, apart, bars, blocks, tiers, kept, context)
    for i in range(n - 1, -1, -1):
        at = _write(merged, kept[i], out, at)
    for i in range(below + 1, above):
        _visit(merged, i, bars, blocks, tiers)
        at = _write(merged, i, out, at)
    n = _walk(merged, count, above, 1, half, apart, bars, blocks, tiers, kept, context)
    for i in range(n):
        at = _write(merged, kept[i], out, at)


@jit
def _walk(
    merged: F8,
    count: int,
    i: int,
    step: int,
    room: int,
    apart: float,
    bars: F8,
    blocks: F8,
    tiers: F8,
    kept: NDArray[np.int64],
    context: F8,
) -> int:
    """Walk away from the close and keep what is worth drawing, nearest first; return how many are kept.

    Of those nearer to each other than ``apart`` the stronger stays. The next major level beyond the immediate one is
    kept in any case; where there is no room it takes the outermost place.
    """
    price, strength, side = merged[0], merged[1], 0 if step < 0 else 1
    n = 0
    while 0 <= i < count:
        is_near = n > 0 and abs(price[i] - price[kept[n - 1]]) < apart
        if n == room and not is_near:
            break
        _visit(merged, i, bars, blocks, tiers)
        if is_near:
            if strength[i] > strength[kept[n - 1]]:
                kept[n - 1] = i
        elif strength[i] >= DRAWN_STRENGTH:
            kept[n] = i
            n += 1
        i += step
    first = 0
    while first < n and strength[kept[first]] < IMMEDIATE_STRENGTH:
        first += 1
    if first == n:
        return n
    context[side], context[4 + side] = price[kept[first]], strength[kept[first]]
    for k in range(first + 1, n):
        if _is_major(merged, kept[k]):
            context[2 + side] = price[kept[k]]
            return n
    while 0 <= i < count:
        _visit(merged, i, bars, blocks, tiers)
        if _is_major(merged, i):
            context[2 + side] = price[i]
            if n > 1:
                kept[n - 2] = kept[n - 1] if first == n - 1 else kept[n - 2]
                kept[n - 1] = i
            return n
        i += step
    return n


@jit
def _is_major(merged: F8, i: int) -> bool:
    """Return whether a level is macro and worth drawing, or strong whatever its kind."""
    strength = merged[1, i]
    return bool(strength >= MAJOR_STRENGTH or (merged[3, i] >= FIRST_MACRO and strength >= DRAWN_STRENGTH))


@jit
def _visit(merged: F8, i: int, bars: F8, blocks: F8, tiers: F8) -> None:
    """Count the visits of one level by its tier's bars and let its strength say so, once."""
    if merged[4, i] > 0.0:
        return
    tier = 0 if merged[3, i] < FIRST_MESO else (1 if merged[3, i] < FIRST_MACRO else 2)
    first, stop = int(tiers[tier, 0]), int(tiers[tier, 1])
    touches, breaks, doubt = visits(bars, blocks, first, stop, merged[0, i], tiers[tier, 2], tiers[tier, 3])
    merged[1, i] = (1.0 - (1.0 - merged[1, i]) * doubt) * held_share(touches, breaks)
    merged[4, i], merged[5, i], merged[6, i] = 1.0, touches, breaks


@jit
def _write(merged: F8, i: int, out: F8, at: int) -> int:
    """Write one level to the place ``at``; return the next one."""
    out[0, at], out[1, at], out[2, at] = merged[0, i], merged[3, i], merged[5, i]
    out[3, at], out[4, at], out[5, at] = merged[6, i], merged[2, i], merged[1, i]
    return at + 1


__all__ = ["keep_levels"]
