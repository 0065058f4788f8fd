"""The history: which symbols are worth it, and the bars that their rings lack."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow
from pydantic import BaseModel, Field

from flows.minute import planned_name
from flows.symbols import Symbol
from tasks import universe as tasks
from tasks.runtime import connected


class PreloadOptions(BaseModel):
    """What a preload may be told."""

    symbols: list[Symbol] = Field(
        default=[],
        max_length=1000,
        title="Symbols",
        description="Such as BTCUSDT; none means every candidate of the prefilter",
    )
    minutes: int | None = Field(
        None, ge=1, le=2000, title="Minutes", description="1-minute bars to hold; PRELOAD_1M_LOOKBACK_INIT without it"
    )
    days: int | None = Field(
        None, ge=1, le=200, title="Days", description="Daily bars to hold; PRELOAD_DAILY_DAYS without it"
    )

    def overrides(self) -> dict[str, Any]:
        """Return the constants that this run sets otherwise."""
        named = {"PRELOAD_1M_LOOKBACK_INIT": self.minutes, "PRELOAD_DAILY_DAYS": self.days}
        return {name: value for name, value in named.items() if value is not None}


@flow(
    name="preload",
    description="Fetches the minute and daily bars that the rings lack; after a restart that is the gap alone.",
    flow_run_name=planned_name,
    timeout_seconds=3600,
    persist_result=False,
)
async def preload(options: PreloadOptions = PreloadOptions()) -> dict[str, Any]:  # noqa: B008  # the form's defaults
    """Refresh the universe and fetch the missing minute and daily bars of every candidate."""
    async with connected(options.overrides()):
        symbols = tuple(options.symbols)
        if not symbols:
            symbols = (await tasks.candidates(await tasks.contracts())).value.symbols
        report = await tasks.history(symbols)
    return report.summary()


if __name__ == "__main__":
    asyncio.run(preload())
