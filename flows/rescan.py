"""Analyse symbols now, on request."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from prefect.states import Completed, State
from pydantic import Field

from aione.screening.cycle import skip_reason
from aione.screening.request import admit
from flows.minute import bar_before
from tasks import screening as tasks
from tasks import universe
from tasks.runtime import connected


@flow(name="rescan", flow_run_name="rescan {symbols}", timeout_seconds=300, persist_result=False)
async def rescan(
    symbols: Annotated[
        list[str], Field(title="Symbols", description="Such as BTCUSDT; none means every screened symbol")
    ] = [],  # noqa: B006  # never changed; Prefect's form shows it as the default
    *,
    force: Annotated[
        bool,
        Field(title="Force", description="Also what the prefilter dropped, and a minute that is published already"),
    ] = False,
) -> State[Any] | dict[str, Any]:
    """Fill the gaps of these symbols, analyse the last closed minute anew and publish it."""
    async with connected() as runtime:
        bar_time_ms = bar_before(runtime.now_ms())
        extra = await admit(runtime, symbols, is_forced=force)
        reason = None if force or extra else await skip_reason(runtime, bar_time_ms)
        if reason:
            return Completed(name="Skipped", message=reason)
        if extra:
            await universe.history(runtime, extra)
        loaded = await tasks.load(runtime, bar_time_ms, extra)
        found = await tasks.stage1(runtime, loaded)
        scored = await tasks.stage2(runtime, loaded, found)
        await tasks.stage3(runtime, loaded, found, scored)
        cycle = await tasks.publish(runtime, loaded, found, scored, scheduled_ms=runtime.now_ms())
    return cycle.summary(symbols)


if __name__ == "__main__":
    rescan()
