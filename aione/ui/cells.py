"""One function a column: what the cell of an asset says, from its longest form to its shortest. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from aione.publish.payload import Asset
from aione.ui.figures import UNKNOWN, compact, decimal, duration, like, meter, percent
from aione.ui.text import Locale, word

Tone = Literal["", "dim", "strong", "good", "bad", "rise", "fall", "warn", "hot", "cool", "buy", "sell"]
Piece = tuple[str, Tone]
Form = tuple[Piece, ...]
Cell = tuple[Form, ...]
"""The forms of a cell, longest first; a layout takes the first that fits and cuts the last."""

QUOTE_ASSETS: Final = ("USDT", "USDC", "FDUSD", "BUSD")
METER_WIDTH: Final = 6

EMPTY: Final[Cell] = ((("", ""),),)


def is_first(asset: Asset) -> bool:
    """Return whether an asset stands with the alerts at the top of the table."""
    return asset.state == "alert" or asset.signal != "NONE"


def _move(asset: Asset, is_up: bool) -> Tone:
    """Return the tone of a move: bright where an alert asks for the eye, muted elsewhere."""
    if is_first(asset):
        return "good" if is_up else "bad"
    return "rise" if is_up else "fall"


def _one(text: str, tone: Tone = "") -> Cell:
    return (((text, "dim" if text == UNKNOWN else tone),),)


# ── Market ──


def _mark(asset: Asset, _locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    if asset.trade is not None:
        return _one("◆", "buy" if asset.trade.side == "long" else "sell")
    if asset.signal != "NONE":
        return _one("▲", "buy") if asset.signal == "ALERT_BUY" else _one("▼", "sell")
    marks: dict[str, Piece] = {
        "alert": ("●", "warn"),
        "no_data": ("∅", "dim"),
        "syncing": ("↻", "dim"),
        "init": ("…", "dim"),
        "error": ("✕", "bad"),
        "no_trade": ("–", "dim"),
    }
    return ((marks.get(asset.state, ("·", "dim")),),)


def _rank(asset: Asset, _locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    return EMPTY if asset.rank is None else _one(str(asset.rank), "dim")


def _symbol(asset: Asset, _locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    base, quote = asset.symbol, ""
    for name in QUOTE_ASSETS:
        if asset.symbol.endswith(name) and asset.symbol != name:
            base, quote = asset.symbol.removesuffix(name), name
    star: Form = (("*", "cool"),) if asset.is_manual else ()
    return ((base, "strong"), (quote, "dim"), *star), ((base, "strong"), *star)


def _price(asset: Asset, _locale: Locale, previous: float | None, _age_ms: int) -> Cell:
    tone: Tone = ""
    if asset.price is not None and previous is not None and asset.price != previous:
        tone = _move(asset, asset.price > previous)
    return _one(asset.price_str or like(asset.price, None), tone)


def _change(asset: Asset, _locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    change = asset.stats.get("change_24h_frac")
    return _one(percent(change, sign=True), "" if not change else _move(asset, change > 0))


def _quote_volume(asset: Asset, _locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    return _one(compact(asset.quote_volume))


def _volume(asset: Asset, _locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    return _one(compact(asset.volume))


def _relative_volume(asset: Asset, _locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    value = asset.stats.get("relative_volume")
    return _one(UNKNOWN if value is None else f"{value:.1f}x", "warn" if (value or 0.0) >= 1.5 else "")


def _rsi(asset: Asset, _locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    value = asset.stats.get("rsi")
    high, low = asset.thresholds.get("rsi_overbought") or 70.0, asset.thresholds.get("rsi_oversold") or 30.0
    tone: Tone = "" if value is None else "hot" if value >= high else "cool" if value <= low else ""
    return _one(decimal(value, 0), tone)


def _volume_z(asset: Asset, _locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    value = asset.stats.get("volume_z")
    threshold = asset.thresholds.get("volume_z") or 2.5
    return _one(decimal(value, 1, sign=True), "warn" if value is not None and value >= threshold else "")


def _atr(asset: Asset, _locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    return _one(percent(asset.stats.get("atr_frac")))


def _age(asset: Asset, _locale: Locale, _previous: float | None, age_ms: int) -> Cell:
    """The time since the symbol's newest bar closed; more than two cycles is a warning."""
    if asset.data_age_ms is None:
        return _one(UNKNOWN)
    total = asset.data_age_ms + age_ms
    return _one(duration(total), "warn" if total > 150_000 else "dim")


# ── Signals ──


def _triggers(asset: Asset, locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    """All names, then ever fewer and the count of those left out; a symbol without data says why instead."""
    if not asset.trigger_reasons:
        return _one(word(f"state.{asset.state}", locale), "dim") if asset.state not in {"normal", "alert"} else EMPTY
    names = [word(name, locale) for name in asset.trigger_reasons]
    ladder: list[Form] = [
        ((" · ".join(names[:count]), ""), *(((f" +{len(names) - count}", "dim"),) if count < len(names) else ()))
        for count in range(len(names), 0, -1)
    ]
    return (*ladder, ((names[0], ""),))


def _scenario(asset: Asset, locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    if asset.market_context is None:
        return EMPTY
    name = asset.market_context.scenario
    tone: Tone = "dim"
    if name in {"HIGH_VOLATILITY", "MANIPULATED"}:
        tone = "warn"
    elif is_first(asset) and name.startswith("B"):
        tone = "good" if name.startswith("BULL") else "bad"
    return _one(word(name, locale), tone)


def _recommendation(asset: Asset, locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    """The recommendation; behind it, dimmed, what it was before a gate."""
    if asset.recommendation is None:
        return EMPTY
    tone: Tone = "buy" if asset.signal == "ALERT_BUY" else "sell" if asset.signal == "ALERT_SELL" else "dim"
    piece: Piece = (word(asset.recommendation, locale), tone)
    original = asset.reco_original
    if original is None or original == asset.recommendation:
        return ((piece,),)
    return (piece, (f" ‹ {word(original, locale)}", "dim")), (piece,)


def _confidence(asset: Asset, _locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    """Percent and a meter; ``~`` marks a confidence that no calibration stands behind."""
    metrics = asset.confidence_metrics
    value = None if metrics is None else metrics.raw if metrics.calibrated is None else metrics.calibrated
    if metrics is None or value is None:
        return EMPTY
    tone: Tone = "buy" if asset.signal == "ALERT_BUY" else "sell" if asset.signal == "ALERT_SELL" else "dim"
    sign = "~" if metrics.calibrated is None or metrics.calibration == "uncalibrated" else ""
    number = f"{sign}{percent(value, 0)}".rjust(3)
    return ((number, tone), (f" {meter(value, METER_WIDTH)}", tone)), ((number, tone),)


def _side(asset: Asset, locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    side = asset.trade.side if asset.trade is not None else asset.risk_parameters and asset.risk_parameters.side
    return _one(word(side, locale), "buy" if side == "long" else "sell") if side else EMPTY


def _sl(asset: Asset, _locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    plan = asset.trade or asset.risk_parameters
    return _one(like(plan.sl, asset.price_str)) if plan else EMPTY


def _tp(asset: Asset, _locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    plan = asset.trade or asset.risk_parameters
    return _one(like(plan.tp[0], asset.price_str)) if plan and plan.tp else EMPTY


def _rr(asset: Asset, _locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    return _one(decimal(asset.risk_parameters.rr)) if asset.risk_parameters else EMPTY


def _trade(asset: Asset, _locale: Locale, _previous: float | None, _age_ms: int) -> Cell:
    if asset.trade is None:
        return EMPTY
    value = asset.trade.unrealised_r
    tone: Tone = "" if not value else "good" if value > 0 else "bad"
    return _one(UNKNOWN if value is None else f"{decimal(value, 2, sign=True)}R", tone)


CELLS: Final[dict[str, Callable[[Asset, Locale, float | None, int], Cell]]] = {
    "mark": _mark,
    "rank": _rank,
    "symbol": _symbol,
    "price": _price,
    "change": _change,
    "quote_volume": _quote_volume,
    "volume": _volume,
    "relative_volume": _relative_volume,
    "rsi": _rsi,
    "volume_z": _volume_z,
    "atr": _atr,
    "triggers": _triggers,
    "scenario": _scenario,
    "recommendation": _recommendation,
    "confidence": _confidence,
    "side": _side,
    "sl": _sl,
    "tp": _tp,
    "rr": _rr,
    "trade": _trade,
    "age": _age,
}

__all__ = ["CELLS", "EMPTY", "Cell", "Form", "Piece", "Tone", "is_first"]
