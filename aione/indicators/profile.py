"""Volume profile: at which prices the volume traded."""

from __future__ import annotations

from math import isnan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aione.errors import InvalidInput
from aione.indicators.kernel import KNOWN_SHARE, at_least, jit, regrouping_jit, row_jit, rows_of
from aione.panel import F8, BarPanel

SUB_BINS: Final = 16
"""Parts of a bin, over which a bar's volume is spread: the window's range in 768 steps for 48 bins."""


def volume_profile(
    panel: BarPanel, bars: int = 1440, bins: int = 48, value_area_frac: float = 0.7
) -> tuple[F8, F8, F8]:
    """Point of control and value area of the last ``bars`` bars, as `rolling_profile` at the last bar.

    Returns
    -------
    poc, vah, val : float64 (S,)
        Quote per base.

    Raises
    ------
    InvalidInput
        ``bars`` or ``bins`` below 1, or ``value_area_frac`` outside [0, 1].
    """
    recent = panel.tail(bars)
    out = np.full((3, len(panel.symbols)), np.nan)
    _checked(bars, bins, value_area_frac)
    if recent.shape[1]:
        _last_profile(recent.high, recent.low, recent.volume, bars, bins, value_area_frac, out)
    return out[0], out[1], out[2]


def rolling_profile(
    high: F8, low: F8, volume: F8, bars: int = 1440, bins: int = 48, value_area_frac: float = 0.7
) -> tuple[F8, F8, F8]:
    """Point of control and value area of the last ``bars`` bars at each bar.

    The range of the window is divided into ``bins`` equal bins. The volume of a bar is spread evenly over the
    sixteenths of a bin that its high-low touches. The value area grows from the POC by the larger of the bins next
    above and next below (the upper one of equals) until it holds ``value_area_frac`` of the volume.

    Parameters
    ----------
    high, low : float64 (S, T)
        Quote per base.
    volume : float64 (S, T)
        Base asset.
    bars, bins : int, >= 1
    value_area_frac : float in [0, 1]

    Returns
    -------
    poc, vah, val : float64 (S, T)
        Middle of the bin with the most volume (the lowest of equals); upper and lower edge of the value area. All
        three are the price where the window has but one. NaN where bar ``t`` or more than 10 % of the window is
        unknown and where nothing traded; the known bars are taken.

    Raises
    ------
    InvalidInput
        ``bars`` or ``bins`` below 1, ``value_area_frac`` outside [0, 1], or shapes differ.

    References
    ----------
    J. P. Steidlmayer, *Market Profile*; J. F. Dalton, *Mind over Markets* (value area).

    Examples
    --------
    >>> high, low = np.array([[12.0, 11.0]]), np.array([[10.0, 10.0]])
    >>> [float(x[0, 1]) for x in rolling_profile(high, low, np.array([[2.0, 9.0]]), bars=2, bins=2)]
    [10.5, 11.0, 10.0]
    """
    _checked(bars, bins, value_area_frac)
    high, low, volume = rows_of(high=high, low=low, volume=volume)
    volume = np.where(np.isnan(high + low), np.nan, volume)
    out = np.full((3, *high.shape), np.nan)
    _rolling_profile(high, low, volume, bars, bins, value_area_frac, out)
    return out[0], out[1], out[2]


def _checked(bars: int, bins: int, value_area_frac: float) -> None:
    at_least(1, bars=bars, bins=bins)
    if not 0.0 <= value_area_frac <= 1.0:
        raise InvalidInput(f"value_area_frac must be in [0, 1], was {value_area_frac}")


@row_jit
def profile_scratch(bars: int, bins: int) -> tuple[F8, F8, NDArray[Any]]:
    """Return ``work``, ``shares`` (``1 / n``) and ``place`` for `profile_at`."""
    fine = bins * SUB_BINS
    shares = np.empty(fine)
    for i in range(fine):
        shares[i] = 1.0 / (i + 1.0)
    return np.empty(bins + 2 * fine + 2), shares, np.empty((2, bars), np.int32)


@row_jit
def profile_at(
    high: F8,
    low: F8,
    volume: F8,
    t: int,
    bars: int,
    bins: int,
    value_area_frac: float,
    work: F8,
    shares: F8,
    place: NDArray[Any],
) -> tuple[float, float, float]:
    """Row function of `rolling_profile`; the last three arguments come from `profile_scratch`."""
    first = max(0, t - bars + 1)
    h, low_, v = high[first : t + 1], low[first : t + 1], volume[first : t + 1]
    known = count_known(v)
    if known < KNOWN_SHARE * bars or isnan(v[-1]):
        return np.nan, np.nan, np.nan
    top, bottom = extremes(h, low_)
    if not top > bottom:
        traded = 0.0
        for i in range(len(v)):
            traded += v[i] if not isnan(v[i]) else 0.0
        return (top, top, top) if traded > 0.0 else (np.nan, np.nan, np.nan)
    fine = bins * SUB_BINS
    spread(h, low_, v, bottom, fine / (top - bottom), known < len(h), work, shares, place)
    total = 0.0
    for i in range(bins):
        total += work[i]
    if not total > 0.0:
        return np.nan, np.nan, np.nan
    poc, lowest, highest = value_area(work[:bins], total * value_area_frac)
    width = (top - bottom) / bins
    upper = top if highest == bins - 1 else bottom + (highest + 1) * width
    return bottom + (poc + 0.5) * width, upper, bottom + lowest * width


@row_jit
def extremes(high: F8, low: F8) -> tuple[float, float]:
    """Return the highest high and the lowest low of the bars that are known."""
    top0, top1, bottom0, bottom1 = -np.inf, -np.inf, np.inf, np.inf
    even = len(high) - len(high) % 2
    for i in range(0, even, 2):
        top0, top1 = max(top0, high[i]), max(top1, high[i + 1])
        bottom0, bottom1 = min(bottom0, low[i]), min(bottom1, low[i + 1])
    for i in range(even, len(high)):
        top0, bottom0 = max(top0, high[i]), min(bottom0, low[i])
    return max(top0, top1), min(bottom0, bottom1)


@regrouping_jit
def count_known(volume: F8) -> int:
    """Count the bars that are known; where the sum of all is known, all are."""
    total = 0.0
    for i in range(len(volume)):
        total += volume[i]
    if not isnan(total):
        return len(volume)
    known = 0
    for i in range(len(volume)):
        known += not isnan(volume[i])
    return known


@row_jit
def spread(
    high: F8, low: F8, volume: F8, bottom: float, scale: float, has_gaps: bool, out: F8, shares: F8, place: NDArray[Any]
) -> None:
    """Spread the volumes over sixteenths of bins: shares go in where a bar begins, out behind its end, and add up.

    Each half of the bars has its ledger, so that one need not wait for the other. ``out`` takes the volume of each bin,
    and behind that the ledgers.
    """
    n, fine = len(high), len(shares)
    last = np.int32(fine - 1)
    for i in range(n):
        place[0, i] = min(np.int32((low[i] - bottom) * scale), last)
        place[1, i] = min(np.int32((high[i] - bottom) * scale), last)
    starts, ends = place[0].view(np.uint32), place[1].view(np.uint32)
    bins = fine // SUB_BINS
    one, two = out[bins : bins + fine + 1], out[bins + fine + 1 : bins + 2 * fine + 2]
    for i in range(fine + 1):
        one[i], two[i] = 0.0, 0.0
    behind = np.uint32(1)
    half = n // 2 if not has_gaps else 0
    first, last_, early = starts[:half], ends[:half], volume[:half]
    first_2, last_2, late = starts[half : 2 * half], ends[half : 2 * half], volume[half : 2 * half]
    for i in range(half):
        start, end, start_2, end_2 = first[i], last_[i], first_2[i], last_2[i]
        part, part_2 = early[i] * shares[end - start], late[i] * shares[end_2 - start_2]
        one[start] += part
        two[start_2] += part_2
        one[end + behind] -= part
        two[end_2 + behind] -= part_2
    for i in range(2 * half, n):
        if not isnan(volume[i]):
            part = volume[i] * shares[ends[i] - starts[i]]
            one[starts[i]] += part
            one[ends[i] + behind] -= part
    running, at, step = 0.0, np.uint64(0), np.uint64(1)
    for b in range(bins):
        change, inside = 0.0, 0.0
        for k in range(SUB_BINS):
            here = one[at] + two[at]
            change += here
            inside += here * (SUB_BINS - k)
            at += step
        out[b] = running * SUB_BINS + inside
        running += change


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


@jit
def _last_profile(high: F8, low: F8, volume: F8, bars: int, bins: int, value_area_frac: float, out: F8) -> None:
    work, shares, place = profile_scratch(bars, bins)
    t = high.shape[1] - 1
    for s in range(high.shape[0]):
        values = profile_at(high[s], low[s], volume[s], t, bars, bins, value_area_frac, work, shares, place)
        out[0, s], out[1, s], out[2, s] = values


@jit
def _rolling_profile(high: F8, low: F8, volume: F8, bars: int, bins: int, value_area_frac: float, out: F8) -> None:
    work, shares, place = profile_scratch(bars, bins)
    for s in range(high.shape[0]):
        for t in range(high.shape[1]):
            values = profile_at(high[s], low[s], volume[s], t, bars, bins, value_area_frac, work, shares, place)
            out[0, s, t], out[1, s, t], out[2, s, t] = values


__all__ = ["SUB_BINS", "rolling_profile", "volume_profile"]
