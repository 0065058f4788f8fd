"""The quarantine in a running system: what a look at the data changes of it, in Redis, in the audit and in the metrics.

Used by every cycle (`guard_cycle`: the guards, milliseconds) and by the quality flow (`apply_findings`: the suites).
Audit first, Redis next: a crash between the two tells of a change twice, under one name, rather than never.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from aione.audit.record import AuditEvent
from aione.metrics import Sample, push
from aione.panel import I8
from aione.quality import Dataset, Finding, Quarantined, Settlement, UniverseRows, look, settle
from aione.quality.quarantine import By
from aione.screening.runtime import Runtime
from aione.store.ring_layout import RingView
from config.models import SymbolInfo


async def guard_cycle(
    runtime: Runtime, view: RingView, infos: Mapping[str, SymbolInfo], now_ms: int
) -> dict[str, Quarantined]:
    """Judge what a cycle has loaded and return who of its symbols is in quarantine now.

    Raises
    ------
    ServiceUnavailable
        Redis does not answer.
    InvalidInput
        Redis holds something else than a quarantine, or ``QUALITY.off`` names no rule.
    """
    rows = UniverseRows.of(infos[symbol] for symbol in view.panel.symbols)
    looked = look(view.panel, _inside(view), rows, now_ms, runtime.settings.QUALITY)
    settled = await apply_findings(runtime, looked.findings, looked.symbols, by="guard", now_ms=now_ms)
    return {symbol: settled.held[symbol] for symbol in view.panel.symbols if symbol in settled.held}


async def apply_findings(
    runtime: Runtime,
    findings: Iterable[Finding],
    looked: Mapping[Dataset, Collection[str]],
    *,
    by: By,
    now_ms: int,
    members: Collection[str] | None = None,
) -> Settlement:
    """Settle the quarantine by what was found (`aione.quality.settle`) and tell of the changes; errors as above."""
    held = await runtime.states.load_quarantine()
    settled = settle(held, findings, looked, by, now_ms, members=members)
    events = _events(settled, by, now_ms)
    if not events:
        return settled
    for event in events:
        runtime.audit.append(event)
    await runtime.states.change_quarantine([*settled.added, *settled.changed], [one.symbol for one in settled.released])
    await push(runtime.redis, _samples(settled, by))
    return settled


def _inside(view: RingView) -> I8:
    """Return how many bars are missing before the newest one of each symbol, int64 (S,): what is late is no hole."""
    bars = view.panel.shape[1]
    age = np.where(view.panel.valid.any(axis=1), view.panel.valid[:, ::-1].argmax(axis=1), bars)
    return np.asarray((view.holes - age).clip(min=0), dtype=np.int64)


def _events(settled: Settlement, by: By, now_ms: int) -> list[AuditEvent]:
    found = []
    for state, entries in (("added", settled.added), ("changed", settled.changed), ("released", settled.released)):
        for one in entries:
            payload: dict[str, Any] = {
                name: getattr(one, name) for name in ("rule", "value", "bound", "bar_ms", "since_ms", "by")
            }
            name = f"quality-quarantine-{one.symbol}-{state}-{one.rule}-{one.bar_ms}-{one.since_ms}"
            payload |= {"state": state, "seen_by": by}
            found.append(AuditEvent(name, now_ms, "quality", "quarantine", one.symbol, "1m", (), payload))
    return found


def _samples(settled: Settlement, by: By) -> Sequence[Sample]:
    return [
        Sample("aione_quarantined", len(settled.held)),
        *(
            Sample("aione_quarantine_total", labels={"event": event, "rule": one.rule, "by": by})
            for event, entries in (("added", settled.added), ("released", settled.released))
            for one in entries
        ),
    ]


__all__ = ["apply_findings", "guard_cycle"]
