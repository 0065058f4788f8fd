"""The universe, its prefilter and its history as Prefect tasks."""

from __future__ import annotations

from uuid import UUID

from prefect import task
from prefect.artifacts import (
    acreate_link_artifact,
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)
from prefect.cache_policies import NO_CACHE

from aione.prefilter import PrefilterResult
from aione.screening.history import HistoryReport, preload_history
from aione.screening.refresh import Candidates, find_candidates, list_contracts, screen_candidates
from aione.store.cycles import Progress
from config.models import SymbolInfo
from tasks.caching import OF_EXCHANGE
from tasks.carried import Carried
from tasks.current import runtime
from tasks.plots import bars
from tasks.retrying import RETRIED


@task(**RETRIED, **OF_EXCHANGE, timeout_seconds=60)
async def contracts() -> Carried[list[SymbolInfo]]:
    """List the exchange's contracts, or take the list that another run has asked for minutes ago."""
    return Carried(await list_contracts(runtime()))


@task(**RETRIED, timeout_seconds=120, cache_policy=NO_CACHE)
async def candidates(contracts: Carried[list[SymbolInfo]]) -> Carried[Candidates]:
    """Refresh the universe and apply the filters that cost one request for all; see `find_candidates`."""
    return Carried(await find_candidates(runtime(), contracts.value))


@task(**RETRIED, timeout_seconds=1800, cache_policy=NO_CACHE)
async def history(symbols: tuple[str, ...]) -> HistoryReport:
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

    return await preload_history(runtime(), symbols, show)


@task(**RETRIED, timeout_seconds=600, cache_policy=NO_CACHE)
async def screen(found: Carried[Candidates]) -> Carried[PrefilterResult]:
    """Apply the filters that cost a request a symbol and rank what is left; leaves the funnel as an artifact."""
    result = await screen_candidates(runtime(), found.value)
    described = f"{len(result.symbols)} screened symbols; relaxed {result.relaxed}, tightened {result.tightened}"
    await acreate_table_artifact(
        key="prefilter-funnel",
        table=[{"filter": name, "in": before, "out": after} for name, before, after in result.funnel],
        description=described,
    )
    await acreate_markdown_artifact(key="prefilter", markdown=_told(result), description=described)
    await acreate_link_artifact(
        key="metrics",
        link=f"http://127.0.0.1:{runtime().settings.METRICS_PORT}/metrics",
        link_text="Prometheus metrics",
        description="What the stream worker of this machine serves: symbols at each stage, lateness, data ages",
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
    return Carried(result)


def _told(result: PrefilterResult) -> str:
    """Return the prefilter's result as a page: the funnel drawn, and how many each filter has dropped."""
    left = [(name, float(after)) for name, _, after in result.funnel]
    dropped = "\n".join(f"| {reason} | {count} |" for reason, count in sorted(result.reasons().items()))
    first = result.funnel[0][1] if result.funnel else 0
    return (
        f"# {len(result.symbols)} of {first} symbols are screened\n\n"
        f"Symbols left after each filter:\n\n{bars(left, 'Symbols left after each filter')}\n\n"
        f"| dropped by | symbols |\n|---|---|\n{dropped}\n\n"
        "Every symbol with its value and the threshold: the table `prefilter-dropped`.\n"
    )


__all__ = ["candidates", "contracts", "history", "screen"]
