"""How many bars a reading needs before more of them change nothing: the warm-up of each, declared.

A reading that has fewer bars than it needs is NaN, or what is said of it here:

- What looks at a window (`KNOWN_SHARE`) is given from 90 % of it on, of the bars that there are: VWAP, profile,
  ``atr_percentile``, ``vol_ratio_p95``, ``taker_imbalance_z``, and yesterday where no daily bars tell it.
- Wilder's averages begin as a plain mean after their period and have forgotten their beginning, to 1e-9, after 28
  periods.
- The averages of higher timeframes begin with 5 closed bars of theirs and forget slowly. On 5 minutes what is older
  than 25 hours weighs 6e-6 in the slow average, and as a distance is counted in ATR, more of it is seen there; on 1
  and 4 hours no history that is loaded is long enough. They are by definition those of ``SCREENING_LOOKBACK`` bars;
  `htf_alignment` leaves out the timeframes that are not known yet, and does not say so.
"""

from __future__ import annotations

from math import ceil, log
from typing import Final

from aione.indicators.structure import PIVOT_LOOKBACK
from aione.indicators.trend import FRAMES
from aione.indicators.volatility import DISTRIBUTION_BARS, MOVE_BARS
from aione.indicators.wilder import MEMORY_PERIODS
from config.models import IndicatorParams

AGREES_WITHIN: Final = 1e-9
"""What more history changes of a value, as a share of it, when the warm-up is over."""

FORGOTTEN: Final = 1e-12
"""Weight of all older prices in an EMA when its warm-up is over: a distance in ATR magnifies what is left of them."""

_DAY_BARS: Final = 1440
_MOVE_LOOKBACK: Final = 240


def required_bars(params: IndicatorParams, *, has_daily: bool = True) -> dict[str, int]:
    """Return for every reading the number of 1-minute bars from which on its value is final.

    Parameters
    ----------
    params : IndicatorParams
    has_daily : bool
        Daily bars are given; without them yesterday has to be in the minutes.

    Returns
    -------
    dict of str to int
        Bars, the one that is read included.

    Examples
    --------
    >>> needs = required_bars(IndicatorParams())
    >>> needs["volume_z"], needs["rsi"], needs["poc"], needs["ema_dist_4h"]
    (51, 393, 1440, 166080)
    """
    wilder = MEMORY_PERIODS * params.wilder_period + 1
    needs = dict.fromkeys(_BARE, 1) | {"prev_close": 2, "true_range": 2, "return_15": 16, "return_60": 61}
    needs |= dict.fromkeys(("rsi", "atr", "atr_frac", "adx", "plus_di", "minus_di"), wilder)
    needs |= {"atr_prev": wilder + 1, "atr_percentile": wilder + DISTRIBUTION_BARS}
    needs |= dict.fromkeys(("bullish_div", "bearish_div"), wilder + params.div_lookback - 1)
    needs |= dict.fromkeys(("volume_z", "relative_volume"), params.volume_lookback + 1)
    needs["taker_imbalance"] = params.imbalance_bars
    needs["taker_imbalance_z"] = params.imbalance_bars + params.imbalance_lookback
    needs |= dict.fromkeys(("vwap", "vwap_dev_frac", "vwap_z"), max(params.vwap_min_bars, _DAY_BARS))
    needs["realized_vol"] = params.vol_medium + 1
    needs |= {"vol_ratio": params.vol_long + 1, "vol_ratio_prev": params.vol_long + 2}
    needs["vol_ratio_p95"] = params.vol_long + 1 + DISTRIBUTION_BARS
    needs |= {"slope_t": params.slope_lookback, "efficiency_ratio": params.efficiency_lookback + 1}
    strength = max(params.beta_lookback + 1, 61)
    needs |= dict.fromkeys(("beta_btc", "corr_btc"), params.beta_lookback + 1)
    needs |= dict.fromkeys(("relative_strength", "relative_strength_rank"), strength)
    needs |= {f"volatility.max_{n}bar_{kind}": _MOVE_LOOKBACK for n in MOVE_BARS for kind in ("move", "return")}
    needs |= dict.fromkeys(
        ("range_high_20", "range_low_20", "band_frac_20", "band_position_20"), params.range_short + 1
    )
    needs |= dict.fromkeys(("prev_range_high_20", "prev_range_low_20"), params.range_short + 2)
    needs |= dict.fromkeys(("range_high_60", "range_low_60"), params.range_long + 1)
    needs |= dict.fromkeys(("pivot_high", "pivot_low"), PIVOT_LOOKBACK + params.pivot_span)
    needs |= dict.fromkeys(("poc", "vah", "val"), params.profile_bars)
    needs |= dict.fromkeys(_OF_DAYS, 1 if has_daily else 2 * _DAY_BARS)
    frames = {f"ema_dist_{name}": _frame(params, minutes) for name, minutes in zip(_FRAMES, FRAMES, strict=True)}
    return needs | frames | {"htf_alignment": max(frames.values())}


def _frame(params: IndicatorParams, minutes: int) -> int:
    """Return the minutes after which both averages and the ATR of a timeframe have forgotten their beginning."""
    slow = ceil(log(FORGOTTEN) / log(1.0 - 2.0 / (params.ema_slow + 1.0)))
    return minutes * (max(slow, MEMORY_PERIODS * params.wilder_period) + 1)


_FRAMES: Final = ("5m", "15m", "1h", "4h")
_BARE: Final = (
    *("open", "high", "low", "close", "volume", "quote_volume", "trade_count"),
    *("body_frac", "upper_wick_frac", "lower_wick_frac", "bars_age", "ready_frac"),
)
_OF_DAYS: Final = ("prev_day_high", "prev_day_low", "prev_day_close", "daily_support", "daily_resistance")

__all__ = ["AGREES_WITHIN", "FORGOTTEN", "required_bars"]
