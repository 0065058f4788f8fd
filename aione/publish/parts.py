"""The parts of a published asset but for its explanation: levels, context, confidence, plan, trade, verdict."""

from __future__ import annotations

from typing import Literal

import msgspec

from config.models import Scenario

Number = float | None
Signal = Literal["NONE", "ALERT_BUY", "ALERT_SELL"]
Side = Literal["long", "short"]


# ── Parts of an asset ──


class KeyLevels(msgspec.Struct, frozen=True, kw_only=True):
    """The levels around the price: ``band`` is [support, resistance], ``band_frac`` its width over the price.

    ``room_down_atr`` and ``room_up_atr`` are the distances to them in ATR.
    """

    immediate_support: Number = None
    immediate_resistance: Number = None
    next_major_support: Number = None
    next_major_resistance: Number = None
    band: list[float] | None = None
    band_frac: Number = None
    room_down_atr: Number = None
    room_up_atr: Number = None


class Level(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One price level: ``kind`` names its source, ``tier`` is micro, meso or macro, ``strength`` is in [0, 1].

    ``touches`` are visits after which the price was where it came from, ``breaks`` those after which it was beyond.
    """

    price: float
    kind: str
    tier: str | None = None
    touches: int | None = None
    breaks: int | None = None
    age_bars: int | None = None
    strength: Number = None


class MarketContext(msgspec.Struct, frozen=True, kw_only=True):
    """How Stage2 reads the market of one symbol."""

    scenario: Scenario
    scenario_scores: dict[str, Number] = {}
    key_levels: KeyLevels = KeyLevels()
    key_levels_meta: list[Level] = []


class ConfidenceMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The score: direction in [-1, 1], raw confidence, and the calibrated probability of TP1 before SL.

    ``calibration`` is the version of the fit, or ``uncalibrated``; ``unknown`` lists the factors that had no value.
    """

    raw: Number = None
    calibrated: Number = None
    calibration: str = "uncalibrated"
    direction: Number = None
    quality: dict[str, Number] = {}
    factors: dict[str, Number] = {}
    risk_class: str | None = None
    unknown: list[str] = []


class RiskParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The plan: entry, stop loss, targets nearest first, reward over risk after costs, risk class."""

    side: Side
    entry: Number
    sl: Number
    tp: list[Number]
    rr: Number
    rr_mean: Number = None
    risk_class: str | None = None
    tags: list[str] = []


class Narrative(msgspec.Struct, frozen=True, kw_only=True):
    """One short paragraph for a person, in both languages."""

    en: str = ""
    uk: str = ""


class TradeView(msgspec.Struct, frozen=True, kw_only=True):
    """A paper trade that is being followed; ``_r`` are multiples of its initial risk."""

    trade_id: str
    side: Side
    state: str
    entry: Number
    sl: Number
    tp: list[Number]
    opened_ms: int
    unrealised_r: Number = None
    mae_r: Number = None
    mfe_r: Number = None
    quantity: Number = None


class QuarantineView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why the symbol's data is not to be trusted: the rule, in words with value and bound in ``detail``.

    ``bar_ms`` is the newest bar that broke it when it was found, ``since_ms`` since when the symbol is in quarantine,
    ``by`` who found it: ``guard`` (every minute) or ``suite`` (every hour).
    """

    rule: str
    detail: str
    value: Number = None
    bound: Number = None
    bar_ms: int
    since_ms: int
    by: Literal["guard", "suite"]


class PrefilterVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the prefilter kept the symbol; if not, by which filter, with which value against which threshold."""

    passed: bool
    reason: str | None = None
    value: float | str | None = None
    threshold: float | str | None = None


__all__ = [
    "ConfidenceMetrics",
    "KeyLevels",
    "Level",
    "MarketContext",
    "Narrative",
    "Number",
    "PrefilterVerdict",
    "QuarantineView",
    "RiskParameters",
    "Side",
    "Signal",
    "TradeView",
]
