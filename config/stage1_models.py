"""The shapes of `STAGE1_MONITOR_PARAMS`: indicators, thresholds and their layers, the ALERT logic."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationError, model_validator

from config.base import Bars, Fraction, Model, NotNegative, Positive


class IndicatorParams(Model):
    """Periods and lookbacks, in bars (part of `STAGE1_MONITOR_PARAMS`)."""

    wilder_period: Bars = 14
    volume_lookback: Bars = 50
    vwap_min_bars: Bars = 240
    vol_short: Bars = 15
    vol_medium: Bars = 60
    vol_long: Bars = 240
    range_short: Bars = 20
    range_long: Bars = 60
    pivot_span: Bars = 3
    div_lookback: Bars = 60
    div_min_rsi: NotNegative = 2.0
    div_min_atr: NotNegative = 0.25
    div_max_age: Bars = 5
    profile_bars: Bars = 1440
    profile_bins: Bars = 48
    value_area_frac: Fraction = 0.7
    imbalance_bars: Bars = 5
    imbalance_lookback: Bars = 240
    slope_lookback: Bars = 60
    efficiency_lookback: Bars = 60
    ema_fast: Bars = 20
    ema_slow: Bars = 50
    beta_lookback: Bars = 240


class TriggerThresholds(Model):
    """Thresholds of the Stage1 triggers; each may be set again by class, symbol or run."""

    volume_z: Positive = 2.5
    relative_volume: Positive = 1.5
    burst_atr_mult: Positive = 2.5
    breakout_atr_buffer: NotNegative = 0.1
    near_atr_mult: Positive = 0.25
    rsi_overbought: Annotated[float, Field(gt=50.0, le=100.0)] = 70.0
    rsi_oversold: Annotated[float, Field(ge=0.0, lt=50.0)] = 30.0
    vwap_z: Positive = 2.0
    imbalance_z: Positive = 2.5
    spread_median_mult: Positive = 3.0
    depth_median_frac: Fraction = 0.3333
    low_gate: NotNegative = Field(0.0004, description="ATR fraction below which most triggers are blocked")


class ThresholdChange(Model):
    """A threshold as ``factor`` times what the layers below say, plus ``add``; it stops at the threshold's bounds."""

    factor: Positive = 1.0
    add: float = 0.0


def _is_threshold(name: str) -> str:
    known = TriggerThresholds.model_fields
    if name not in known:
        raise ValueError(f"there is no threshold {name}, expected one of {', '.join(known)}")
    return name


def _within_bounds(wanted: dict[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in wanted.items() if not isinstance(value, ThresholdChange)}
    try:
        TriggerThresholds.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{first['loc'][0]}: {first['msg']}") from error
    return wanted


def _value_or_change(value: Any) -> str:
    return "change" if isinstance(value, dict | ThresholdChange) else "value"


ThresholdName = Annotated[str, AfterValidator(_is_threshold)]
ThresholdLayer = Annotated[dict[ThresholdName, float], AfterValidator(_within_bounds)]
"""Threshold -> value: some of `TriggerThresholds`."""

ValueOrChange = Annotated[
    Annotated[float, Tag("value")] | Annotated[ThresholdChange, Tag("change")], Discriminator(_value_or_change)
]
StateLayer = Annotated[dict[ThresholdName, ValueOrChange], AfterValidator(_within_bounds)]
"""Threshold -> value, or change of what the layers below say."""

MarketState = Literal["calm", "ordinary", "wild", "btc_trend"]


class MarketStateParams(Model):
    """Where one state of a symbol's market ends and the next begins; see `aione.stage1.market_state`."""

    calm_atr_percentile: Fraction = 0.2
    calm_vol_ratio: Positive = 1.0
    wild_atr_percentile: Fraction = 0.9
    wild_vol_ratio: Positive = 1.8

    @model_validator(mode="after")
    def _calm_is_below_wild(self) -> Self:
        for name in ("atr_percentile", "vol_ratio"):
            calm, wild = getattr(self, f"calm_{name}"), getattr(self, f"wild_{name}")
            if not calm < wild:
                raise ValueError(f"calm_{name} must be below wild_{name} {wild}, was {calm}")
        return self


class Stage1MonitorParams(Model):
    """The ALERT logic (`STAGE1_MONITOR_PARAMS`)."""

    alert_on: Fraction = 0.60
    alert_off: Fraction = 0.40
    min_hold_bars: Bars = 2
    cooldown_s: NotNegative = 900.0
    default_trigger_weight: Fraction = Field(0.3, description="of a trigger that `trigger_weights` does not name")
    trigger_weights: dict[str, Fraction] = Field(
        default_factory=lambda: {
            "volume_spike": 0.35,
            "bull_vol_spike": 0.45,
            "bear_vol_spike": 0.45,
            "volatility_burst": 0.45,
            "breakout_up": 0.70,
            "breakout_down": 0.70,
            "near_high": 0.25,
            "near_low": 0.25,
            "near_daily_support": 0.30,
            "near_daily_resistance": 0.30,
            "rsi_overbought": 0.35,
            "rsi_oversold": 0.35,
            "bullish_div": 0.50,
            "bearish_div": 0.50,
            "vwap_deviation": 0.45,
            "order_imbalance": 0.40,
            "liquidity_gap": 0.40,
        }
    )
    indicators: IndicatorParams = IndicatorParams()
    thresholds: TriggerThresholds = TriggerThresholds()
    class_thresholds: dict[str, ThresholdLayer] = Field(
        default_factory=lambda: {"meme": {"volume_z": 3.0, "low_gate": 0.0006}, "major": {"low_gate": 0.0003}}
    )
    symbol_thresholds: dict[str, ThresholdLayer] = Field(default_factory=dict)
    market_state: MarketStateParams = MarketStateParams()
    market_state_thresholds: dict[MarketState, StateLayer] = Field(
        {
            "calm": {
                "rsi_overbought": ThresholdChange(add=5.0),
                "rsi_oversold": ThresholdChange(add=-5.0),
                "vwap_z": ThresholdChange(factor=1.25),
            },
            "wild": {"volume_z": ThresholdChange(factor=1.2)},
        }
    )


__all__ = [
    "IndicatorParams",
    "MarketState",
    "MarketStateParams",
    "Stage1MonitorParams",
    "StateLayer",
    "ThresholdChange",
    "ThresholdLayer",
    "ThresholdName",
    "TriggerThresholds",
    "ValueOrChange",
]
