"""The minute: load, Stage1, Stage2, Stage3, publish."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow
from prefect.states import Completed, State
from pydantic import BaseModel, Field

from aione.screening.cycle import skip_reason
from aione.screening.runtime import local_ms
from config.settings import load_settings
from flows.minute import bar_of_run, planned_name, scheduled_ms, worth_running_for
from tasks import screening as tasks
from tasks.runtime import connected


class ScreeningOptions(BaseModel):
    """What a run of the screening may be told."""

    stale_after_s: float | None = Field(
        None,
        gt=0,
        le=3600,
        title="Stale after",
        description="Seconds after its time at which a run skips itself; STALE_RUN_S without it",
    )
    force: bool = Field(
        default=False,
        title="Force",
        description="Also a minute that is published already: what has not changed is not published again",
    )


@flow(
    name="screening",
    description="Screens the market for the minute that has just closed: load, Stage1, Stage2, Stage3, publish.",
    flow_run_name=planned_name,
    timeout_seconds=90,
    persist_result=False,
)
async def screening(options: ScreeningOptions = ScreeningOptions()) -> State[Any] | dict[str, Any]:  # noqa: B008  # the form's defaults
    """Screen the market for the minute that has just closed and publish the state of every asset.

    A run whose minute is published already, or is over and has nothing to catch up with, skips itself and says why.
    """
    started_ms = local_ms()
    limit_s = options.stale_after_s or load_settings().STALE_RUN_S
    planned_ms, reason = worth_running_for(scheduled_ms(), started_ms, limit_s)
    if reason:
        return Completed(name="Skipped", message=reason)
    async with connected() as runtime:
        bar_time_ms = bar_of_run(planned_ms, round(runtime.rest.clock.offset_ms()))
        reason = await skip_reason(runtime, bar_time_ms, is_forced=options.force)
        if reason:
            return Completed(name="Skipped", message=reason)
        loaded = await tasks.load(bar_time_ms)
        found = await tasks.stage1(loaded)
        scored = await tasks.stage2(loaded, found)
        traded = await tasks.stage3(loaded, found, scored)
        cycle = await tasks.publish(loaded, found, scored, traded, scheduled_ms=planned_ms, started_ms=started_ms)
    return cycle.value.summary()


if __name__ == "__main__":
    asyncio.run(screening())
