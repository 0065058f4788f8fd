"""One line a cycle, for logs and pipes. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aione.panel import MINUTE_MS
from aione.publish.payload import Side, Snapshot
from aione.ui.figures import clock, percent
from aione.ui.signals import SignalEvent
from aione.ui.text import Locale, word

MARKS: Final[dict[Side, str]] = {"long": "▲", "short": "▼"}


def cycle_line(snapshot: Snapshot, fresh: Sequence[SignalEvent], locale: Locale) -> str:
    """Return the funnel of a state and the signals that came with it."""
    meta, counters = snapshot.meta, snapshot.counters
    lag_s = max(0, meta.ts - meta.bar_time_ms - MINUTE_MS) / 1000
    facts = [
        clock(meta.ts, seconds=True),
        f"{word('bar', locale)} {clock(meta.bar_time_ms)}",
        f"{word('seq', locale)} {meta.seq}",
        *(
            f"{word(name, locale)} {getattr(counters, name)}"
            for name in ("universe", "screened", "alerts", "recommendations", "open_trades")
        ),
        f"{word('lag', locale)} {lag_s:.1f}s",
    ]
    if counters.missing_bars:
        facts.append(f"{word('missing_bars', locale)} {counters.missing_bars}")
    if meta.stale:
        facts.append(word("stale", locale))
    facts += meta.warnings
    signals = [
        f"{MARKS[event.side]} {event.symbol} {word(event.side, locale)} {percent(event.confidence, 0)}%"
        for event in fresh
    ]
    return "  ".join(facts) + (f"  |  {', '.join(signals)}" if signals else "")


__all__ = ["cycle_line"]
