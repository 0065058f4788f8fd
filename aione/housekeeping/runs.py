"""Which flow runs are old, stuck or late: decisions about plain facts, without Prefect.

1. A run that has ended is old after its retention: completed runs of minute deployments soon, all others later.
2. A run that is running longer than its flow's limit and a margin has no process any more: Prefect itself would have
   ended it at the limit. One that is pending or cancelling for long was never begun, or its end was never told.
3. A scheduled run whose time is long over is pointless, of a minute deployment after minutes. Runs that a person asked
   for wait a day at the least. A run that waits for a retry, or is paused, is none of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from config.housekeeping_models import DAY_S, HousekeepingParams

WAITING: Final = frozenset({"Scheduled", "Late", "AwaitingConcurrencySlot"})
"""Names of scheduled states in which nothing has happened yet."""
ENDED: Final = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
ALIVE: Final = frozenset({"RUNNING", "PENDING", "CANCELLING"})


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a flow run; every moment is aware of its time zone."""

    flow: str
    state_type: str
    state_name: str
    state_since: datetime
    expected: datetime | None = None
    ended: datetime | None = None
    is_minute: bool = False
    is_auto: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with a run, and why."""

    action: Literal["delete", "crash", "cancel"]
    reason: str


def judge(run: RunFacts, params: HousekeepingParams, now: datetime) -> Verdict | None:
    """Return what is to be done with a run; None where it is to be left alone.

    Examples
    --------
    >>> from datetime import UTC, timedelta
    >>> now = datetime(2026, 1, 2, tzinfo=UTC)
    >>> since = now - timedelta(minutes=30)
    >>> judge(RunFacts("screening", "RUNNING", "Running", since), HousekeepingParams(), now).reason
    'running for 1800 s; its limit is 90 s: its process is gone'
    >>> judge(RunFacts("preload", "RUNNING", "Running", since), HousekeepingParams(), now) is None
    True
    """
    if run.state_type in ENDED:
        return _old(run, params, now)
    if run.state_type in ALIVE:
        return _stuck(run, params, now)
    if run.state_type == "SCHEDULED" and run.state_name in WAITING:
        return _late(run, params, now)
    return None


def retention_days(run: RunFacts, params: HousekeepingParams) -> float:
    """Return how many days after its end a run is kept."""
    is_short = run.is_minute and run.state_type == "COMPLETED"
    return params.minute_runs_days if is_short else params.other_runs_days


def _old(run: RunFacts, params: HousekeepingParams, now: datetime) -> Verdict | None:
    days = retention_days(run, params)
    age_s = (now - (run.ended or run.state_since)).total_seconds()
    if age_s <= days * DAY_S:
        return None
    return Verdict("delete", f"{run.state_type.lower()} {age_s / DAY_S:.1f} days ago; it is kept for {days:g}")


def _stuck(run: RunFacts, params: HousekeepingParams, now: datetime) -> Verdict | None:
    since_s = (now - run.state_since).total_seconds()
    word = run.state_type.lower()
    if run.state_type == "RUNNING":
        limit_s = params.flow_limits_s.get(run.flow, params.other_limit_s)
        if since_s <= limit_s + params.stuck_margin_s:
            return None
        return Verdict("crash", f"{word} for {since_s:.0f} s; its limit is {limit_s:.0f} s: its process is gone")
    if since_s <= params.pending_limit_s:
        return None
    why = "it was never begun" if run.state_type == "PENDING" else "nobody has told its end"
    return Verdict("crash", f"{word} for {since_s:.0f} s; the limit is {params.pending_limit_s:.0f} s: {why}")


def _late(run: RunFacts, params: HousekeepingParams, now: datetime) -> Verdict | None:
    if run.expected is None:
        return None
    late_s = (now - run.expected).total_seconds()
    limit_s = params.late_manual_s
    if run.is_auto:
        limit_s = params.late_minute_s if run.is_minute else params.late_other_s
    if late_s <= limit_s:
        return None
    whose = "its time" if run.is_auto else "the time that was asked for"
    return Verdict("cancel", f"{whose} was {late_s:.0f} s ago; it is pointless after {limit_s:.0f} s")


__all__ = ["ALIVE", "ENDED", "WAITING", "RunFacts", "Verdict", "judge", "retention_days"]
