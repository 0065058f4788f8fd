"""Data quality as Prefect tasks: read what is stored, validate it, settle the quarantine and tell of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.cache_policies import NO_CACHE

from aione.audit.record import AuditEvent
from aione.metrics import Sample, push
from aione.panel import MINUTE_MS
from aione.quality import RULES, Dataset, Inputs, Report, Settlement
from aione.screening.quality import load_inputs
from aione.screening.quarantine import apply_findings
from aione.screening.runtime import Runtime
from config.models import QualityParams
from tasks.retrying import RETRIED


@task(**RETRIED, timeout_seconds=120, cache_policy=NO_CACHE)
async def load(runtime: Runtime, hours_back: int, symbols: Sequence[str] = ()) -> Inputs:
    """Read the universe and the stored bars; see `aione.screening.quality.load_inputs`."""
    return await load_inputs(runtime, hours_back, symbols)


@task(timeout_seconds=300, cache_policy=NO_CACHE)
async def validate(inputs: Inputs, datasets: Sequence[Dataset], params: QualityParams) -> Report:
    """Run the suites, and the guards on the same data; see `aione.quality.validation.run_suites`."""
    return await asyncio.to_thread(_validate, inputs, datasets, params)


@task(**RETRIED, timeout_seconds=60, cache_policy=NO_CACHE)
async def quarantine(runtime: Runtime, inputs: Inputs, report: Report) -> Settlement:
    """Put failing symbols into quarantine and let healed ones out; see `aione.screening.quarantine.apply_findings`.

    A bar that is older than what the guards look at is reported and keeps nobody out: an hour later nobody would let
    the symbol out for any other reason than time. What is against arithmetic keeps out from anywhere in the history.
    """
    since_ms = inputs.end_ms - MINUTE_MS * runtime.settings.QUALITY.window_bars
    return await apply_findings(
        runtime,
        [one for one in report.findings if RULES[one.rule].dataset != "hour" or one.at_ms > since_ms],
        {checked.dataset: inputs.looked(checked.dataset) for checked in report.datasets},
        by="suite",
        now_ms=inputs.now_ms,
        members=frozenset(inputs.rows.symbols),
    )


@task(**RETRIED, timeout_seconds=60, cache_policy=NO_CACHE)
async def tell(runtime: Runtime, inputs: Inputs, report: Report) -> dict[str, Any]:
    """Leave the page of rules and the table of the quarantine as artifacts, log the audit, count what failed."""
    bars = sum(len(rows) for rows in inputs.records.values())
    header = (
        f"{len(inputs.rows.symbols)} contracts, {bars} bars of {len(inputs.symbols)} symbols to "
        f"{_moment(inputs.end_ms)} UTC: {report.message}."
    )
    await acreate_markdown_artifact(key="quality", markdown=report.markdown(header), description=report.message[:500])
    held = await runtime.states.load_quarantine()
    table = [
        {
            "symbol": one.symbol,
            "rule": one.rule,
            "detail": one.detail,
            "bar": _moment(one.bar_ms),
            "since": _moment(one.since_ms),
            "by": one.by,
        }
        for one in sorted(held.values(), key=lambda one: one.symbol)
    ]
    await acreate_table_artifact(
        key="quarantine",
        table=table or [{"symbol": "none", "detail": "no symbol is in quarantine"}],
        description=f"{len(held)} symbols whose data is not to be trusted: not scored, no trade is opened",
    )
    for checked in report.datasets:
        name = f"quality-suite-{checked.dataset}-{inputs.now_ms}"
        runtime.audit.append(
            AuditEvent(name, inputs.now_ms, "quality", "suite", "", "1m", (), checked.facts()),
        )
    failed = [one for checked in report.datasets for one in checked.verdicts if one.failed]
    samples = [
        Sample("aione_quality_failed_total", one.failed, {"dataset": one.dataset, "rule": one.rule}) for one in failed
    ]
    await push(runtime.redis, [Sample("aione_quarantined", len(held)), *samples])
    return {"quarantined": [row["symbol"] for row in table], "bars": bars, "symbols": len(inputs.symbols)}


def _validate(inputs: Inputs, datasets: Sequence[Dataset], params: QualityParams) -> Report:
    from aione.quality.validation import run_suites  # noqa: PLC0415  # pandas and Great Expectations take seconds to load

    return run_suites(inputs, datasets, params)


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


__all__ = ["load", "quarantine", "tell", "validate"]
