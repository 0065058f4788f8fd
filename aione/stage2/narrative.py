"""A symbol's situation in one short paragraph, in English and Ukrainian, made from the payload's own facts.

Every number in it stands in the payload: prices as the tick writes them, reward to risk and confidence as they are
there. The text never says more than the facts: where a fact is unknown, its sentence is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aione.prices import format_price
from aione.stage2.scenarios import SCENARIO_SIDES

_SCENARIO: Final = {
    "BULLISH_BREAKOUT": ("a breakout upwards", "пробій угору"),
    "BEARISH_BREAKDOWN": ("a breakdown", "пробій донизу"),
    "BULLISH_REVERSAL": ("a turn upwards", "розворот угору"),
    "BEARISH_REVERSAL": ("a turn downwards", "розворот донизу"),
    "BULLISH_CONTROL": ("buyers in control", "контроль покупців"),
    "BEARISH_CONTROL": ("sellers in control", "контроль продавців"),
    "RANGE_BOUND": ("a range", "рух у діапазоні"),
    "HIGH_VOLATILITY": ("high volatility without direction", "висока волатильність без напрямку"),
    "MANIPULATED": ("signs of manipulation", "ознаки маніпуляції"),
    "UNCERTAIN": ("no clear scenario", "немає чіткого сценарію"),
}
# In Ukrainian in the accusative, for they stand after "через".
_FACTOR: Final = {
    "trend": ("trend", "тренд"),
    "momentum": ("momentum", "імпульс"),
    "flow": ("taker flow", "потік тейкерів"),
    "breakout": ("the break of the range", "вихід із діапазону"),
    "location": ("room to the next level", "простір до наступного рівня"),
    "vwap": ("the stretch from VWAP", "відхилення від VWAP"),
    "divergence": ("RSI divergence", "дивергенцію RSI"),
    "open_interest": ("open interest", "відкритий інтерес"),
    "market": ("the market as a whole", "ринок загалом"),
}
_RECOMMENDATION: Final = {
    "STRONG_BUY": ("strong buy", "впевнена купівля"),
    "BUY_IN_DIPS": ("buy in dips", "купувати на просіданнях"),
    "HOLD": ("hold", "тримати без змін"),
    "RANGE_TRADE": ("trade the range", "торгувати діапазон"),
    "WAIT_FOR_CONFIRMATION": ("wait for confirmation", "чекати підтвердження"),
    "SELL_ON_RALLIES": ("sell on rallies", "продавати на відскоках"),
    "STRONG_SELL": ("strong sell", "впевнений продаж"),
    "AVOID": ("avoid", "уникати"),
    "AVOID_HIGH_RISK": ("avoid, the risk is too high", "уникати, ризик зависокий"),
}
_GATE: Final = {
    "stale_data": ("the data is late", "дані запізнюються"),
    "no_plan": ("no sound plan can be made", "немає придатного плану"),
    "insufficient_rr": ("too little reward for the risk after costs", "замала винагорода за ризик після витрат"),
    "low_confidence": ("the confidence is low", "впевненість низька"),
}
_RISK: Final = {
    "low": ("low", "низький"),
    "medium": ("medium", "помірний"),
    "high": ("high", "високий"),
    "extreme": ("extreme", "надзвичайний"),
}
_SIDE: Final = {"long": ("Long", "Лонг"), "short": ("Short", "Шорт")}
_WAY: Final = {1: ("up", "угору"), -1: ("down", "донизу")}

_TEXTS: Final = (
    {
        "head": "{symbol}: {scenario}",
        "why": ", mostly because of {factors}",
        "lean": "; the sum leans {side} through {factors}",
        "support": "Support at {price}",
        "resistance": "Resistance at {price}",
        "both": "Support at {support}, resistance at {resistance}",
        "advice": "Recommendation: {reco}",
        "held": " (instead of {original}: {gate})",
        "plan": "{side} from {entry}, stop {sl}, targets {targets}, reward to risk {rr}",
        "risk": "Risk {risk}, confidence {confidence}",
        "risk_alone": "Risk {risk}",
        "raw": " (not calibrated)",
    },
    {
        "head": "{symbol}: {scenario}",
        "why": ", передусім через {factors}",
        "lean": "; у сумі схиляється {side} через {factors}",
        "support": "Підтримка на {price}",
        "resistance": "Опір на {price}",
        "both": "Підтримка на {support}, опір на {resistance}",
        "advice": "Рекомендація: {reco}",
        "held": " (замість «{original}»: {gate})",
        "plan": "{side} від {entry}, стоп {sl}, цілі {targets}, винагорода до ризику {rr}",
        "risk": "Ризик {risk}, впевненість {confidence}",
        "risk_alone": "Ризик {risk}",
        "raw": " (не калібрована)",
    },
)


def narrative(view: Mapping[str, Any], symbol: str, tick_size: float) -> dict[str, str]:
    """Return ``{"en": ..., "uk": ...}`` for one symbol's view (`aione.stage2.view.asset_view`)."""
    return {locale: _paragraph(view, symbol, tick_size, index) for index, locale in enumerate(("en", "uk"))}


def _paragraph(view: Mapping[str, Any], symbol: str, tick_size: float, lang: int) -> str:
    text = _TEXTS[lang]
    scenario = view["market_context"]["scenario"]
    head = text["head"].format(symbol=symbol, scenario=_SCENARIO[scenario][lang])
    side, reasons = _reasons(view)
    if reasons:
        joined = (" and ", " і ")[lang].join(_FACTOR[name][lang] for name in reasons)
        form = "why" if side == SCENARIO_SIDES[scenario] else "lean"
        head += text[form].format(factors=joined, side=_WAY[side][lang])
    sentences = [
        head,
        _levels(view["market_context"]["key_levels"], tick_size, text),
        _advice(view, text, lang),
        _plan(view["risk_parameters"], tick_size, text, lang),
        _risk(view["confidence_metrics"], text, lang),
    ]
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def _reasons(view: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Return the direction's side, and the one or two factors that add most to it; 0 and none without a direction.

    They are the reasons of a scenario of that side. Of any other they are not, and must not be told as such.
    """
    direction = view["confidence_metrics"]["direction"] or 0.0
    parts = {name: value for name, value in view["contributions"].items() if value and value * direction > 0}
    return (direction > 0) - (direction < 0), sorted(parts, key=lambda name: (-abs(parts[name]), name))[:2]


def _levels(key_levels: Mapping[str, Any], tick_size: float, text: Mapping[str, str]) -> str:
    support = format_price(key_levels.get("immediate_support"), tick_size)
    resistance = format_price(key_levels.get("immediate_resistance"), tick_size)
    if support and resistance:
        return text["both"].format(support=support, resistance=resistance)
    if support:
        return text["support"].format(price=support)
    return text["resistance"].format(price=resistance) if resistance else ""


def _advice(view: Mapping[str, Any], text: Mapping[str, str], lang: int) -> str:
    sentence = text["advice"].format(reco=_RECOMMENDATION[view["recommendation"]][lang])
    if view["reco_gate_reason"]:
        original, gate = _RECOMMENDATION[view["reco_original"]][lang], _GATE[view["reco_gate_reason"]][lang]
        sentence += text["held"].format(original=original, gate=gate)
    return sentence


def _plan(plan: Mapping[str, Any] | None, tick_size: float, text: Mapping[str, str], lang: int) -> str:
    if plan is None:
        return ""
    targets = " / ".join(str(format_price(target, tick_size)) for target in plan["tp"])
    entry, sl = format_price(plan["entry"], tick_size), format_price(plan["sl"], tick_size)
    return text["plan"].format(side=_SIDE[plan["side"]][lang], entry=entry, sl=sl, targets=targets, rr=plan["rr"])


def _risk(metrics: Mapping[str, Any], text: Mapping[str, str], lang: int) -> str:
    risk, confidence = _RISK[metrics["risk_class"]][lang], metrics["raw"]
    if confidence is None:
        return text["risk_alone"].format(risk=risk)
    if metrics["calibrated"] is None:
        return text["risk"].format(risk=risk, confidence=confidence) + text["raw"]
    return text["risk"].format(risk=risk, confidence=metrics["calibrated"])


__all__ = ["narrative"]
