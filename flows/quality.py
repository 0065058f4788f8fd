"""Data quality: whether what we hold of the market is worth being scored."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow
from prefect.states import Completed, State
from pydantic import BaseModel, Field

from aione.quality import DATASETS, Dataset
from flows.minute import planned_name
from flows.symbols import Symbol
from tasks import quality as tasks
from tasks.runtime import connected


class QualityOptions(BaseModel):
    """What a run of the quality flow may be told."""

    datasets: list[Dataset] = Field(
        default=list(DATASETS),
        min_length=1,
        title="Datasets",
        description="What is validated: the contracts, the whole history of bars, the bars of the last hours",
    )
    hours_back: int = Field(
        default=1,
        ge=1,
        le=24,
        title="Hours back",
        description="How many hours the last hours are, for the suite 'hour'",
    )
    symbols: list[Symbol] = Field(
        default=[],
        max_length=50,
        title="Symbols",
        description="Whose bars, such as BTCUSDT; none means every symbol that is screened, traded or in quarantine",
    )
    quarantine: bool = Field(
        default=True,
        title="Quarantine",
        description="Keep failing symbols from being scored and let healed ones out; without it a run only reports",
    )


@flow(
    name="quality",
    description="Validates universe, history and the last hours' bars with Great Expectations, compares the guards of "
    "the minute with the suites, and puts failing symbols into quarantine until their data has healed.",
    flow_run_name=planned_name,
    timeout_seconds=600,
    persist_result=False,
)
async def quality(options: QualityOptions = QualityOptions()) -> State[Any]:  # noqa: B008  # the form's defaults
    """Validate what is stored; a broken rule is in the state's name and in the artifacts, and no failure."""
    async with connected() as runtime:
        if await runtime.states.load_prefilter() is None:
            return Completed(name="Skipped", message="there is no screened universe yet")
        inputs = await tasks.load(runtime, options.hours_back, options.symbols)
        report = await tasks.validate(inputs, options.datasets, runtime.settings.QUALITY)
        changed: dict[str, list[str]] = {"added": [], "released": []}
        if options.quarantine:
            settled = await tasks.quarantine(runtime, inputs, report)
            changed = {name: [one.symbol for one in getattr(settled, name)] for name in changed}
        told = await tasks.tell(runtime, inputs, report)
    facts = {**told, **changed, "datasets": report.facts()}
    return Completed(name="Completed" if report.is_sound else "Defects", message=report.message, data=facts)


if __name__ == "__main__":
    asyncio.run(quality())
