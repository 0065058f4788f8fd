"""The definitions of the indicators, written out in plain NumPy: what the compiled kernels are measured against.

Each oracle gives one symbol's value at the last of the bars that it is given. Nothing here is shared with
`aione.indicators`, nothing is fast, and nothing is careful about gaps: the bars have none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from aione.panel import DAY_MS, F8, I8, MINUTE_MS, BarPanel


@dataclass(frozen=True, slots=True)
class SymbolBars:
    """One symbol's bars, ``(T,)`` each, and the benchmark's closes on the same minutes."""

    open_time_ms: I8
    high: F8
    low: F8
    close: F8
    volume: F8
    quote_volume: F8
    taker_buy_volume: F8
    benchmark: F8

    @classmethod
    def of(cls, panel: BarPanel, row: int, benchmark: str = "BTCUSDT") -> SymbolBars:
        """Return the bars of one row of a panel."""
        names = ("high", "low", "close", "volume", "quote_volume", "taker_buy_volume")
        market = panel.close[panel.symbols.index(benchmark)]
        arrays: dict[str, F8] = {name: getattr(panel, name)[row] for name in names}
        return cls(open_time_ms=panel.open_time_ms, benchmark=market, **arrays)


# ── Volume ──


def volume_z(b: SymbolBars) -> float:
    """Quote volume against mean and population deviation of the 50 bars before."""
    before = b.quote_volume[-51:-1]
    return float((b.quote_volume[-1] - np.mean(before)) / np.std(before))


def relative_volume(b: SymbolBars) -> float:
    """Quote volume over the median of the 50 bars before."""
    return float(b.quote_volume[-1] / np.median(b.quote_volume[-51:-1]))


def taker_imbalance(b: SymbolBars, end: int = 0) -> float:
    """Return taker's buys less taker's sells over 5 bars, as a share of the volume; ``end`` bars ago."""
    stop = len(b.volume) - end
    volume, bought = b.volume[stop - 5 : stop].sum(), b.taker_buy_volume[stop - 5 : stop].sum()
    return float((2.0 * bought - volume) / volume)


def taker_imbalance_z(b: SymbolBars) -> float:
    """Imbalance against mean and population deviation of its 240 previous values."""
    before = np.array([taker_imbalance(b, end) for end in range(1, 241)])
    return float((taker_imbalance(b) - before.mean()) / before.std())


def session(b: SymbolBars) -> tuple[float, float, float]:
    """VWAP since 00:00 UTC, over 240 bars at the least; the close's distance from it, and in weighted deviations."""
    midnight = b.open_time_ms[-1] // DAY_MS * DAY_MS
    bars = max(240, int((b.open_time_ms[-1] - midnight) // MINUTE_MS) + 1)
    typical = (b.high[-bars:] + b.low[-bars:] + b.close[-bars:]) / 3.0
    weights = b.volume[-bars:]
    vwap = np.average(typical, weights=weights)
    deviation = np.sqrt(np.average((typical - vwap) ** 2, weights=weights))
    return float(vwap), float(b.close[-1] / vwap - 1.0), float((b.close[-1] - vwap) / deviation)


# ── Volatility and trend ──


def log_returns(close: F8) -> F8:
    """Return the steps of the log price."""
    return np.diff(np.log(close))


def realized_vol(b: SymbolBars) -> float:
    """Population deviation of 60 log returns."""
    return float(np.std(log_returns(b.close)[-60:]))


def vol_ratio(b: SymbolBars, end: int = 0) -> float:
    """Deviation of 15 returns over that of 240."""
    steps = log_returns(b.close[: len(b.close) - end])
    return float(np.std(steps[-15:]) / np.std(steps[-240:]))


def vol_ratio_p95(b: SymbolBars) -> float:
    """Return the 95th percentile of the 240 ratios before."""
    return float(np.quantile([vol_ratio(b, end) for end in range(1, 241)], 0.95))


def slope_t(b: SymbolBars) -> float:
    """Slope of the log close over 60 bars by least squares, over its standard error."""
    y, x = np.log(b.close[-60:]), np.arange(60.0)
    design = np.column_stack([np.ones(60), x])
    (level, slope), *_ = np.linalg.lstsq(design, y, rcond=None)
    errors = y - level - slope * x
    variance = errors @ errors / 58.0 * np.linalg.inv(design.T @ design)[1, 1]
    return float(slope / np.sqrt(variance))


def efficiency_ratio(b: SymbolBars) -> float:
    """Net change over 60 bars over the sum of the absolute ones."""
    steps = np.diff(b.close[-61:])
    return float(abs(steps.sum()) / np.abs(steps).sum())


def largest_move(b: SymbolBars, bars: int) -> float:
    """Return the largest (high - low) / low of any ``bars``-bar window inside the last 240."""
    highs = np.lib.stride_tricks.sliding_window_view(b.high[-240:], bars).max(axis=1)
    lows = np.lib.stride_tricks.sliding_window_view(b.low[-240:], bars).min(axis=1)
    return float(((highs - lows) / lows).max())


def largest_return(b: SymbolBars, bars: int) -> float:
    """Return the largest absolute ``bars``-bar return inside the last 240 bars."""
    close = b.close[-240:]
    return float(np.abs(close[bars:] / close[:-bars] - 1.0).max())


# ── Cross-section ──


def beta_corr(b: SymbolBars) -> tuple[float, float]:
    """Beta and correlation to the benchmark over 240 returns."""
    own, market = log_returns(b.close)[-240:], log_returns(b.benchmark)[-240:]
    both = np.cov(own, market)
    return float(both[0, 1] / both[1, 1]), float(np.corrcoef(own, market)[0, 1])


def relative_strength(b: SymbolBars) -> float:
    """Own 60-bar return less beta times the benchmark's."""
    own, market = (close[-1] / close[-61] - 1.0 for close in (b.close, b.benchmark))
    return float(own - beta_corr(b)[0] * market)


# ── Structure ──


def swing_pivots(x: F8, *, is_high: bool) -> list[int]:
    """Return the places that stand out from the 3 bars on each side; of equal ones the first."""
    x = x if is_high else -x
    return [t for t in range(3, len(x) - 3) if x[t] > x[t - 3 : t].max() and x[t] >= x[t + 1 : t + 4].max()]


def last_pivot(b: SymbolBars, *, is_high: bool) -> float:
    """Price of the last pivot known at the last bar, of the last 240 bars."""
    x = b.high if is_high else b.low
    places = [t for t in swing_pivots(x, is_high=is_high) if t >= len(x) - 240]
    return float(x[places[-1]]) if places else float("nan")


def wilder_rsi(close: F8, period: int = 14) -> F8:
    """Return RSI after every close from ``period`` on, Wilder's smoothing from a plain mean."""
    steps = np.diff(close)
    up, down = np.maximum(steps, 0.0), np.maximum(-steps, 0.0)
    gain, loss = up[:period].mean(), down[:period].mean()
    out = np.full(len(close), np.nan)
    for t in range(period, len(close)):
        if t > period:
            gain = (gain * (period - 1) + up[t - 1]) / period
            loss = (loss * (period - 1) + down[t - 1]) / period
        out[t] = 100.0 * gain / (gain + loss) if gain + loss > 0.0 else 50.0
    return out


def wilder_atr(b: SymbolBars, period: int = 14) -> float:
    """Average true range at the last bar."""
    before = b.close[:-1]
    spans = np.maximum(b.high[1:], before) - np.minimum(b.low[1:], before)
    mean = spans[:period].mean()
    for span in spans[period:]:
        mean = (mean * (period - 1) + span) / period
    return float(mean)


def divergence(b: SymbolBars, *, is_high: bool) -> float:
    """Return 1 where the last two pivots within 60 bars and RSI disagree, the second confirmed in the last 5 bars."""
    x, strength, span = b.high if is_high else b.low, wilder_rsi(b.close), wilder_atr(b)
    places = [t for t in swing_pivots(x, is_high=is_high) if t >= len(x) - 60]
    if len(places) < 2 or len(x) - 1 - (places[-1] + 3) > 5:
        return 0.0
    one, two = places[-2:]
    sign = 1.0 if is_high else -1.0
    apart, weaker = sign * (x[two] - x[one]), sign * (strength[one] - strength[two])
    return float(apart >= 0.25 * span and weaker >= 2.0)


# ── Volume profile ──


def profile(b: SymbolBars, spread: Callable[[F8, F8, float, float], F8]) -> tuple[float, float, float, float]:
    """POC, VAH, VAL over 1440 bars in 48 bins, and the width of a bin; ``spread`` lays each bar's volume on the bins.

    ``spread`` takes lows and highs in bins from the bottom, and gives each bar's share of every bin ``(T, 48)``.
    """
    high, low, volume = b.high[-1440:], b.low[-1440:], b.volume[-1440:]
    bottom, top = low.min(), high.max()
    width = (top - bottom) / 48.0
    volumes = volume @ spread(low, high, bottom, width)
    poc = int(np.argmax(volumes))
    first = last = poc
    while volumes[first : last + 1].sum() < 0.7 * volumes.sum():
        above = volumes[last + 1] if last < 47 else -1.0
        below = volumes[first - 1] if first > 0 else -1.0
        first, last = (first, last + 1) if above >= below else (first - 1, last)
    return bottom + (poc + 0.5) * width, bottom + (last + 1) * width, bottom + first * width, width


def evenly(low: F8, high: F8, bottom: float, width: float) -> F8:
    """Lay each bar evenly over its high-low: a bin's share is the part of the range that lies in it."""
    edges = bottom + width * np.arange(49)
    inside = np.minimum(high[:, None], edges[None, 1:]) - np.maximum(low[:, None], edges[None, :-1])
    span = high - low
    place = np.clip(((low - bottom) / width).astype(int), 0, 47)
    at_once = np.arange(48)[None, :] == place[:, None]
    part = np.maximum(inside, 0.0) / np.where(span > 0.0, span, 1.0)[:, None]
    shares: F8 = np.where(span[:, None] > 0.0, part, at_once)
    return shares


def by_sixteenths(low: F8, high: F8, bottom: float, width: float) -> F8:
    """Lay each bar evenly over the sixteenths of a bin that its high-low touches."""
    scale = 1.0 / (width / 16.0)
    first, last = (np.minimum(((x - bottom) * scale).astype(int), 767) for x in (low, high))
    fine = np.arange(768)[None, :]
    touched = (fine >= first[:, None]) & (fine <= last[:, None])
    shares: F8 = (touched / touched.sum(axis=1, keepdims=True)).reshape(len(low), 48, 16).sum(axis=2)
    return shares


ORACLES: Final[Mapping[str, Callable[[SymbolBars], float]]] = {
    "volume_z": volume_z,
    "relative_volume": relative_volume,
    "taker_imbalance": taker_imbalance,
    "taker_imbalance_z": taker_imbalance_z,
    "vwap": lambda b: session(b)[0],
    "vwap_dev_frac": lambda b: session(b)[1],
    "vwap_z": lambda b: session(b)[2],
    "realized_vol": realized_vol,
    "vol_ratio": vol_ratio,
    "vol_ratio_p95": vol_ratio_p95,
    "slope_t": slope_t,
    "efficiency_ratio": efficiency_ratio,
    "beta_btc": lambda b: beta_corr(b)[0],
    "corr_btc": lambda b: beta_corr(b)[1],
    "relative_strength": relative_strength,
    **{f"volatility.max_{n}bar_move": lambda b, n=n: largest_move(b, n) for n in (5, 30, 60)},  # type: ignore[misc]
    **{f"volatility.max_{n}bar_return": lambda b, n=n: largest_return(b, n) for n in (5, 30, 60)},  # type: ignore[misc]
    "range_high_20": lambda b: float(b.high[-21:-1].max()),
    "range_low_20": lambda b: float(b.low[-21:-1].min()),
    "range_high_60": lambda b: float(b.high[-61:-1].max()),
    "range_low_60": lambda b: float(b.low[-61:-1].min()),
    "pivot_high": lambda b: last_pivot(b, is_high=True),
    "pivot_low": lambda b: last_pivot(b, is_high=False),
    "bearish_div": lambda b: divergence(b, is_high=True),
    "bullish_div": lambda b: divergence(b, is_high=False),
}
"""By the name of the reading. Of a divergence only whether there is one: its strength is the code's own."""

__all__ = ["ORACLES", "SymbolBars", "by_sixteenths", "evenly", "profile"]
