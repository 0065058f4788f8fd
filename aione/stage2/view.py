"""One symbol's part of the payload: JSON-able, every number finite or None, every price on the tick."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from aione.errors import InvalidInput
from aione.prices import round_to_tick
from aione.stage2.confidence import UNCALIBRATED
from aione.stage2.level_kernel import FIRST_MACRO, FIRST_MESO, LEVEL_KINDS
from aione.stage2.narrative import narrative
from aione.stage2.recommend import GATES
from aione.stage2.risk import RISK_CLASSES
from aione.stage2.scenarios import SCENARIOS
from config.settings import RECOMMENDATIONS

if TYPE_CHECKING:
    from aione.stage2.result import Stage2Result


def asset_view(result: Stage2Result, row: int, tick_size: float) -> dict[str, Any]:
    """Return one symbol's analysis as the payload shows it.

    Parameters
    ----------
    result : Stage2Result
    row : int
    tick_size : float
        Quote per base; every price is rounded to it.

    Returns
    -------
    dict
        ``status, recommendation, reco_original, reco_gate_reason, market_context, confidence_metrics, contributions,
        risk_parameters, anomaly_detection, narrative``. ``risk_parameters`` is None where there is no plan; a plan
        whose entry a gate holds back is shown.
    """
    if not tick_size > 0:
        raise InvalidInput(f"tick_size must be above 0, was {tick_size}")
    original, reason = int(result.reco_original[row]), int(result.gate_reason[row])
    is_on = result.status_name(row) == "DONE"
    view: dict[str, Any] = {
        "status": result.status_name(row).lower(),
        "recommendation": result.recommendation_name(row),
        "reco_original": None if original < 0 else RECOMMENDATIONS[original],
        "reco_gate_reason": None if reason < 0 else GATES[reason],
        "market_context": _context(result, row, tick_size) if is_on else None,
        "confidence_metrics": _confidence(result, row) if is_on else None,
        "contributions": _numbers(result.contributions, row),
        "risk_parameters": _risk(result, row, tick_size),
        "anomaly_detection": {name: bool(column[row]) for name, column in result.anomalies.items()},
    }
    view["narrative"] = narrative(view, result.symbols[row], tick_size) if is_on else {"en": "", "uk": ""}
    return view


def _context(result: Stage2Result, row: int, tick_size: float) -> dict[str, Any]:
    context, scores = result.context, result.scenario_scores[row]
    key_levels: dict[str, Any] = {}
    if context is not None:
        support, resistance = (_price(column[row], tick_size) for column in (context.support, context.resistance))
        key_levels = {
            "immediate_support": support,
            "immediate_resistance": resistance,
            "next_major_support": _price(context.major_support[row], tick_size),
            "next_major_resistance": _price(context.major_resistance[row], tick_size),
            "band": None if support is None or resistance is None else [support, resistance],
            "band_frac": _number(context.band_frac[row]),
            "room_down_atr": _number(context.room_down_atr[row]),
            "room_up_atr": _number(context.room_up_atr[row]),
        }
    return {
        "scenario": result.scenario_name(row),
        "scenario_scores": {name: _number(score) for name, score in zip(SCENARIOS, scores, strict=True)},
        "key_levels": key_levels,
        "key_levels_meta": _levels(result, row, tick_size),
    }


def _levels(result: Stage2Result, row: int, tick_size: float) -> list[dict[str, Any]]:
    levels = result.levels
    if levels is None:
        return []
    columns = (levels.price, levels.kind, levels.touches, levels.breaks, levels.age_bars, levels.strength)
    return [
        {
            "price": _price(price, tick_size),
            "kind": LEVEL_KINDS[kind],
            "tier": _tier(kind),
            "touches": touches,
            "breaks": breaks,
            "age_bars": int(age_bars),
            "strength": _number(strength, 3),
        }
        for price, kind, touches, breaks, age_bars, strength in zip(*(c[row].tolist() for c in columns), strict=True)
        if kind >= 0
    ]


def _confidence(result: Stage2Result, row: int) -> dict[str, Any]:
    qualities = _numbers(result.qualities, row)
    factors = _numbers(result.factors, row)
    calibrated = _number(result.confidence_calibrated[row], 3)
    return {
        "raw": _number(result.confidence_raw[row], 3),
        "calibrated": calibrated,
        "calibration": UNCALIBRATED if calibrated is None else "calibrated",
        "direction": _number(result.direction[row]),
        "quality": qualities | {"overall": _number(result.quality[row])},
        "factors": factors,
        "risk_class": RISK_CLASSES[result.risk_class[row]],
        "unknown": [name for name, value in (factors | qualities).items() if value is None],
    }


def _risk(result: Stage2Result, row: int, tick_size: float) -> dict[str, Any] | None:
    side = int(result.plan_side[row])
    if side == 0:
        return None
    word = "long" if side > 0 else "short"
    tags = [result.tags[word]] if result.swapped[row] else []
    if result.is_signal[row]:
        tags.append(result.tags["signal"])
    return {
        "side": word,
        "entry": _price(result.entry[row], tick_size),
        "sl": _price(result.sl[row], tick_size),
        "tp": [_price(target, tick_size) for target in result.tp[row]],
        "rr": _number(result.rr[row], 2),
        "rr_mean": _number(result.rr_mean[row], 2),
        "risk_class": RISK_CLASSES[result.risk_class[row]],
        "tags": tags,
    }


def _tier(kind: int) -> str:
    if kind < FIRST_MESO:
        return "micro"
    return "meso" if kind < FIRST_MACRO else "macro"


def _numbers(columns: Mapping[str, Any], row: int) -> dict[str, float | None]:
    return {name: _number(column[row]) for name, column in columns.items()}


def _number(value: float, digits: int = 6) -> float | None:
    """Return a plain float of so many digits after the point; None where it is unknown."""
    return round(float(value), digits) + 0.0 if isfinite(value) else None


def _price(value: float, tick_size: float) -> float | None:
    return round_to_tick(float(value), tick_size) if isfinite(value) else None


__all__ = ["asset_view"]
