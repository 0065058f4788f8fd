"""The universe: from every contract of the exchange to the screened symbols, with reasons."""

from __future__ import annotations

from typing import Any

from prefect import flow

from tasks import universe as tasks
from tasks.runtime import connected


@flow(name="prefilter", flow_run_name="prefilter", timeout_seconds=1800, persist_result=False)
async def prefilter() -> dict[str, Any]:
    """Refresh the universe, fill the history of the candidates, filter and rank them."""
    async with connected() as runtime:
        found = await tasks.candidates(runtime)
        await tasks.history(runtime, found.symbols)
        result = await tasks.screen(runtime, found)
    return {"screened": len(result.symbols), "funnel": result.funnel, "relaxed": result.relaxed}


if __name__ == "__main__":
    prefilter()
