"""What the last bar's kernels return, column by column, and the periods that they take."""

from __future__ import annotations

from typing import Final, NamedTuple

from aione.indicators.moves import MOVE_BARS

MOMENTUM: Final = ("rsi", "atr", "atr_prev", "adx", "plus_di", "minus_di", "true_range", "atr_percentile")
DIVERGENCE: Final = ("bullish_div", "bearish_div")
VOLUME: Final = (
    "volume_z",
    "relative_volume",
    "taker_imbalance",
    "taker_imbalance_z",
    "vwap",
    "vwap_dev_frac",
    "vwap_z",
)
RETURNS: Final = ("realized_vol", "vol_ratio", "vol_ratio_p95", "slope_t", "beta_btc", "corr_btc", "vol_ratio_prev")
MOVES: Final = tuple(f"volatility.max_{n}bar_{kind}" for kind in ("move", "return") for n in MOVE_BARS)
STRUCTURE: Final = (
    "range_high_20",
    "range_low_20",
    "range_high_60",
    "range_low_60",
    "prev_range_high_20",
    "prev_range_low_20",
    "pivot_high",
    "pivot_low",
    "efficiency_ratio",
)
PROFILE: Final = ("poc", "vah", "val")
EMA: Final = ("ema_dist_5m", "ema_dist_15m", "ema_dist_1h", "ema_dist_4h")
DERIVED: Final = (
    "prev_close",
    "return_15",
    "return_60",
    "atr_frac",
    "band_frac_20",
    "band_position_20",
    "body_frac",
    "upper_wick_frac",
    "lower_wick_frac",
    "htf_alignment",
)
NAMES: Final = (*MOMENTUM, *DIVERGENCE, *VOLUME, *RETURNS, *MOVES, *STRUCTURE, *PROFILE, *EMA, *DERIVED)
"""Columns of `last_bar`, in order."""

AT_DIVERGENCE: Final = len(MOMENTUM)
AT_VOLUME: Final = AT_DIVERGENCE + len(DIVERGENCE)
AT_RETURNS: Final = AT_VOLUME + len(VOLUME)
AT_MOVES: Final = AT_RETURNS + len(RETURNS)
AT_STRUCTURE: Final = AT_MOVES + len(MOVES)
AT_PROFILE: Final = AT_STRUCTURE + len(STRUCTURE)
AT_EMA: Final = AT_PROFILE + len(PROFILE)
AT_DERIVED: Final = AT_EMA + len(EMA)
MOVE_LOOKBACK: Final = 240
"""Bars of `volatility.max_...`."""


class Periods(NamedTuple):
    """`config.models.IndicatorParams` as the kernel takes it, with where the last bar stands in its session."""

    wilder_period: int
    volume_lookback: int
    session_bars: int
    vol_short: int
    vol_medium: int
    vol_long: int
    range_short: int
    range_long: int
    pivot_span: int
    div_lookback: int
    div_min_rsi: float
    div_min_atr: float
    div_max_age: int
    profile_bars: int
    profile_bins: int
    value_area_frac: float
    imbalance_bars: int
    imbalance_lookback: int
    slope_lookback: int
    efficiency_lookback: int
    ema_fast: int
    ema_slow: int
    beta_lookback: int


__all__ = [
    "AT_DERIVED",
    "AT_DIVERGENCE",
    "AT_EMA",
    "AT_MOVES",
    "AT_PROFILE",
    "AT_RETURNS",
    "AT_STRUCTURE",
    "AT_VOLUME",
    "MOVE_LOOKBACK",
    "NAMES",
    "Periods",
]
