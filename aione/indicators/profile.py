"""Volume profile: at which prices the volume traded."""

from __future__ import annotations

from math import isnan

import numpy as np

from aione.errors import InvalidInput
from aione.indicators.kernel import KNOWN_SHARE, at_least, jit, regrouping_jit, row_jit, rows_of
from aione.indicators.profile_ledger import SUB_BINS, Ledger, make_ledger, profile_of, spread, unit_of
from aione.panel import F8, BarPanel


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
def profile_at(
    high: F8, low: F8, volume: F8, t: int, bars: int, value_area_frac: float, ledger: Ledger
) -> tuple[float, float, float]:
    """Row function of `rolling_profile`; the bins are those of the ledger, which it fills."""
    first = max(0, t - bars + 1)
    h, low_, v = high[first : t + 1], low[first : t + 1], volume[first : t + 1]
    known, total = known_volume(h, low_, v)
    if known < KNOWN_SHARE * bars or isnan(v[-1] + h[-1] + low_[-1]) or not 0.0 < total < np.inf:
        return np.nan, np.nan, np.nan
    top, bottom = extremes(h, low_)
    if not top > bottom:
        return top, top, top
    scale = len(ledger.shares) / (top - bottom)
    spread(h, low_, v, bottom, scale, unit_of(total), known < len(h), ledger)
    values: tuple[float, float, float] = profile_of(ledger.steps, bottom, top, value_area_frac, ledger.volumes)
    return values


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
def known_volume(high: F8, low: F8, volume: F8) -> tuple[int, float]:
    """Count the bars that are known, and add their volume up."""
    total, check = 0.0, 0.0
    for i in range(len(volume)):
        total += volume[i]
        check += high[i] - low[i]
    if not isnan(total + check):
        return len(volume), total
    known, total = 0, 0.0
    for i in range(len(volume)):
        if not isnan(volume[i] + high[i] + low[i]):
            known += 1
            total += volume[i]
    return known, total


@jit
def _last_profile(high: F8, low: F8, volume: F8, bars: int, bins: int, value_area_frac: float, out: F8) -> None:
    ledger = make_ledger(bars, bins)
    t = high.shape[1] - 1
    for s in range(high.shape[0]):
        values = profile_at(high[s], low[s], volume[s], t, bars, value_area_frac, ledger)
        out[0, s], out[1, s], out[2, s] = values


@jit
def _rolling_profile(high: F8, low: F8, volume: F8, bars: int, bins: int, value_area_frac: float, out: F8) -> None:
    ledger = make_ledger(bars, bins)
    for s in range(high.shape[0]):
        for t in range(high.shape[1]):
            values = profile_at(high[s], low[s], volume[s], t, bars, value_area_frac, ledger)
            out[0, s, t], out[1, s, t], out[2, s, t] = values


__all__ = ["SUB_BINS", "rolling_profile", "volume_profile"]
