"""The universe, its prefilter and its history as Prefect tasks."""

from __future__ import annotations

from uuid import UUID

from prefect import task
from prefect.artifacts import acreate_progress_artifact, acreate_table_artifact, aupdate_progress_artifact
from prefect.cache_policies import NO_CACHE

from aione.prefilter import PrefilterResult
from aione.screening.history import HistoryReport, preload_history
from aione.screening.refresh import Candidates, find_candidates, screen_candidates
from aione.screening.runtime import Runtime
from aione.store.cycles import Progress
from tasks.retrying import RETRIED


@task(**RETRIED, timeout_seconds=120, cache_policy=NO_CACHE)
async def candidates(runtime: Runtime) -> Candidates:
    """Refresh the universe and apply the filters that cost one request for all; see `find_candidates`."""
    return await find_candidates(runtime)


@task(**RETRIED, timeout_seconds=1800, cache_policy=NO_CACHE)
async def history(runtime: Runtime, symbols: tuple[str, ...]) -> HistoryReport:
    """Fetch the bars that the rings lack, with a progress artifact; see `preload_history`."""
    artifact = await acreate_progress_artifact(progress=0.0, key="preload", description="Bars fetched by symbol")
    assert isinstance(artifact, UUID)
    shown = 0.0

    async def show(progress: Progress) -> None:
        nonlocal shown
        percent = 100.0 * progress.done / max(1, progress.total)
        if percent - shown >= 5.0 or percent >= 100.0:
            shown = percent
            await aupdate_progress_artifact(artifact_id=artifact, progress=percent)

    return await preload_history(runtime, symbols, show)


@task(**RETRIED, timeout_seconds=600, cache_policy=NO_CACHE)
async def screen(runtime: Runtime, found: Candidates) -> PrefilterResult:
    """Apply the filters that cost a request a symbol and rank what is left; leaves the funnel as an artifact."""
    result = await screen_candidates(runtime, found)
    await acreate_table_artifact(
        key="prefilter-funnel",
        table=[{"filter": name, "in": before, "out": after} for name, before, after in result.funnel],
        description=f"{len(result.symbols)} screened symbols; relaxed {result.relaxed}, tightened {result.tightened}",
    )
    await acreate_table_artifact(
        key="prefilter-dropped",
        table=[
            {"symbol": row.symbol, "reason": row.reason, "value": row.value, "threshold": row.threshold}
            for row in result.metrics
            if not row.passed
        ]
        or [{"symbol": "none", "reason": "every symbol passed"}],
        description="Every symbol that was dropped, by which filter, with its value and the threshold",
    )
    return result


__all__ = ["candidates", "history", "screen"]
