"""The shapes of the configuration: every field with its default, its unit in the name, and its bounds."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.base import Bars, Fraction, Model, NotNegative, Positive
from config.quality_models import QualityParams
from config.stage1_models import (
    IndicatorParams,
    MarketState,
    MarketStateParams,
    Stage1MonitorParams,
    StateLayer,
    ThresholdChange,
    ThresholdLayer,
    TriggerThresholds,
)

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


class EpisodeParams(Model):
    """What counts as a move worth having caught: at least so much, within so many bars."""

    move_pct_up: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(0.01, description="a fraction: 0.01 is 1 %")
    move_pct_down: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.01
    window_bars: Bars = 60


class DynamicParams(Model):
    """The rules that move thresholds: where they are, and how what they move moves."""

    use_rules: bool = True
    rules_dir: str = Field("", description="directory of threshold_rules*.yaml; empty takes those that are shipped")
    dyn_smooth_alpha: Annotated[float, Field(gt=0.0, le=1.0)] = 0.4
    move_relax_alpha: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.04, description="share of the way back to its base that a move goes on a bar without a rule"
    )
    move_pct_least: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.002
    move_pct_most: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.10


class Switches(Model):
    """What is on: the whole of Stage2, each trigger, each factor."""

    use_qde: bool = True
    triggers: dict[str, bool] = Field(default_factory=dict, description="canonical name -> on; absent is on")
    factors: dict[str, bool] = Field(default_factory=dict, description="factor -> on; absent is on")


class Stage2Config(Model):
    """`STAGE2_CONFIG`: weights, thresholds and switches of the analyst."""

    weights: FactorWeights = FactorWeights()
    scenario_weights: dict[Scenario, dict[str, NotNegative]] = Field(
        {
            "BULLISH_BREAKOUT": {"breakout": 2.0, "flow": 1.5, "vwap": 0.3, "location": 0.2},
            "BEARISH_BREAKDOWN": {"breakout": 2.0, "flow": 1.5, "vwap": 0.3, "location": 0.2},
            "BULLISH_REVERSAL": {"divergence": 1.5, "location": 1.5, "vwap": 1.2, "trend": 0.3},
            "BEARISH_REVERSAL": {"divergence": 1.5, "location": 1.5, "vwap": 1.2, "trend": 0.3},
            "RANGE_BOUND": {"location": 2.0, "vwap": 1.2, "trend": 0.3, "breakout": 0.3},
        }
    )
    levels: LevelParams = LevelParams()
    risk: RiskParams = RiskParams()
    thresholds: RecoThresholds = RecoThresholds()
    episodes: EpisodeParams = EpisodeParams()
    dynamic: DynamicParams = DynamicParams()
    trigger_thresholds: ThresholdLayer = Field(
        default_factory=dict, description="laid on STAGE1_MONITOR_PARAMS.thresholds, below class and symbol"
    )
    switches: Switches = Switches()

    @model_validator(mode="after")
    def _moves_begin_within_their_bounds(self) -> Self:
        least, most = self.dynamic.move_pct_least, self.dynamic.move_pct_most
        for name in ("move_pct_up", "move_pct_down"):
            value = getattr(self.episodes, name)
            if not least <= value <= most:
                bounds = f"dynamic.move_pct_least {least} and move_pct_most {most}"
                raise ValueError(f"episodes.{name} must be within {bounds}, was {value}")
        return self


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


class AuditParams(Model):
    """Where audit events go; see `aione.audit`."""

    is_on: bool = True
    max_size: Bars = Field(10_000, description="events held in memory")
    stream_maxlen: Bars = Field(200_000, description="about how many the Redis stream keeps")
    jsonl_path: str = Field("", description="a file of JSON lines as well; empty is none")
    jsonl_rotate_mb: Positive = 50.0
    jsonl_keep: Bars = 10


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
    "AuditParams",
    "Bars",
    "DynamicParams",
    "EpisodeParams",
    "FactorWeights",
    "FilterParams",
    "Fraction",
    "IndicatorParams",
    "LevelParams",
    "MarketState",
    "MarketStateParams",
    "MetricResults",
    "Model",
    "NotNegative",
    "ParamRange",
    "Positive",
    "PrefilterParams",
    "QualityParams",
    "RankWeights",
    "RecoThresholds",
    "RiskParams",
    "Scenario",
    "Stage1MonitorParams",
    "Stage2Config",
    "Stage3Params",
    "StateLayer",
    "Switches",
    "SymbolInfo",
    "ThresholdChange",
    "ThresholdLayer",
    "TickBracket",
    "TriggerThresholds",
    "UserSettings",
    "VenueParams",
]
