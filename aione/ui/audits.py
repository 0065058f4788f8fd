"""Audits in words: the look-ahead audit for a terminal, all of them as pages for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from math import isnan
from typing import Any, Final

from aione.evaluate.agreement import WITHIN, Agreement, ProfileShare
from aione.evaluate.compare import Difference
from aione.evaluate.lookahead import LookaheadReport
from aione.evaluate.warmup import WarmupReport, WarmupRow

SHOWN: Final = 20

_CHECKS: Final = {
    "future": "every later minute and day is in the panels",
    "random": "the future is another market's prices",
    "unknown": "the future is NaN",
    "huge": "the future is 1e300",
    "forming_day": "the daily bars end with the running day, as an exchange returns it",
    "guarded": "garbage before and behind every array, the symbols in another order",
    "series": "one call of each series function over all bars, against the reading of each bar (to 1e-9)",
    "averages": "averages of higher timeframes called anew for each bar",
    "prefix": "each series function over the first part, against the first part of the whole",
}


# ── Look-ahead ──


def lookahead_text(report: LookaheadReport) -> str:
    """Return the report as lines for a terminal: what was compared, and the first differences by name."""
    span = f"{_moment(report.first_ms)} to {_moment(report.last_ms)} UTC"
    lines = [f"look-ahead audit: {len(report.symbols)} symbols, {report.bars:,} bars, {span}, {report.seconds:.0f} s"]
    for tally in report.checks:
        values, known = sum(tally.values.values()), sum(tally.known.values())
        lines.append(f"  {tally.check:12} {values:>12,} values ({known:,} known)  {tally.differences:,} differences")
    if report.never_known:
        lines.append(f"  never known, so nothing is shown of: {', '.join(report.never_known)}")
    lines += [difference_text(one) for one in report.shown[:SHOWN]]
    verdict = "nothing that was said depends on the future" if not report.differences else "THE FUTURE IS SEEN"
    return "\n".join([*lines, f"{report.differences:,} differences: {verdict}"])


def difference_text(one: Difference) -> str:
    """Return one difference: what, whose, when, and both values."""
    return (
        f"  {one.check}: {one.kind} {one.name} of {one.symbol} at {_moment(one.open_time_ms)}:"
        f" {one.expected!r} without the future, {one.found!r} with it"
    )


def lookahead_facts(report: LookaheadReport) -> dict[str, Any]:
    """Return the report in plain values, ready for JSON; unknown numbers are None."""
    return {
        "symbols": list(report.symbols),
        "bars": report.bars,
        "first_ms": report.first_ms,
        "last_ms": report.last_ms,
        "seconds": round(report.seconds, 1),
        "differences": report.differences,
        "checks": {
            tally.check: {
                "values": dict(tally.values),
                "known": dict(tally.known),
                "differences": tally.differences,
            }
            for tally in report.checks
        },
        "never_known": list(report.never_known),
        "columns": dict(report.columns),
        "shown": [{name: _plain(value) for name, value in asdict(one).items()} for one in report.shown],
    }


def lookahead_page(report: LookaheadReport) -> str:
    """Return the report as Markdown."""
    rows = [
        [
            f"`{tally.check}`",
            _CHECKS[tally.check],
            f"{sum(tally.values.values()):,}",
            f"{sum(tally.known.values()):,}",
            f"**{tally.differences:,}**",
        ]
        for tally in report.checks
    ]
    first = report.checks[0]
    kinds = [[kind, f"{n}", f"{first.values[kind]:,}", f"{first.known[kind]:,}"] for kind, n in report.columns.items()]
    whole = sum(1 for tally in report.checks if tally.values["trigger"])
    never = ", ".join(f"`{name}`" for name in report.never_known) or "none"
    span = f"{_moment(report.first_ms)} to {_moment(report.last_ms)} UTC"
    return "\n\n".join(
        [
            _LOOKAHEAD.format(symbols=len(report.symbols), bars=report.bars, span=span),
            _table(["check", "what is there", "values compared", "known", "differences"], rows),
            f"Each of the first {whole} checks compares, byte by byte:",
            _table(["kind", "columns", "values", "known"], kinds),
            _STANDINS.format(never=never),
            *(["**These differ**, the first of them:", _listed(report.shown)] if report.differences else []),
        ]
    )


def _listed(differences: Sequence[Difference]) -> str:
    return "\n".join(f"-{difference_text(one)[1:]}" for one in differences[:SHOWN])


_LOOKAHEAD: Final = (
    "{symbols} symbols, {bars:,} bars from {span}. What the engine says of each bar when nothing later exists is laid"
    " beside what it says when the future can be seen in one of these ways."
)
_STANDINS: Final = (
    "Never known here, so nothing is shown of them: {never}. Taker volume, order book and open interest, which the"
    " recording lacks, are drawn (`aione.evaluate.standins`) so that every trigger and every factor has inputs."
)


# ── Agreement ──


def agreement_table(rows: Sequence[Agreement]) -> str:
    """Return comparisons as a Markdown table."""
    cells = [
        [
            f"`{row.name}`",
            row.data,
            f"{row.compared:,}",
            str(row.after_bars) if row.after_bars else "",
            "" if row.agrees_from is None else str(row.agrees_from),
            f"{row.largest:.1e}",
            f"{row.largest_frac:.1e}",
            row.where if row.largest_frac else "",
            "yes" if row.agrees else "**no**",
        ]
        for row in rows
    ]
    heads = ["", "data", "values", "after bar", "1e-9 from bar", "largest", "relative", "where", f"within {WITHIN:g}"]
    return _table(heads, cells)


def profile_table(rows: Sequence[ProfileShare]) -> str:
    """Return how often the volume profile is the oracles', as a Markdown table."""
    cells = [
        [
            f"`{row.name}`",
            row.data,
            f"{row.compared:,}",
            f"{row.same_frac:.2%}",
            f"{row.exact_frac:.1%}",
            f"{row.largest_bins:.0f}",
        ]
        for row in rows
    ]
    heads = ["", "data", "values", f"the same to {WITHIN:g}", "exactly laid: in the same bin", "bins apart at most"]
    return _table(heads, cells)


# ── Warm-up ──


def warmup_page(report: WarmupReport) -> str:
    """Return the warm-up audit as Markdown: readings with what they need, then what follows from short history."""
    readings = [row for row in report.rows if row.kind == "indicator"]
    others = [row for row in report.rows if row.kind != "indicator" and not _is_same(row)]
    same = sum(1 for row in report.rows if row.kind != "indicator" and _is_same(row))
    heads = [
        "",
        "declared",
        f"measured: same as {report.usual} bars from",
        f"with {report.short} bars",
        f"{report.long:,} bars instead of {report.usual}",
    ]
    cells = [
        [
            f"`{row.name}`",
            "" if row.declared_bars is None else f"{row.declared_bars:,}",
            "" if row.agrees_from is None else f"{row.agrees_from:,}",
            _short(row),
            _beyond(row),
        ]
        for row in readings
    ]
    told = [[row.kind, f"`{row.name}`", _short(row), _beyond(row)] for row in others]
    return "\n\n".join(
        [
            _SAME.format(bars=report.bars, symbols=report.symbols),
            _table(heads, cells),
            f"What is made of the readings: {same} columns are the same with {report.short} bars. These are not:",
            _table(["kind", "", heads[3], heads[4]], told),
            _LATE.format(names=", ".join(f"`{name}`" for name in report.late_differs) or "nothing"),
        ]
    )


_SAME: Final = (
    "{bars} bars of {symbols} symbols; two values are the same when they agree to 1e-9. A relative difference is one to"
    " the value, or to the symbol's usual one where that is larger."
)
_LATE: Final = (
    "A symbol that was listed late lies in an array of the usual length whose beginning is missing. That gives another"
    " result than a short array for: {names}."
)


def _is_same(row: WarmupRow) -> bool:
    return not row.unknown_frac and not row.differs_frac and not row.beyond_differs_frac


def _short(row: WarmupRow) -> str:
    parts = []
    if row.unknown_frac:
        parts.append(f"unknown {row.unknown_frac:.1%}")
    if row.differs_frac:
        parts.append(f"differs {row.differs_frac:.1%}{_by(row.largest_frac)}")
    return ", ".join(parts) or "same"


def _beyond(row: WarmupRow) -> str:
    return f"differs {row.beyond_differs_frac:.1%}{_by(row.beyond_frac)}" if row.beyond_differs_frac else "same"


def _by(largest: float) -> str:
    return "" if isnan(largest) else f", by {largest:.1e} at most"


# ── Parts ──


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _moment(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and isnan(value) else value


__all__ = [
    "agreement_table",
    "difference_text",
    "lookahead_facts",
    "lookahead_page",
    "lookahead_text",
    "profile_table",
    "warmup_page",
]
