"""The universe: from every contract of the exchange to the screened symbols, with reasons."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow
from pydantic import BaseModel, Field

from flows.minute import planned_name
from tasks import universe as tasks
from tasks.runtime import connected


class PrefilterOptions(BaseModel):
    """What a run of the prefilter may be told; what is left out is as the settings say."""

    max_symbols: int | None = Field(
        None, ge=1, le=2000, title="At most", description="Symbols that are screened; PREFILTER_BASE_PARAMS without it"
    )
    min_quote_volume_24h: float | None = Field(
        None,
        ge=0,
        title="Volume floor",
        description="Quote volume of 24 hours below which a symbol is dropped; STAGE1_PREFILTER_THRESHOLDS without it",
    )

    def overrides(self) -> dict[str, Any]:
        """Return the constants that this run sets otherwise."""
        changed: dict[str, Any] = {}
        if self.max_symbols is not None:
            changed["PREFILTER_BASE_PARAMS"] = {"max_symbols": self.max_symbols}
        if self.min_quote_volume_24h is not None:
            changed["STAGE1_PREFILTER_THRESHOLDS"] = {"min_quote_volume_24h": self.min_quote_volume_24h}
        return changed


@flow(
    name="prefilter",
    description="From the exchange's contracts to the screened universe, with a reason for each that is dropped.",
    flow_run_name=planned_name,
    timeout_seconds=1800,
    persist_result=False,
)
async def prefilter(options: PrefilterOptions = PrefilterOptions()) -> dict[str, Any]:  # noqa: B008  # the form's defaults
    """Refresh the universe, fill the history of the candidates, filter and rank them."""
    async with connected(options.overrides()):
        found = await tasks.candidates(await tasks.contracts())
        await tasks.history(found.value.symbols)
        result = await tasks.screen(found)
    return {"screened": len(result.value.symbols), "funnel": result.value.funnel, "relaxed": result.value.relaxed}


if __name__ == "__main__":
    asyncio.run(prefilter())
