"""The shapes of the configuration: every field with its default, its unit in the name, and its bounds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Bars = Annotated[int, Field(ge=1)]


class Model(BaseModel):
    """Base of every configuration model: immutable, and an unknown key is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


# ── Market ──


class SymbolInfo(Model):
    """One contract as the exchange lists it; tick and step size come from its filters, not its precisions."""

    symbol: str
    base_asset: str
    quote_asset: str
    contract_type: str
    underlying_type: str
    status: str
    onboard_ms: int
    delivery_ms: int
    tick_size: Positive
    step_size: Positive
    min_notional: NotNegative = 0.0


class MetricResults(Model):
    """What the prefilter measured of one symbol, and what it decided. None is unknown."""

    symbol: str
    quote_volume_24h: float | None = None
    range_frac_24h: float | None = None
    spread_frac: float | None = None
    open_interest_quote: float | None = None
    depth_quote: float | None = Field(None, description="quote value within 0.5 % of mid, the smaller side")
    atr_frac: float | None = None
    ready_frac: float | None = None
    score: float | None = None
    rank: int | None = None
    passed: bool = False
    is_manual: bool = False
    reason: str | None = Field(None, description="code of the filter that dropped it")
    value: float | str | None = None
    threshold: float | str | None = None


# ── Prefilter ──


class FilterParams(Model):
    """Absolute floors of the prefilter chain (`STAGE1_PREFILTER_THRESHOLDS`)."""

    quote_asset: str = "USDT"
    min_age_days: NotNegative = 3.0
    min_quote_volume_24h: NotNegative = 5_000_000.0
    min_range_frac_24h: Fraction = 0.008
    max_spread_frac: Positive = 0.0015
    min_open_interest_quote: NotNegative = 1_000_000.0
    min_depth_quote: NotNegative = 20_000.0
    min_atr_frac: NotNegative = 0.0002


class RankWeights(Model):
    """Weights of the rank score: mean of winsorised cross-sectional ranks."""

    log_quote_volume: NotNegative = 0.4
    log_open_interest: NotNegative = 0.2
    log_depth: NotNegative = 0.2
    atr_frac: NotNegative = 0.2


class PrefilterParams(Model):
    """How the prefilter adapts (`PREFILTER_BASE_PARAMS`)."""

    min_symbols: Annotated[int, Field(ge=0)] = 20
    max_symbols: Bars = 500
    relax_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    max_relax_steps: Annotated[int, Field(ge=0)] = 2
    quantile_floor: Fraction = Field(0.0, description="also drop symbols below this volume quantile; 0 turns it off")
    tighten_quantile_step: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    winsor_frac: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.02
    rank_weights: RankWeights = RankWeights()


# ── Indicators and Stage1 ──


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
    burst_atr_mult: Positive = 2.0
    breakout_atr_buffer: NotNegative = 0.1
    near_atr_mult: Positive = 0.25
    rsi_overbought: Annotated[float, Field(gt=50.0, le=100.0)] = 70.0
    rsi_oversold: Annotated[float, Field(ge=0.0, lt=50.0)] = 30.0
    vwap_z: Positive = 2.0
    imbalance_z: Positive = 2.5
    spread_median_mult: Positive = 3.0
    depth_median_frac: Fraction = 0.3333
    low_gate: NotNegative = Field(0.0004, description="ATR fraction below which most triggers are blocked")


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
    class_thresholds: dict[str, dict[str, float]] = Field(
        default_factory=lambda: {"meme": {"volume_z": 3.0, "low_gate": 0.0006}, "major": {"low_gate": 0.0003}}
    )
    symbol_thresholds: dict[str, dict[str, float]] = Field(default_factory=dict)


# ── Stage2 ──

Scenario = Literal[
    "BULLISH_BREAKOUT",
    "BEARISH_BREAKDOWN",
    "BULLISH_REVERSAL",
    "BEARISH_REVERSAL",
    "BULLISH_CONTROL",
    "BEARISH_CONTROL",
    "RANGE_BOUND",
    "HIGH_VOLATILITY",
    "MANIPULATED",
    "UNCERTAIN",
]


class FactorWeights(Model):
    """Weights of the directional factors; only their ratios matter."""

    trend: NotNegative = 1.0
    momentum: NotNegative = 1.0
    flow: NotNegative = 1.0
    breakout: NotNegative = 1.0
    location: NotNegative = 0.6
    vwap: NotNegative = 0.6
    divergence: NotNegative = 0.6
    open_interest: NotNegative = 0.5
    market: NotNegative = 0.7


class LevelParams(Model):
    """Where levels are looked for and how they merge."""

    micro_lookback: Bars = 120
    micro_span: Bars = 3
    meso_span: Bars = Field(2, description="hours on each side of a 1h pivot")
    macro_span: Bars = Field(2, description="days on each side of a daily pivot")
    merge_atr: Positive = 0.25
    half_life_bars: Positive = 480.0
    max_levels: Annotated[int, Field(ge=2)] = 12


class RiskParams(Model):
    """Stop, targets and costs of a plan; fractions of price unless named otherwise."""

    stop_atr: Positive = 1.5
    noise_atr: Positive = 0.8
    level_buffer_atr: NotNegative = 0.1
    target_r: tuple[Positive, ...] = (1.0, 2.0, 3.0)
    min_rr: NotNegative = 1.5
    fee_frac: NotNegative = 0.0005
    slippage_frac: NotNegative = 0.0002
    unknown_spread_frac: NotNegative = Field(0.0004, description="what costs assume where the spread is unknown")
    tp_mult: Positive = 1.0
    sl_mult: Positive = 1.0


class RecoThresholds(Model):
    """Cut points of scenario, risk class and recommendation."""

    scenario_margin: Fraction = 0.08
    scenario_floor: Fraction = 0.30
    strong_confidence: Fraction = 0.55
    entry_confidence: Fraction = 0.35
    strong_direction: Fraction = 0.45
    entry_direction: Fraction = 0.20
    high_vol_quantile: Fraction = 0.90
    extreme_vol_quantile: Fraction = 0.98
    high_spread_frac: Positive = 0.0010
    extreme_spread_frac: Positive = 0.0030


class Switches(Model):
    """What is on: the whole of Stage2, each trigger, each factor."""

    use_qde: bool = True
    triggers: dict[str, bool] = Field(default_factory=dict, description="canonical name -> on; absent is on")
    factors: dict[str, bool] = Field(default_factory=dict, description="factor -> on; absent is on")


class Stage2Config(Model):
    """`STAGE2_CONFIG`: weights, thresholds and switches of the analyst."""

    weights: FactorWeights = FactorWeights()
    scenario_weights: dict[Scenario, dict[str, NotNegative]] = {
        "BULLISH_BREAKOUT": {"breakout": 2.0, "flow": 1.5, "vwap": 0.3, "location": 0.2},
        "BEARISH_BREAKDOWN": {"breakout": 2.0, "flow": 1.5, "vwap": 0.3, "location": 0.2},
        "BULLISH_REVERSAL": {"divergence": 1.5, "location": 1.5, "vwap": 1.2, "trend": 0.3},
        "BEARISH_REVERSAL": {"divergence": 1.5, "location": 1.5, "vwap": 1.2, "trend": 0.3},
        "RANGE_BOUND": {"location": 2.0, "vwap": 1.2, "trend": 0.3, "breakout": 0.3},
    }
    levels: LevelParams = LevelParams()
    risk: RiskParams = RiskParams()
    thresholds: RecoThresholds = RecoThresholds()
    switches: Switches = Switches()


# ── Stage3 ──


class Stage3Params(Model):
    """Opening, following and closing paper trades (`USER_SETTINGS_DEFAULT["trade"]`)."""

    equity_quote: Positive = 10_000.0
    risk_frac: Annotated[float, Field(gt=0.0, le=0.1)] = 0.005
    max_open: Bars = 8
    max_same_side_correlated: Bars = 3
    correlation_cap: Fraction = 0.85
    cooldown_s: NotNegative = 1800.0
    timeout_bars: Bars = 240
    trail_start_r: Positive = 1.0
    trail_atr: Positive = 1.0
    invalidation_confidence: Fraction = 0.5
    max_data_age_s: Positive = 180.0


class UserSettings(Model):
    """`USER_SETTINGS_DEFAULT`: what a user may set for themselves."""

    locale: Literal["en", "uk"] = "en"
    min_confidence: Fraction | None = Field(None, description="None takes MIN_CONFIDENCE_TRADE_PLACEHOLDER")
    trade: Stage3Params = Stage3Params()


class ParamRange(Model):
    """A range that calibration may search."""

    low: float
    high: float
    step: Positive | None = None
    log: bool = False


class TickBracket(Model):
    """Prices below ``below`` move in steps of ``tick_size`` when the exchange's own is unknown."""

    below: Positive
    tick_size: Positive


# ── Exchange ──


class VenueParams(Model):
    """The exchange: addresses, routes, budgets. The route table is configuration because it changes."""

    rest_url: str = "https://fapi.binance.com"
    ws_url: str = "wss://fstream.binance.com"
    routes: dict[str, str] = Field(
        default_factory=lambda: {
            "kline": "/market/stream",
            "aggTrade": "/market/stream",
            "ticker": "/market/stream",
            "miniTicker": "/market/stream",
            "markPrice": "/market/stream",
            "forceOrder": "/market/stream",
            "bookTicker": "/public/stream",
            "depth": "/public/stream",
        }
    )
    weight_per_minute: Bars = 2400
    weight_reserve_frac: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    refresh_share_frac: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.92, description="of the usable weight of a minute that refreshes may take; the rest is kept for healing"
    )
    weight_without_redis_frac: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.15, description="of the usable weight that one process takes while it cannot ask the shared ledger"
    )
    open_interest_weight: Annotated[int, Field(ge=0)] = Field(
        150, description="weight a minute that polling open interest may take; 0 turns it off"
    )
    timeout_s: Positive = 10.0
    streams_per_connection: Annotated[int, Field(ge=1, le=1024)] = 200
    control_messages_per_s: Annotated[int, Field(ge=1, le=10)] = 5
    depth_stream: Literal["", "depth5@500ms", "depth10@500ms", "depth20@500ms"] = Field(
        "depth20@500ms", description="order book stream of each screened symbol; empty turns it off"
    )
    stale_after_s: Positive = Field(
        15.0, description="a connection that delivers nothing is opened anew, later where its streams speak seldom"
    )
    proof_within_s: Positive = Field(8.0, description="a stream that is wanted must have delivered within this")
    stream_stale_after_s: Positive = Field(130.0, description="a stream that delivered and then fell silent")
    book_stale_after_s: Positive = Field(
        900.0, description="the same of bookTicker and depth, which push only when the book changes"
    )
    resubscribe_base_s: Positive = Field(
        15.0, description="a silent stream is asked for again after this, then after twice as long, and so on"
    )
    resubscribe_cap_s: Positive = 600.0
    connection_life_s: Positive = 23 * 3600.0
    backoff_base_s: Positive = 0.5
    backoff_cap_s: Positive = 30.0


__all__ = [
    "FactorWeights",
    "FilterParams",
    "IndicatorParams",
    "LevelParams",
    "MetricResults",
    "Model",
    "ParamRange",
    "PrefilterParams",
    "RankWeights",
    "RecoThresholds",
    "RiskParams",
    "Scenario",
    "Stage1MonitorParams",
    "Stage2Config",
    "Stage3Params",
    "Switches",
    "SymbolInfo",
    "TickBracket",
    "TriggerThresholds",
    "UserSettings",
    "VenueParams",
]
