"""How often the price came to a level, and what became of it: the compiled part that counts touches and breaks.

A *visit* is an unbroken run of bars that reach within a tolerance of the level. It is a *touch* when the price is, at
its end, on the side from which it came, and a *break* when it is on the other. A visit that still lasts is judged by
the last close. One whose beginning was not seen is neither: nobody knows from where it came. A leap over the level
that no bar reached is a break too.

A level is visited by the bars of its own tier: micro by 1m bars, meso by hours, macro by days and, since the last
of them, hours. The running hour takes part with what it has.
"""

from __future__ import annotations

from math import isnan
from typing import Final

from aione.indicators.kernel import jit
from aione.panel import F8
from aione.stage2.level_bars import BLOCK

TOUCH_WORTH: Final = 0.15
"""How much of what is doubted of a level each touch after the first takes away, less with age as with candidates."""

TOUCH_ATR: Final = 0.5
"""Within how many ATR of a 1m bar a level is reached at least: half of what one bar covers."""

TOLERANCES: Final = (0.0, 0.10, 0.05)
"""The same as a share of the mean range of the tier's bars; the larger one holds."""

_EDGE: Final = 1.0 + 1e-9


@jit
def visits(
    bars: F8, blocks: F8, first: int, stop: int, level: float, tolerance: float, life: float
) -> tuple[int, int, float]:
    """Return touches, breaks and the doubt that the touches leave (1 is all of it).

    ``bars`` and ``blocks`` are described in `aione.stage2.level_bars`; NaN bars are passed over.
    """
    high, low, close, ago = bars[0], bars[1], bars[2], bars[3]
    top, bottom = level + tolerance * _EDGE, level - tolerance * _EDGE
    touches, breaks, doubt = 0, 0, 1.0
    is_inside, came, t = False, 0, first
    before = _first_side(close, first, stop, level)
    while t < stop:
        if t % BLOCK == 0 and not is_inside and t + BLOCK <= stop:
            block = t // BLOCK
            if (blocks[1, block] > top) | (blocks[0, block] < bottom):
                t += BLOCK
                continue
        reaches = (low[t] <= top) & (high[t] >= bottom)
        if reaches != is_inside and not isnan(low[t]):
            if reaches:
                came = _side(close, t - 1, first, level)
                breaks += came * before < 0
            else:
                before = 1 if low[t] > top else -1
                touches, breaks, doubt = _judged(came, before, ago[t - 1], life, touches, breaks, doubt)
            is_inside = reaches
        t += 1
    went = _side(close, stop - 1, first, level)
    if is_inside:
        touches, breaks, doubt = _judged(came, went, ago[stop - 1], life, touches, breaks, doubt)
    else:
        breaks += went * before < 0
    return touches, breaks, doubt


@jit
def _side(close: F8, t: int, first: int, level: float) -> int:
    """Return on which side of the level the last close up to ``t`` is that is known and not on it; 0 without one."""
    while t >= first:
        if close[t] > level:
            return 1
        if close[t] < level:
            return -1
        t -= 1
    return 0


@jit
def _first_side(close: F8, first: int, stop: int, level: float) -> int:
    """Return on which side of the level the first close is that is known and not on it; 0 without one."""
    for t in range(first, stop):
        if close[t] > level:
            return 1
        if close[t] < level:
            return -1
    return 0


@jit
def _judged(
    came: int, went: int, age: float, life: float, touches: int, breaks: int, doubt: float
) -> tuple[int, int, float]:
    """Count one visit that has ended."""
    if came == 0:
        return touches, breaks, doubt
    if went != came:
        return touches, breaks + 1, doubt
    if touches > 0:
        doubt *= 1.0 - TOUCH_WORTH * life / (life + age)
    return touches + 1, breaks, doubt


@jit
def held_share(touches: int, breaks: int) -> float:
    """Return what breaks leave of a level's strength: the share of visits that it held, its making counted in."""
    return (1.0 + touches) / (1.0 + touches + breaks)


__all__ = ["TOLERANCES", "TOUCH_ATR", "TOUCH_WORTH", "held_share", "visits"]
