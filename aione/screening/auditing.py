"""The audit of a cycle: what was found, decided and traded, and what rules changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from aione.audit.emit import cycle_events, rule_events, trade_events
from aione.audit.memory import AuditMemory
from aione.audit.record import AuditEvent
from aione.errors import InvalidInput
from aione.screening.analyse import Found, Scored
from aione.screening.runtime import Runtime
from aione.stage3.book import TradeBook
from aione.stage3.trade import TradeEvent
from aione.store import keys

WITHIN_S: Final = 2.0
"""So long may the sinks hold up a cycle that has been published."""


async def log_cycle(runtime: Runtime, found: Found, scored: Scored) -> None:
    """Log a cycle, then store what rules and audit remember; a minute that was logged is not logged again.

    In this order a crash between the two logs the minute twice, and readers know the events by their names.
    """
    memory = await _memory(runtime)
    for event in [*cycle_events(found.readings, found.stage1, scored.stage2, memory), *_rules(found)]:
        runtime.audit.append(event)
    await runtime.audit.aflush(WITHIN_S)
    await runtime.states.save_memory(
        {keys.rule_state(): found.rule_state.to_dict(), keys.audit_memory(): memory.to_dict()}
    )


def log_trades(runtime: Runtime, events: Sequence[TradeEvent], before: TradeBook) -> None:
    """Log what happened to trades; ``before`` is the book that the events are of."""
    for event in trade_events(events, before):
        runtime.audit.append(event)


def _rules(found: Found) -> list[AuditEvent]:
    """Return what the rules changed before Stage1 and after it, and the counts of those that were applied."""
    bar_ms, rules = found.readings.open_time_ms, found.rules
    before = [change for change in rules.changes if str(change["key"]).startswith("stage1.")]
    after = [change for change in rules.changes if not str(change["key"]).startswith("stage1.")]
    stats = [row for row in rules.stats if rules.changes and row["last_ms"] == bar_ms]
    counted = [
        AuditEvent(
            f"dyn_stats-{row['source']}-{row['rule']}-{bar_ms}", bar_ms, "stage2", "dyn_stats", "", "1m", (), row
        )
        for row in stats
    ]
    return [
        *rule_events("stage1", "dyn_thresholds_pre", before, bar_ms),
        *rule_events("stage2", "dyn_thresholds", after, bar_ms),
        *counted,
    ]


async def _memory(runtime: Runtime) -> AuditMemory:
    """Return what the audit remembers; one that cannot be read begins anew, for its averages are all that is lost."""
    raw = await runtime.states.load_memory(keys.audit_memory())
    try:
        return AuditMemory() if raw is None else AuditMemory.from_dict(orjson.loads(raw))
    except (InvalidInput, orjson.JSONDecodeError):
        return AuditMemory()


__all__ = ["log_cycle", "log_trades"]
