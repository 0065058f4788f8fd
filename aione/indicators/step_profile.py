"""One bar more of the volume profile: booked in, as the one that leaves is booked out."""

from __future__ import annotations

from math import isnan
from typing import Final

import numpy as np

from aione.indicators.columns import Periods
from aione.indicators.kernel import KNOWN_SHARE, row_jit
from aione.indicators.profile import extremes, known_volume
from aione.indicators.profile_ledger import TOTAL_BITS, Ledger, book, profile_of, spread, unit_of
from aione.indicators.rings import PROFILE, last
from aione.panel import F8, I8

IS_KEPT: Final = 0
KNOWN_BARS: Final = 1
TOTAL: Final = 2
TOP: Final = 3
BOTTOM: Final = 4
SCALE: Final = 5
UNIT: Final = 6
"""Of the profile's part of the state."""

FEWEST_UNITS: Final = 2.0 ** (TOTAL_BITS - 17)
MOST_UNITS: Final = 2.0 ** (TOTAL_BITS + 1)
"""A window's volume in units, outside which its unit is chosen anew: too coarse, or about not to fit any more."""


@row_jit
def profile_step(
    high: F8, low: F8, volume: F8, m: int, before: int, n: int, p: Periods, state: F8, steps: I8, ledger: Ledger, o: F8
) -> None:
    """Write POC, VAH and VAL; the first three are rings, ``before`` of whose last ``n`` bars were there already."""
    count = min(n, p.profile_bars)
    h, low_, v = last(high, m, count), last(low, m, count), last(volume, m, count)
    gone = (np.nan, np.nan, np.nan)
    if count == min(before, p.profile_bars):
        gone = (last(high, m, count + 1)[0], last(low, m, count + 1)[0], last(volume, m, count + 1)[0])
    s = state[PROFILE : PROFILE + 7]
    here, was_here = not isnan(v[-1] + h[-1] + low_[-1]), not isnan(gone[0] + gone[1] + gone[2])
    s[KNOWN_BARS] += np.float64(here) - np.float64(was_here)
    if s[KNOWN_BARS] < KNOWN_SHARE * p.profile_bars:
        s[IS_KEPT] = 0.0
        return
    if was_here:
        replace_bar(gone[0], gone[1], gone[2], -1, s, steps, ledger.shares)
    if not here:
        return
    replace_bar(h[-1], low_[-1], v[-1], 1, s, steps, ledger.shares)
    if s[IS_KEPT] != 0.0 and FEWEST_UNITS <= s[TOTAL] * s[UNIT] < MOST_UNITS:
        o[0], o[1], o[2] = profile_of(steps, s[BOTTOM], s[TOP], p.value_area_frac, ledger.volumes)
    else:
        profile_anew(h, low_, v, p, state, steps, ledger, o)


@row_jit
def replace_bar(high: float, low: float, volume: float, sign: int, s: F8, steps: I8, shares: F8) -> None:
    """Book a bar in (``sign`` 1) or out (-1); where that may move the range of all, the profile is not kept."""
    if s[IS_KEPT] == 0.0:
        return
    if sign > 0:
        s[IS_KEPT] = np.float64(high <= s[TOP] and low >= s[BOTTOM])
    else:
        s[IS_KEPT] = np.float64(high < s[TOP] and low > s[BOTTOM])
    if s[IS_KEPT] != 0.0:
        book(high, low, volume, s[BOTTOM], s[SCALE], s[UNIT], sign, shares, steps)
        s[TOTAL] += sign * volume


@row_jit
def profile_anew(high: F8, low: F8, volume: F8, p: Periods, state: F8, steps: I8, ledger: Ledger, o: F8) -> None:
    """Do what `profile_at` does with the window that the rows are, and keep it."""
    s = state[PROFILE : PROFILE + 7]
    known, total = known_volume(high, low, volume)
    s[IS_KEPT], s[KNOWN_BARS], s[TOTAL] = 0.0, known, total
    is_there = not isnan(volume[-1] + high[-1] + low[-1])
    if known < KNOWN_SHARE * p.profile_bars or not is_there or not 0.0 < total < np.inf:
        return
    top, bottom = extremes(high, low)
    if not top > bottom:
        o[0], o[1], o[2] = top, top, top
        return
    scale, unit = len(ledger.shares) / (top - bottom), unit_of(total)
    spread(high, low, volume, bottom, scale, unit, known < len(high), ledger)
    for b in range(steps.shape[1]):
        steps[0, b], steps[1, b] = ledger.steps[0, b], ledger.steps[1, b]
    s[IS_KEPT], s[TOP], s[BOTTOM], s[SCALE], s[UNIT] = 1.0, top, bottom, scale, unit
    o[0], o[1], o[2] = profile_of(steps, bottom, top, p.value_area_frac, ledger.volumes)


__all__ = ["profile_anew", "profile_step"]
