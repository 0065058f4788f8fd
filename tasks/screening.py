"""The stages of the minute as Prefect tasks."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import acreate_table_artifact
from prefect.cache_policies import NO_CACHE

from aione.screening import analyse
from aione.screening.analyse import Found, Scored
from aione.screening.cycle import SCREENING, Cycle, Traded, publish_cycle, trade
from aione.screening.load import Loaded, load_cycle
from tasks.caching import OF_MINUTE
from tasks.carried import Carried
from tasks.current import runtime
from tasks.retrying import RETRIED_AT_ONCE


@task(**RETRIED_AT_ONCE, timeout_seconds=30, cache_policy=NO_CACHE)
async def load(bar_time_ms: int, extra: Sequence[str] = ()) -> Carried[Loaded]:
    """Load the bars and the context of one minute; see `aione.screening.load.load_cycle`."""
    return Carried(await load_cycle(runtime(), bar_time_ms, extra))


@task(**OF_MINUTE, timeout_seconds=30)
async def stage1(loaded: Carried[Loaded]) -> Carried[Found]:
    """Compute the readings and the triggers; see `aione.screening.analyse.find_triggers`."""
    return Carried(analyse.find_triggers(loaded.value, runtime().settings))


@task(**OF_MINUTE, timeout_seconds=30)
async def stage2(loaded: Carried[Loaded], found: Carried[Found]) -> Carried[Scored]:
    """Score and recommend; see `aione.screening.analyse.score`."""
    return Carried(analyse.score(loaded.value, found.value, runtime().settings))


@task(**RETRIED_AT_ONCE, **OF_MINUTE, timeout_seconds=30)
async def stage3(loaded: Carried[Loaded], found: Carried[Found], scored: Carried[Scored]) -> Carried[Traded]:
    """Close, manage and open paper trades; see `aione.screening.cycle.trade`."""
    return Carried(await trade(runtime(), loaded.value, found.value, scored.value))


@task(**RETRIED_AT_ONCE, **OF_MINUTE, timeout_seconds=30)
async def publish(
    loaded: Carried[Loaded],
    found: Carried[Found],
    scored: Carried[Scored],
    traded: Carried[Traded],  # noqa: ARG001  # trades come first
    *,
    scheduled_ms: int,
    started_ms: int,
    source: str = SCREENING,
) -> Carried[Cycle]:
    """Publish the state of every asset and leave the table of alerts; see `aione.screening.cycle.publish_cycle`."""
    cycle = await publish_cycle(
        runtime(),
        loaded.value,
        found.value,
        scored.value,
        scheduled_ms=scheduled_ms,
        started_ms=started_ms,
        source=source,
    )
    await acreate_table_artifact(
        key="alerts",
        table=cycle.alert_table() or [{"symbol": "none", "why": "no symbol is on alert"}],
        description=f"Alerts of the bar {cycle.bar_time} UTC: {cycle.alerts} of {cycle.screened} screened symbols",
    )
    return Carried(cycle)


__all__ = ["load", "publish", "stage1", "stage2", "stage3"]
