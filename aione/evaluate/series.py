"""The series functions of `aione.indicators` under the names of the readings: each value at every bar, in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from aione.indicators.cross_section import beta_corr, relative_strength, universe_rank
from aione.indicators.momentum import adx, rsi, simple_return
from aione.indicators.profile import rolling_profile
from aione.indicators.structure import bar_shape, last_pivots, prior_range, rsi_divergence
from aione.indicators.trend import efficiency_ratio, ema_distance, htf_alignment, ols_slope_t
from aione.indicators.volatility import (
    MOVE_BARS,
    atr,
    max_move,
    max_return,
    previous_quantile,
    previous_rank,
    realized_vol,
    true_range,
    vol_ratio,
)
from aione.indicators.volume import (
    relative_volume,
    session_bars,
    session_vwap,
    taker_imbalance,
    taker_imbalance_z,
    volume_z,
)
from aione.panel import F8, BarPanel
from config.models import IndicatorParams

Family = Callable[[BarPanel, IndicatorParams, str], Mapping[str, F8]]
FRAME_NAMES: Final = {"5m": 5, "15m": 15, "1h": 60, "4h": 240}
REMEMBERS_ALL: Final = frozenset({*(f"ema_dist_{name}" for name in FRAME_NAMES), "htf_alignment"})
"""Readings that depend on where the panel begins, however long ago."""


def series(panel: BarPanel, params: IndicatorParams, benchmark: str = "BTCUSDT") -> dict[str, F8]:
    """Return every reading that has a series, float64 ``(S, T)`` each; a reading at ``t`` is its column ``t``."""
    return {name: column for family in FAMILIES for name, column in family(panel, params, benchmark).items()}


def _momentum(p: BarPanel, q: IndicatorParams, _: str) -> dict[str, F8]:
    bars = (p.high, p.low, p.close)
    strength, (index, plus, minus) = rsi(p.close, q.wilder_period), adx(*bars, q.wilder_period)
    span = atr(*bars, q.wilder_period)
    bullish, bearish = rsi_divergence(
        p.high,
        p.low,
        strength,
        span,
        span=q.pivot_span,
        lookback=q.div_lookback,
        min_rsi=q.div_min_rsi,
        min_atr=q.div_min_atr,
        max_age=q.div_max_age,
    )
    return {
        "rsi": strength,
        "atr": span,
        "atr_prev": _before(span),
        "atr_frac": span / p.close,
        "adx": index,
        "plus_di": plus,
        "minus_di": minus,
        "true_range": true_range(*bars),
        "atr_percentile": previous_rank(span / p.close),
        "bullish_div": bullish,
        "bearish_div": bearish,
    }


def _volume(p: BarPanel, q: IndicatorParams, _: str) -> dict[str, F8]:
    taker = (p.volume, p.taker_buy_volume, q.imbalance_bars)
    vwap, deviation, z = session_vwap(p.high, p.low, p.close, p.volume, session_bars(p.open_time_ms, q.vwap_min_bars))
    return {
        "volume_z": volume_z(p.quote_volume, q.volume_lookback),
        "relative_volume": relative_volume(p.quote_volume, q.volume_lookback),
        "taker_imbalance": taker_imbalance(*taker),
        "taker_imbalance_z": taker_imbalance_z(*taker, q.imbalance_lookback),
        "vwap": vwap,
        "vwap_dev_frac": deviation,
        "vwap_z": z,
    }


def _returns(p: BarPanel, q: IndicatorParams, benchmark: str) -> dict[str, F8]:
    ratio = vol_ratio(p.close, q.vol_short, q.vol_long)
    row = p.symbols.index(benchmark) if benchmark in p.symbols else -1
    market = p.close[row] if row >= 0 else np.full(p.shape[1], np.nan)
    beta, corr = beta_corr(p.close, market, q.beta_lookback)
    hour = simple_return(p.close, 60)
    strength = relative_strength(hour, hour[row] if row >= 0 else np.nan, beta)
    return {
        "realized_vol": realized_vol(p.close, q.vol_medium),
        "vol_ratio": ratio,
        "vol_ratio_p95": previous_quantile(ratio),
        "vol_ratio_prev": _before(ratio),
        "slope_t": ols_slope_t(p.close, q.slope_lookback),
        "efficiency_ratio": efficiency_ratio(p.close, q.efficiency_lookback),
        "beta_btc": beta,
        "corr_btc": corr,
        "prev_close": _before(p.close),
        "return_15": simple_return(p.close, 15),
        "return_60": hour,
        "relative_strength": strength,
        "relative_strength_rank": universe_rank(strength),
        **{f"volatility.max_{n}bar_move": max_move(p.high, p.low, n) for n in MOVE_BARS},
        **{f"volatility.max_{n}bar_return": max_return(p.close, n) for n in MOVE_BARS},
    }


def _structure(p: BarPanel, q: IndicatorParams, _: str) -> dict[str, F8]:
    high, low = prior_range(p.high, p.low, q.range_short)
    far_high, far_low = prior_range(p.high, p.low, q.range_long)
    body, upper, lower = bar_shape(p.open, p.high, p.low, p.close)
    pivot_high, pivot_low = last_pivots(p.high, p.low, q.pivot_span)
    poc, vah, val = rolling_profile(p.high, p.low, p.volume, q.profile_bars, q.profile_bins, q.value_area_frac)
    width = high - low
    return {
        "range_high_20": high,
        "range_low_20": low,
        "range_high_60": far_high,
        "range_low_60": far_low,
        "prev_range_high_20": _before(high),
        "prev_range_low_20": _before(low),
        "band_frac_20": width / p.close,
        "band_position_20": (p.close - low) / np.where(width > 0.0, width, np.nan),
        "body_frac": body,
        "upper_wick_frac": upper,
        "lower_wick_frac": lower,
        "pivot_high": pivot_high,
        "pivot_low": pivot_low,
        "poc": poc,
        "vah": vah,
        "val": val,
    }


def averages(p: BarPanel, q: IndicatorParams, _: str = "") -> dict[str, F8]:
    """Return the series of `REMEMBERS_ALL`."""
    found = {
        f"ema_dist_{name}": ema_distance(
            p.high,
            p.low,
            p.close,
            p.open_time_ms,
            minutes,
            fast=q.ema_fast,
            slow=q.ema_slow,
            atr_period=q.wilder_period,
        )
        for name, minutes in FRAME_NAMES.items()
    }
    return {**found, "htf_alignment": htf_alignment([*found.values()])}


def _before(x: F8) -> F8:
    """Return each value one bar later."""
    return np.concatenate([np.full((len(x), 1), np.nan), x[:, :-1]], axis=1)


FAMILIES: Final[tuple[Family, ...]] = (_momentum, _volume, _returns, _structure, averages)

__all__ = ["FAMILIES", "FRAME_NAMES", "REMEMBERS_ALL", "averages", "series"]
