"""The stages of the minute as Prefect tasks."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import acreate_table_artifact
from prefect.cache_policies import NO_CACHE

from aione.screening.analyse import Found, Scored, find_triggers, score
from aione.screening.cycle import Cycle, publish_cycle, trade
from aione.screening.load import Loaded, load_cycle
from aione.screening.news import News
from aione.screening.runtime import Runtime
from blocks import BLOCK_NAME, NotificationBlock
from tasks.retrying import worth_a_retry


@task(
    retries=2,
    retry_delay_seconds=[1, 3],
    retry_jitter_factor=0.5,
    retry_condition_fn=worth_a_retry,
    timeout_seconds=30,
    cache_policy=NO_CACHE,
)
async def load(runtime: Runtime, bar_time_ms: int, extra: Sequence[str] = ()) -> Loaded:
    """Load the bars and the context of one minute; see `aione.screening.load.load_cycle`."""
    return await load_cycle(runtime, bar_time_ms, extra)


@task(timeout_seconds=30, cache_policy=NO_CACHE)
async def stage1(runtime: Runtime, loaded: Loaded) -> Found:
    """Compute the readings and the triggers; see `aione.screening.analyse.find_triggers`."""
    return find_triggers(loaded, runtime.settings)


@task(timeout_seconds=30, cache_policy=NO_CACHE)
async def stage2(runtime: Runtime, loaded: Loaded, found: Found) -> Scored:
    """Score and recommend; see `aione.screening.analyse.score`."""
    return score(loaded, found, runtime.settings)


@task(timeout_seconds=30, cache_policy=NO_CACHE)
async def stage3(runtime: Runtime, loaded: Loaded, found: Found, scored: Scored) -> int:
    """Close, manage and open paper trades; see `aione.screening.cycle.trade`."""
    return await trade(runtime, loaded, found, scored)


@task(timeout_seconds=30, cache_policy=NO_CACHE)
async def publish(runtime: Runtime, loaded: Loaded, found: Found, scored: Scored, *, scheduled_ms: int) -> Cycle:
    """Publish the state of every asset and leave the table of alerts; see `aione.screening.cycle.publish_cycle`."""
    cycle = await publish_cycle(runtime, loaded, found, scored, scheduled_ms=scheduled_ms)
    await acreate_table_artifact(
        key="alerts",
        table=cycle.alert_table() or [{"symbol": "none", "why": "no symbol is on alert"}],
        description=f"Alerts of the bar {cycle.bar_time} UTC: {cycle.alerts} of {cycle.screened} screened symbols",
    )
    return cycle


@task(retries=2, retry_delay_seconds=2, timeout_seconds=30, cache_policy=NO_CACHE)
async def notify(news: News) -> int:
    """Tell the notification target of new signals and of trouble with the data; return how many messages there were."""
    target = await NotificationBlock.aload(BLOCK_NAME)
    for subject, body in news.messages:
        await target.notify(body, subject)
    return len(news.messages)


__all__ = ["load", "notify", "publish", "stage1", "stage2", "stage3"]
