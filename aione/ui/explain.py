"""`explain_text`: why a symbol is what it is, for a person. Pure: no I/O, no clock.

The first lines answer; the sections below them prove the answer, with every value beside its threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import Final

from aione.panel import MINUTE_MS
from aione.publish.payload import Asset, Meta
from aione.ui.chart_words import stamp
from aione.ui.columns_text import number
from aione.ui.explain_parts import (
    age_lines,
    alert_lines,
    gap_to_fire,
    level_lines,
    plan_text,
    recommendation_lines,
    scenario_lines,
    trigger_lines,
)
from aione.ui.explain_words import term
from aione.ui.figures import decimal, duration
from aione.ui.text import Locale, word

WIDTH: Final = 110
"""Of the narrative."""

CEILINGS: Final = frozenset({"spread"})
"""Filters that drop what is above their threshold; the others drop what is below."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the universe does not hold a symbol that the exchange lists: the check's code and what it found."""

    code: str
    value: str | float


@dataclass(frozen=True, slots=True)
class Explained:
    """What an explanation is made of.

    Attributes
    ----------
    symbol : str
    meta : Meta
        Of the published state.
    asset : Asset, optional
        None where the state does not hold the symbol; then ``refusal`` says why.
    refusal : Refusal, optional
    """

    symbol: str
    meta: Meta
    asset: Asset | None = None
    refusal: Refusal | None = None


def explain_text(explained: Explained, locale: Locale, now_ms: int | None = None) -> str:
    """Return the explanation as lines of text; ``now_ms`` tells how long ago the state was published."""
    meta, asset = explained.meta, explained.asset
    lines = [_headline(explained, locale), f"  {_moment(meta, locale, now_ms)}", ""]
    if asset is None:
        return "\n".join([*lines[:2], *(f"  {line}" for line in _refused(explained.refusal, locale))])
    lines += [f"  {line}" for line in answers(asset, meta, locale)]
    story = None if asset.narrative is None else getattr(asset.narrative, locale)
    lines += wrap(story, WIDTH, initial_indent="  ", subsequent_indent="  ") if story else []
    for name, found in (
        ("alert", alert_lines(asset, locale)),
        ("triggers", trigger_lines(asset, locale)),
        ("scenario", scenario_lines(asset, locale)),
        ("recommendation", recommendation_lines(asset, locale)),
        ("plan", plan_text(asset, locale)),
        ("levels", level_lines(asset, locale)),
        ("data", age_lines(asset, locale)),
    ):
        if found:
            lines += ["", term(f"section.{name}", locale).upper(), *found]
    if meta.warnings:
        lines += ["", term("section.warnings", locale).upper(), *(f"  {warning}" for warning in meta.warnings)]
    return "\n".join(lines)


def answers(asset: Asset, meta: Meta, locale: Locale) -> list[str]:
    """Return the answer itself, a sentence a line: why this, why nothing, why dropped, why no trade."""
    found = []
    if asset.state == "no_trade":
        found.append(_dropped(asset, locale))
    elif asset.quarantine is not None and asset.state == "error":
        entry = asset.quarantine
        at = f"{term('why.since', locale)} {stamp(entry.since_ms)} UTC"
        found.append(f"{term('answer.quarantine', locale)} {at}: {entry.rule}, {entry.detail}")
    elif asset.state in {"no_data", "syncing", "error", "init"}:
        found.append(term(f"answer.{asset.state}", locale))
    elif asset.state == "normal":
        found += _no_alert(asset, locale)
    else:
        found.append(_alerted(asset, locale))
    held = _held(asset, locale)
    found += [held] if held else []
    if asset.signal != "NONE" and asset.trade is None:
        found.append(term("answer.no_trade_yet", locale))
    if asset.trade is not None:
        trade = asset.trade
        r = decimal(trade.unrealised_r, 2, sign=True)
        found.append(f"{term('answer.trade', locale)} {word(trade.side, locale)} {trade.state}, {r} R")
    elif asset.state in {"normal", "alert"} and asset.signal == "NONE":
        found.append(f"{term('answer.no_trade', locale)}: {_no_trade_reason(asset, locale)}")
    if meta.stale:
        found.append(word("stale", locale))
    return found


def _headline(explained: Explained, locale: Locale) -> str:
    asset = explained.asset
    if asset is None:
        return f"{explained.symbol}  {term('answer.not_in_universe', locale)}"
    parts = [explained.symbol, word(f"state.{asset.state}", locale)]
    if asset.signal != "NONE":
        parts.append(word("long" if asset.signal == "ALERT_BUY" else "short", locale))
    if asset.price_str is not None:
        parts.append(asset.price_str)
    if asset.market_context is not None:
        parts.append(word(asset.market_context.scenario, locale))
    if asset.recommendation is not None:
        parts.append(word(asset.recommendation, locale))
    if asset.rank is not None:
        parts.append(f"#{asset.rank}")
    return "  ".join(parts)


def _moment(meta: Meta, locale: Locale, now_ms: int | None) -> str:
    closed = f"{term('why.closed_at', locale)} {stamp(meta.bar_time_ms + MINUTE_MS)} UTC"
    ago = (
        ""
        if now_ms is None
        else f", {term('why.published', locale)} {duration(now_ms - meta.ts)} {term('why.ago', locale)}"
    )
    return f"{closed}{ago}  ({meta.source}, {word('seq', locale)} {meta.seq})"


def _refused(refusal: Refusal | None, locale: Locale) -> list[str]:
    if refusal is None:
        return [term("answer.not_published", locale)]
    return [f"{term('answer.refused', locale)}: {term(f'universe.{refusal.code}', locale)} = {refusal.value}"]


def _dropped(asset: Asset, locale: Locale) -> str:
    verdict = asset.prefilter
    if verdict is None or verdict.reason is None:
        return term("answer.not_screened", locale)
    reason = verdict.reason.removesuffix("_unknown")
    head = f"{term('answer.dropped', locale)}: {term(f'filter.{reason}', locale)}"
    if verdict.reason != reason:
        return f"{head} {term('why.unknown', locale)} ({term('why.threshold', locale)} {number(verdict.threshold)})"
    if isinstance(verdict.value, str) or isinstance(verdict.threshold, str):
        return f"{head} {number(verdict.value)}, {term('why.needed', locale)} {number(verdict.threshold)}"
    sign = ">" if reason in CEILINGS else "<"
    return f"{head} {number(verdict.value)} {sign} {number(verdict.threshold)}"


def _no_alert(asset: Asset, locale: Locale) -> list[str]:
    why = None if asset.explain is None else asset.explain.stage1
    if why is None:
        return [term("answer.no_alert", locale)]
    compared = f"{term('why.evidence', locale)} {number(why.evidence)} < {number(why.alert_on)}"
    found = [f"{term('answer.no_alert', locale)}: {compared}"]
    quiet = sorted((one for one in why.triggers if not one.fired), key=gap_to_fire)
    nearest = [one for one in quiet if 0.0 < gap_to_fire(one) < float("inf")][:3]
    if nearest:
        texts = [f"{word(one.name, locale)} {number(one.value)} → {number(one.threshold)}" for one in nearest]
        found.append(f"{term('answer.nearest', locale)}: {', '.join(texts)}")
    if why.gated:
        found.append(term("answer.gated", locale))
    return found


def _alerted(asset: Asset, locale: Locale) -> str:
    why = None if asset.explain is None else asset.explain.stage1
    fired = ", ".join(word(name, locale) for name in asset.trigger_reasons) or term("chart.no_triggers", locale)
    if why is None or why.evidence is None or why.alert_on is None:
        return f"{term('answer.alert', locale)}: {fired}"
    limit = why.alert_on if why.evidence >= why.alert_on else why.alert_off
    sign = "≥" if limit is None or why.evidence >= limit else "<"
    compared = f"{term('why.evidence', locale)} {number(why.evidence)} {sign} {number(limit)}"
    return f"{term('answer.alert', locale)}: {compared} ({fired})"


def _held(asset: Asset, locale: Locale) -> str | None:
    """Return which gate turned an entry into waiting, with its value and threshold."""
    if asset.reco_gate_reason is None or asset.reco_original is None:
        return None
    why = None if asset.explain is None else asset.explain.stage2
    gates = [] if why is None else [gate for gate in why.gates if gate.name == asset.reco_gate_reason]
    told = term(f"gate.{asset.reco_gate_reason}", locale)
    if gates and gates[0].threshold is not None:
        told += f" {number(gates[0].value)}, {term('why.needed', locale)} {number(gates[0].threshold)}"
    return f"{word(asset.reco_original, locale)} {term('answer.held', locale)}: {told}"


def _no_trade_reason(asset: Asset, locale: Locale) -> str:
    if asset.state != "alert":
        return term("answer.because_no_alert", locale)
    if asset.reco_gate_reason is not None:
        return term("answer.because_held", locale)
    return f"{term('answer.because_reco', locale)} {word(asset.recommendation or 'AVOID', locale)}"


__all__ = ["Explained", "Refusal", "answers", "explain_text"]
