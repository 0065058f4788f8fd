"""The minute: load, Stage1, Stage2, Stage3, publish."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.states import Completed, State

from aione.screening.cycle import skip_reason
from aione.screening.news import gather_news, remember_told
from aione.screening.runtime import local_ms
from config.settings import load_settings
from flows.minute import bar_before, scheduled_ms, stale_reason
from tasks import screening as tasks
from tasks.runtime import connected


@flow(name="screening", flow_run_name="screening", timeout_seconds=90, persist_result=False)
async def screening() -> State[Any] | dict[str, Any]:
    """Screen the market for the minute that has just closed and publish the state of every asset.

    A run whose minute is over, or whose minute is published already, skips itself and says why.
    """
    planned_ms = scheduled_ms()
    reason = stale_reason(planned_ms, local_ms(), load_settings().STALE_RUN_S)
    if reason:
        return Completed(name="Skipped", message=reason)
    async with connected() as runtime:
        bar_time_ms = bar_before(runtime.exchange_ms(planned_ms))
        reason = await skip_reason(runtime, bar_time_ms)
        if reason:
            return Completed(name="Skipped", message=reason)
        loaded = await tasks.load(runtime, bar_time_ms)
        found = await tasks.stage1(runtime, loaded)
        scored = await tasks.stage2(runtime, loaded, found)
        await tasks.stage3(runtime, loaded, found, scored)
        cycle = await tasks.publish(runtime, loaded, found, scored, scheduled_ms=planned_ms)
        news = await gather_news(runtime, cycle)
        if news.messages:
            await tasks.notify(news)
            await remember_told(runtime, news)
    return cycle.summary()


if __name__ == "__main__":
    screening()
