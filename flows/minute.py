"""Which minute a run is for, and whether it is still worth running."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from prefect.runtime import flow_run

from aione.panel import MINUTE_MS

BOUNDARY_MS: Final = 2000


def scheduled_ms() -> int:
    """Return when this run was to start, UTC epoch milliseconds; now for a run that nobody scheduled."""
    at = flow_run.scheduled_start_time or datetime.now(UTC)
    return int(at.timestamp() * 1000)


def bar_before(moment_ms: int) -> int:
    """Return the open time of the last 1-minute bar that has closed by ``moment_ms``, or closes a moment later.

    A run that is planned for the minute is meant for the bar that ends there, also where the exchange's clock is a
    little behind; the cycle waits for the bar.

    Examples
    --------
    >>> bar_before(120_000), bar_before(119_400), bar_before(117_000)
    (60000, 60000, 0)
    """
    return (moment_ms + BOUNDARY_MS) // MINUTE_MS * MINUTE_MS - MINUTE_MS


def stale_reason(planned_ms: int, now_ms: int, limit_s: float) -> str | None:
    """Return why a run is too late to be of use, None when it is not.

    Examples
    --------
    >>> stale_reason(0, 30_000, 45.0) is None
    True
    >>> stale_reason(0, 90_000, 45.0)
    'its minute is over: planned 90 s ago, the limit is 45 s'
    """
    late_s = (now_ms - planned_ms) / 1000
    if late_s <= limit_s:
        return None
    return f"its minute is over: planned {late_s:.0f} s ago, the limit is {limit_s:.0f} s"


__all__ = ["bar_before", "scheduled_ms", "stale_reason"]
