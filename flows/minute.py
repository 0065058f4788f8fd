"""Which minute a run is for, and whether it is still worth running."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from prefect.runtime import flow_run

from aione.panel import MINUTE_MS

BOUNDARY_MS: Final = 2000
CATCH_UP_S: Final = 30.0
"""A late run begins no later in a minute than this: the next minute's run is taken up 15 s ahead of it."""


def scheduled_ms() -> int:
    """Return when this run was to start, UTC epoch milliseconds; now for a run that nobody scheduled."""
    at = flow_run.scheduled_start_time or datetime.now(UTC)
    return int(at.timestamp() * 1000)


def planned_name() -> str:
    """Return a run's name: its flow and the minute that it is for, UTC."""
    planned = datetime.fromtimestamp(scheduled_ms() / 1000, UTC)
    return f"{flow_run.flow_name} {planned:%Y-%m-%d %H:%M}"


def bar_before(moment_ms: int) -> int:
    """Return the open time of the last 1-minute bar that has closed by ``moment_ms``, or closes a moment later.

    The cycle waits for the bar.

    Examples
    --------
    >>> bar_before(120_000), bar_before(119_400), bar_before(117_000)
    (60000, 60000, 0)
    """
    return (moment_ms + BOUNDARY_MS) // MINUTE_MS * MINUTE_MS - MINUTE_MS


def bar_of_run(planned_ms: int, offset_ms: int) -> int:
    """Return the open time of the bar that a run is for; ``offset_ms`` is the exchange's clock minus this machine's.

    A run that is planned for a minute is for the bar that ends there by the exchange's clock, wherever the two clocks
    stand; one that somebody asked for at another moment is for the last bar that has closed.

    Examples
    --------
    >>> bar_of_run(120_000, 0), bar_of_run(120_000, -4_000), bar_of_run(120_000, 4_000)
    (60000, 60000, 60000)
    >>> bar_of_run(150_000, 0), bar_of_run(178_500, 0)
    (60000, 120000)
    """
    moment_ms = planned_ms + offset_ms
    if planned_ms % MINUTE_MS:
        return bar_before(moment_ms)
    return (moment_ms + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS - MINUTE_MS


def worth_running_for(planned_ms: int, now_ms: int, limit_s: float) -> tuple[int, str | None]:
    """Return which moment a run is for, and why it is not worth running; None when it is.

    A run that is later than ``limit_s`` has missed its minute. After a time without runs many of those come at once:
    the first of them, if it comes early enough in a minute not to be in the next one's way, is the catch-up for that
    minute; the others find it published.

    Examples
    --------
    >>> worth_running_for(0, 30_000, 45.0)
    (0, None)
    >>> worth_running_for(0, 3_600_000 + 20_000, 45.0)
    (3600000, None)
    >>> worth_running_for(0, 3_600_000 + 40_000, 45.0)
    (0, 'its minute is over: planned 3640 s ago, the limit is 45 s')
    """
    late_s = (now_ms - planned_ms) / 1000
    if late_s <= limit_s:
        return planned_ms, None
    minute_ms = now_ms // MINUTE_MS * MINUTE_MS
    if now_ms - minute_ms <= 1000 * min(limit_s, CATCH_UP_S):
        return minute_ms, None
    return planned_ms, f"its minute is over: planned {late_s:.0f} s ago, the limit is {limit_s:.0f} s"


__all__ = ["bar_before", "bar_of_run", "planned_name", "scheduled_ms", "worth_running_for"]
