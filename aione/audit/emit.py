"""From results to events: pure, so that what is logged can be told without a bus.

One pass over a minute's results changes the memory it is given; a minute that the memory has seen gives nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from aione.audit.memory import AuditMemory, SymbolMemory
from aione.audit.record import AuditEvent
from aione.indicators.readings import Readings
from aione.stage1.run import Stage1Result
from aione.stage2.recommend import GATES
from aione.stage2.result import Stage2Result
from aione.stage3.book import TradeBook
from aione.stage3.trade import TradeEvent
from config.settings import RECOMMENDATIONS

TIMEFRAME = "1m"


def cycle_events(
    readings: Readings, stage1: Stage1Result, stage2: Stage2Result, memory: AuditMemory
) -> list[AuditEvent]:
    """Return what a minute's analysis is worth to be remembered; see `aione.audit.kinds`.

    Parameters
    ----------
    readings, stage1, stage2
        Of the same bar and the same symbols.
    memory : AuditMemory
        Changed: it is to be kept for the next minute.
    """
    bar_ms = readings.open_time_ms
    if bar_ms <= memory.bar_ms:
        return []
    memory.bar_ms = bar_ms
    memory.symbols = {symbol: memory.of(symbol) for symbol in readings.symbols}
    events = [_validation(stage2, bar_ms)]
    counted = stage1.grounds.weighed.counted.any(axis=0) & stage1.scored
    ranks = readings["relative_strength_rank"].tolist()
    for row, symbol in enumerate(readings.symbols):
        one = memory.of(symbol)
        if stage1.scored[row]:
            one.look(has_counted=bool(counted[row]), rank=_known(ranks[row]))
        if counted[row]:
            events.append(_metrics(row, stage1, one, bar_ms))
        events += _alert(row, readings, stage1, one, bar_ms)
        events += _decision(row, stage1, stage2, one, bar_ms)
    return events


def trade_events(events: Iterable[TradeEvent], before: TradeBook) -> list[AuditEvent]:
    """Return an event for each event of a trade; ``before`` is the book that they are applied to."""
    symbols = {trade.trade_id: trade.symbol for trade in before.open.values()}
    found = []
    for event in events:
        symbol = symbols.setdefault(event.trade_id, str(event.payload.get("symbol", "")))
        payload = {"trade_id": event.trade_id, "event": event.kind.value, "data": dict(event.payload)}
        name = f"trade-{event.trade_id}-{event.number}"
        found.append(AuditEvent(name, event.ts_ms, "stage3", "trade", symbol, TIMEFRAME, (), payload))
    return found


# ── One kind each ──


def _validation(stage2: Stage2Result, bar_ms: int) -> AuditEvent:
    """How complete the minute's inputs were, and what the gates held back."""
    is_done = ~np.isnan(stage2.direction)
    columns = {**stage2.factors, **stage2.qualities}
    unknown = {name: int((np.isnan(column) & is_done).sum()) for name, column in columns.items()}
    held = Counter(stage2.gate_reason[stage2.gate_reason >= 0].tolist())
    return _event(
        "stage2",
        "validation",
        "",
        bar_ms,
        scored=int(is_done.sum()),
        unknown={name: number for name, number in unknown.items() if number},
        held={GATES[code]: number for code, number in sorted(held.items())},
    )


def _metrics(row: int, stage1: Stage1Result, one: SymbolMemory, bar_ms: int) -> AuditEvent:
    return _event(
        "stage1",
        "metrics",
        stage1.symbols[row],
        bar_ms,
        density=round(1000.0 * one.density, 2),
        mean_rank=round(one.mean_rank, 4) if one.ranked else None,
        burst=one.burst,
        evidence=_known(stage1.evidence[row]),
        triggers=_strengths(stage1, row),
    )


def _alert(row: int, readings: Readings, stage1: Stage1Result, one: SymbolMemory, bar_ms: int) -> Iterable[AuditEvent]:
    """Log where an alert begins, turns over or ends."""
    symbol = stage1.symbols[row]
    side = stage1.states[symbol].side if stage1.alert[row] else 0
    now = f"{side:+d}" if stage1.alert[row] else ""
    if now == one.alert and not stage1.announced[row]:
        return
    if not stage1.scored[row]:
        return  # nothing is known of it in this minute: the alert neither lasts nor ends
    one.alert = now
    yield _event(
        "stage1",
        "alert",
        symbol,
        bar_ms,
        state="began" if now else "ended",
        announced=bool(stage1.announced[row]),
        side=side,
        evidence=_known(stage1.evidence[row]),
        triggers=sorted(_strengths(stage1, row)),
    )
    if now:
        alignment = _known(readings["htf_alignment"][row])
        agrees = None if alignment is None or not side else alignment * side > 0.0
        yield _event("stage1", "alignment", symbol, bar_ms, side=side, htf_alignment=alignment, agrees=agrees)


def _decision(
    row: int, stage1: Stage1Result, stage2: Stage2Result, one: SymbolMemory, bar_ms: int
) -> Iterable[AuditEvent]:
    """Log an alerted symbol's decision where it is another than the last one logged."""
    if not stage1.alert[row] or stage2.status_name(row) != "DONE":
        one.decision = one.decision if stage1.alert[row] else ""
        return
    now = f"{stage2.scenario_name(row)}|{stage2.recommendation_name(row)}|{int(stage2.plan_side[row])}"
    if now == one.decision:
        return
    one.decision = now
    original, gate = int(stage2.reco_original[row]), int(stage2.gate_reason[row])
    has_plan = bool(stage2.plan_side[row])
    yield _event(
        "qde",
        "decision",
        stage2.symbols[row],
        bar_ms,
        scenario=stage2.scenario_name(row),
        recommendation=stage2.recommendation_name(row),
        reco_original=None if original < 0 else RECOMMENDATIONS[original],
        gate=None if gate < 0 else GATES[gate],
        direction=_known(stage2.direction[row]),
        confidence=_known(stage2.confidence[row]),
        quality=_known(stage2.quality[row]),
        contributions={name: _known(column[row]) for name, column in stage2.contributions.items()},
        entry=_known(stage2.entry[row]) if has_plan else None,
        sl=_known(stage2.sl[row]) if has_plan else None,
        tp=[_known(target) for target in stage2.tp[row]] if has_plan else None,
        rr=_known(stage2.rr[row]) if has_plan else None,
    )


def _strengths(stage1: Stage1Result, row: int) -> dict[str, float]:
    weighed = stage1.grounds.weighed
    return {
        name: float(stage1.triggers[name].strength[row])
        for name, counted in zip(weighed.names, weighed.counted[:, row].tolist(), strict=True)
        if counted
    }


def _event(stage: str, kind: str, symbol: str, ts_ms: int, **payload: Any) -> AuditEvent:
    """Make an event whose id is what it says: the same minute logged twice is one event to a reader."""
    return AuditEvent(f"{stage}-{kind}-{symbol}-{ts_ms}", ts_ms, stage, kind, symbol, TIMEFRAME, (), payload)


def _known(value: Any) -> float | None:
    return float(value) if isfinite(value) else None


def rule_events(stage: str, kind: str, changes: Sequence[Mapping[str, Any]], ts_ms: int) -> list[AuditEvent]:
    """Return an event for each change that a rule made; it names ``symbol``, ``key``, ``old``, ``new`` and the rule."""
    return [
        _event(
            stage, kind, str(change["symbol"]), ts_ms, **{k: v for k, v in change.items() if k != "symbol"}
        )._replace(id=f"{stage}-{kind}-{change['symbol']}-{change['key']}-{ts_ms}")
        for change in changes
    ]


__all__ = ["cycle_events", "rule_events", "trade_events"]
