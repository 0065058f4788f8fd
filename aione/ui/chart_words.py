"""What is written on a chart: title, triggers, and the text of each line's label. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from aione.panel import MINUTE_MS
from aione.publish.payload import Asset, Level
from aione.ui.explain_words import term
from aione.ui.figures import decimal, duration, like, percent
from aione.ui.text import Locale, word


def figure_title(asset: Asset, locale: Locale) -> str:
    """Return symbol, scenario, recommendation and confidence; the state where there is no analysis."""
    if asset.market_context is None:
        return f"{asset.symbol}   {word(f'state.{asset.state}', locale)}"
    parts = [word(asset.market_context.scenario, locale)]
    if asset.recommendation is not None:
        held = ""
        if asset.reco_gate_reason is not None and asset.reco_original is not None:
            held = f" ‹ {word(asset.reco_original, locale)}: {term(f'gate.{asset.reco_gate_reason}', locale)}"
        parts.append(word(asset.recommendation, locale) + held)
    metrics = asset.confidence_metrics
    if metrics is not None:
        value = metrics.raw if metrics.calibrated is None else metrics.calibrated
        mark = "~" if metrics.calibrated is None else ""
        parts.append(f"{word('column.confidence', locale)} {mark}{decimal(value, 2)}")
    return f"{asset.symbol}   " + "  ·  ".join(parts)


def subtitle(asset: Asset, locale: Locale) -> str:
    """Return the price, what was read of it, and the triggers that fired at the last bar."""
    facts = [asset.price_str or like(asset.price, None)]
    for name, form in (("atr_frac", "%"), ("rsi", ""), ("volume_z", ""), ("evidence", "")):
        value = asset.stats.get(name)
        text = f"{percent(value, 3)} %" if form else decimal(value, 2 if name == "evidence" else 1)
        facts.append(f"{term(f'stat.{name}', locale)} {text}")
    fired = ", ".join(word(name, locale) for name in asset.trigger_reasons)
    first = f"{word(f'state.{asset.state}', locale)}  ·  " + "  ·  ".join(facts)
    return f"{first}\n{word('column.triggers', locale)}: {fired or term('chart.no_triggers', locale)}"


def level_note(level: Level, pattern: str | None, locale: Locale) -> str:
    """Return price, kind, touches and breaks, age and strength of a level in one short line.

    Examples
    --------
    >>> level = Level(price=101.5, kind="prev_day_high", tier="macro", touches=3, breaks=1, age_bars=130, strength=0.62)
    >>> level_note(level, "100.00", "en")
    '101.50  prev day high  ×3/1  2h  0.62'
    """
    visits = "" if level.touches is None else f"  ×{level.touches}" + (f"/{level.breaks}" if level.breaks else "")
    age = "" if not level.age_bars else f"  {duration(level.age_bars * MINUTE_MS)}"
    return f"{like(level.price, pattern)}  {term(level.kind, locale)}{visits}{age}  {decimal(level.strength, 2)}"


def note_heading(locale: Locale) -> str:
    """Return what the parts of a level's label are.

    Examples
    --------
    >>> note_heading("en")
    'price  level  ×touches/breaks  age  strength'
    """
    visits = f"×{term('touches', locale)}/{term('breaks', locale)}"
    words = (term("price", locale), term("level", locale), visits, term("age", locale), term("strength", locale))
    return "  ".join(words)


def plan_lines(asset: Asset) -> list[tuple[str, float]]:
    """Return the plan's lines: entry, SL and targets by name and price; those that are unknown left out."""
    plan = asset.risk_parameters
    if plan is None:
        return []
    lines = [("entry", plan.entry), ("sl", plan.sl)]
    lines += [(f"tp{number}", price) for number, price in enumerate(plan.tp, start=1)]
    return [(name, price) for name, price in lines if price is not None]


def stamp(ms: int, pattern: str = "%Y-%m-%d %H:%M") -> str:
    """Write a moment, UTC.

    Examples
    --------
    >>> stamp(1_747_742_461_000)
    '2025-05-20 12:01'
    """
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime(pattern)


__all__ = ["figure_title", "level_note", "note_heading", "plan_lines", "stamp", "subtitle"]
