"""The history: which symbols are worth it, and the bars that their rings lack."""

from __future__ import annotations

from typing import Any

from prefect import flow

from tasks import universe as tasks
from tasks.runtime import connected


@flow(name="preload", flow_run_name="preload", timeout_seconds=3600, persist_result=False)
async def preload() -> dict[str, Any]:
    """Refresh the universe and fetch the missing minute and daily bars of every candidate."""
    async with connected() as runtime:
        found = await tasks.candidates(runtime)
        report = await tasks.history(runtime, found.symbols)
    return report.summary()


if __name__ == "__main__":
    preload()
