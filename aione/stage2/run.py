"""Stage2: the whole analysis of one bar, all symbols at once.

1. Levels and context: where the price stands.
2. Factors: what speaks for up and what for down.
3. Scenario: what kind of market it is, from the factors.
4. Direction: the factors' mean, weighted as the scenario asks.
5. Quality and confidence: how far the direction may be trusted.
6. Recommendation: the table; then a plan for those that would enter, and the gates that may hold them back.

Words and dictionaries are made by `Stage2Result.view`, for one symbol at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aione.errors import InvalidInput
from aione.indicators.readings import Readings
from aione.panel import B1, F8, BarPanel, MarketSnapshot
from aione.stage1.run import Stage1Result
from aione.stage2.anomalies import ANOMALIES, anomalies
from aione.stage2.confidence import (
    QUALITIES,
    direction,
    overall_quality,
    quality,
    raw_confidence,
    scenario_weights,
)
from aione.stage2.context import Context, market_context
from aione.stage2.cuts import Cuts, check_dynamic
from aione.stage2.explain import Grounds
from aione.stage2.factors import FACTORS, directional_factors
from aione.stage2.levels import Levels, price_levels
from aione.stage2.recommend import NONE, gate, spoken, table_rows
from aione.stage2.result import STATUSES, Stage2Result
from aione.stage2.risk import Plan, make_plan, risk_class, tick_sizes
from aione.stage2.scenarios import SCENARIOS, UNCERTAIN, best_scenario, scenario_scores
from config.settings import RECOMMENDATIONS, Settings

I1 = NDArray[np.int8]

_DONE, _SKIPPED, _OFF = (STATUSES.index(name) for name in ("DONE", "SKIPPED", "OFF"))


def run_stage2(
    panel: BarPanel,
    daily: BarPanel | None,
    readings: Readings,
    market: MarketSnapshot,
    stage1: Stage1Result,
    settings: Settings,
    dynamic: Mapping[str, F8] = MappingProxyType({}),
) -> Stage2Result:
    """Analyse every symbol at the panel's last bar.

    Parameters
    ----------
    panel : BarPanel
        1-minute bars, of S symbols.
    daily : BarPanel, optional
        Daily bars of any symbols; without them the daily and weekly levels are unknown.
    readings, market, stage1
        Of the panel's symbols, in its order, at its last bar.
    settings : Settings
        ``STAGE2_CONFIG`` and the sets of entries; with ``use_qde`` off nothing is computed and nothing recommended.
    dynamic : mapping of str to float64 (S,)
        What rules have set symbol by symbol, by the names of `aione.stage2.cuts.DYNAMIC`; NaN is not set.

    Raises
    ------
    InvalidInput
        The arguments hold different symbols, the readings are of another bar, or ``dynamic`` has an unknown name.
    """
    _check(panel, readings, market, stage1)
    check_dynamic(dynamic, len(panel.symbols))
    config = settings.STAGE2_CONFIG
    if not config.switches.use_qde:
        return _nothing(panel.symbols, settings)
    close, atr, cuts = readings["close"], readings["atr"], Cuts.of(config.thresholds, dynamic)
    levels = _levels(panel, daily, readings, settings)
    context = market_context(levels, close, atr)
    factors = _factors(readings, market, context, settings)
    scores = scenario_scores(factors, readings, market, cuts)
    scenario = best_scenario(scores, cuts)
    weights = scenario_weights(config)
    aim = direction(factors, scenario, weights)
    qualities = quality(readings, market, levels, aim.known_share, cuts)
    trust = overall_quality(qualities)
    confidence = raw_confidence(aim.value, trust)
    danger = risk_class(readings, market, cuts)
    rows = table_rows(scenario, aim.value, confidence, danger, context.location, cuts)
    original = spoken(rows, aim.value)
    ticks = tick_sizes(market, close, settings)
    plan = make_plan(_sides(original, settings), close, atr, levels, market.spread_frac, ticks, config.risk, dynamic)
    enters = _sides(original, settings) != 0
    shut = _shut(plan, confidence, readings, cuts, config.risk.min_rr)
    final, reason = gate(original, enters, shut)
    side = _sides(final, settings)
    known = ~np.isnan(aim.value)
    return Stage2Result(
        symbols=panel.symbols,
        status=np.where(known, _DONE, _SKIPPED).astype(np.int8),
        scenario=scenario,
        scenario_scores=scores,
        direction=aim.value,
        confidence_raw=confidence,
        confidence_calibrated=np.full_like(close, np.nan),
        quality=trust,
        qualities=dict(zip(QUALITIES, qualities, strict=True)),
        factors=dict(zip(FACTORS, factors, strict=True)),
        contributions=dict(zip(FACTORS, aim.contributions, strict=True)),
        recommendation=final,
        reco_original=original,
        gate_reason=reason,
        side=side,
        is_signal=stage1.alert & (side != 0),
        **_plan_columns(plan),
        risk_class=danger,
        anomalies=anomalies(panel, readings, market, stage1.thresholds, cuts),
        levels=levels,
        context=context,
        tags=_tags(settings),
        grounds=Grounds(
            cuts, weights, rows, enters, np.stack([*shut.values()]), readings["bars_age"], config.risk.min_rr
        ),
    )


def _check(panel: BarPanel, readings: Readings, market: MarketSnapshot, stage1: Stage1Result) -> None:
    for name, part in (("readings", readings), ("market", market), ("stage1", stage1)):
        if part.symbols != panel.symbols:
            raise InvalidInput(f"{name} must hold the panel's {len(panel.symbols)} symbols, held {len(part.symbols)}")
    if readings.open_time_ms != panel.open_time_ms[-1]:
        raise InvalidInput(
            f"readings must be of the panel's last bar {panel.open_time_ms[-1]}, were of {readings.open_time_ms}"
        )


def _levels(panel: BarPanel, daily: BarPanel | None, readings: Readings, settings: Settings) -> Levels:
    profile = (readings["poc"], readings["vah"], readings["val"])
    previous_day = (readings["prev_day_high"], readings["prev_day_low"], readings["prev_day_close"])
    return price_levels(panel, daily, readings["atr"], profile, previous_day, settings.STAGE2_CONFIG.levels)


def _factors(readings: Readings, market: MarketSnapshot, context: Context, settings: Settings) -> F8:
    """Return the factors, NaN where they are switched off and for symbols without their last bar."""
    factors = directional_factors(readings, market, context)
    for index, name in enumerate(FACTORS):
        if not settings.STAGE2_CONFIG.switches.factors.get(name, True):
            factors[index] = np.nan
    factors[:, np.isnan(readings["close"])] = np.nan
    return factors


def _plan_columns(plan: Plan) -> dict[str, Any]:
    columns = {field.name: getattr(plan, field.name) for field in fields(plan)}
    return columns | {"plan_side": columns.pop("side")}


def _sides(reco: I1, settings: Settings) -> I1:
    """Return +1 for entries of ``BUY_SET``, -1 of ``SELL_SET``, 0 for any other; ``NONE`` takes the last place."""
    words = [(name in settings.BUY_SET) - (name in settings.SELL_SET) for name in RECOMMENDATIONS]
    return np.array([*words, 0], dtype=np.int8)[reco]


def _shut(plan: Plan, confidence: F8, readings: Readings, cuts: Cuts, min_rr: float) -> dict[str, B1]:
    """Return where each of `GATES` is shut, bool (S,), in their order."""
    return {
        "stale_data": ~(readings["bars_age"] == 0),
        "no_plan": plan.side == 0,
        "insufficient_rr": ~(plan.rr >= min_rr),
        "low_confidence": ~(confidence >= cuts.entry_confidence),
    }


def _tags(settings: Settings) -> dict[str, str]:
    return {
        "long": settings.TRIGGER_TP_SL_SWAP_LONG,
        "short": settings.TRIGGER_TP_SL_SWAP_SHORT,
        "signal": settings.TRIGGER_SIGNAL_GENERATED,
    }


def _nothing(symbols: tuple[str, ...], settings: Settings) -> Stage2Result:
    """Return the result of the switch being off: nothing known, nothing recommended."""
    size = len(symbols)
    blank, none, no = np.full(size, np.nan), np.full(size, NONE, dtype=np.int8), np.zeros(size, dtype=np.bool_)
    zero = np.zeros(size, dtype=np.int8)
    return Stage2Result(
        symbols=symbols,
        status=np.full(size, _OFF, dtype=np.int8),
        scenario=np.full(size, UNCERTAIN, dtype=np.int8),
        scenario_scores=np.full((size, len(SCENARIOS)), np.nan),
        direction=blank,
        confidence_raw=blank,
        confidence_calibrated=blank,
        quality=blank,
        qualities=dict.fromkeys(QUALITIES, blank),
        factors=dict.fromkeys(FACTORS, blank),
        contributions=dict.fromkeys(FACTORS, blank),
        recommendation=none,
        reco_original=none,
        gate_reason=none,
        side=zero,
        is_signal=no,
        plan_side=zero,
        entry=blank,
        sl=blank,
        tp=np.full((size, len(settings.STAGE2_CONFIG.risk.target_r)), np.nan),
        rr=blank,
        rr_mean=blank,
        swapped=no,
        risk_class=zero,
        anomalies=dict.fromkeys(ANOMALIES, no),
        levels=None,
        context=None,
        tags=_tags(settings),
    )


__all__ = ["Stage2Result", "run_stage2"]
