"""Analyse symbols now, on request."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import Completed, State
from pydantic import BaseModel, Field

from aione.screening.cycle import skip_reason
from aione.screening.request import admit
from aione.screening.runtime import local_ms
from flows.minute import bar_before
from flows.symbols import Symbol
from tasks import screening as tasks
from tasks import universe
from tasks.runtime import connected

NAMED = 3


class RescanRequest(BaseModel):
    """What is to be analysed."""

    symbols: list[Symbol] = Field(
        default=[],
        max_length=50,
        title="Symbols",
        description="Such as BTCUSDT; none means every screened symbol",
        examples=[["BTCUSDT", "ETHUSDT"]],
    )
    force: bool = Field(
        default=False,
        title="Force",
        description="Also what the prefilter dropped, and a minute that is published already",
    )


def rescan_name() -> str:
    """Return a run's name: what it looks at."""
    symbols = flow_run.parameters["request"].symbols
    more = f" and {len(symbols) - NAMED} more" if len(symbols) > NAMED else ""
    return f"rescan {', '.join(symbols[:NAMED])}{more}" if symbols else "rescan of every screened symbol"


@flow(
    name="rescan",
    description="Analyses the last closed minute anew and publishes it, with the symbols that are named.",
    flow_run_name=rescan_name,
    timeout_seconds=300,
    persist_result=False,
)
async def rescan(request: RescanRequest = RescanRequest()) -> State[Any] | dict[str, Any]:  # noqa: B008  # the form's defaults
    """Fill the gaps of these symbols, analyse the last closed minute anew and publish it."""
    started_ms = local_ms()
    async with connected() as runtime:
        bar_time_ms = bar_before(runtime.now_ms())
        extra = await admit(runtime, request.symbols, is_forced=request.force)
        reason = await skip_reason(runtime, bar_time_ms, is_forced=request.force or bool(extra))
        if reason:
            return Completed(name="Skipped", message=reason)
        if extra:
            await universe.history(extra)
        loaded = await tasks.load(bar_time_ms, extra)
        found = await tasks.stage1(loaded)
        scored = await tasks.stage2(loaded, found)
        traded = await tasks.stage3(loaded, found, scored)
        cycle = await tasks.publish(
            loaded, found, scored, traded, scheduled_ms=started_ms, started_ms=started_ms, source="rescan"
        )
    return cycle.value.summary(request.symbols)


if __name__ == "__main__":
    asyncio.run(rescan())
