"""What keeps a system small that runs for months: runs, archive, Redis, logs, and the sizes of all of it."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow
from prefect.states import Completed, State

from aione.housekeeping.options import HousekeepingOptions
from flows.minute import planned_name
from tasks import housekeeping as tasks


@flow(
    name="housekeeping",
    description="Deletes old runs, ends stuck and late ones, archives closed days, trims Redis, rotates logs, and says "
    "what every part takes on disk and whether its bound holds.",
    flow_run_name=planned_name,
    timeout_seconds=900,
    persist_result=False,
)
async def housekeeping(options: HousekeepingOptions = HousekeepingOptions()) -> State[Any]:  # noqa: B008  # the form's defaults
    """Keep everything within its bounds; a breach is a warning in the state and in the artifact, not a failure."""
    done: dict[str, dict[str, Any]] = {}
    warnings: list[str] = []
    async with tasks.opened() as place:
        if options.prune_runs or options.end_runs:
            done["runs"] = (await tasks.runs(place, options)).summary()
        until: dict[str, str] = {}
        if options.archive and place.data is not None:
            archived = await tasks.archive(place, options)
            done["archive"], until = archived.summary(), archived.until
            warnings += archived.warnings()
        if options.trim_redis:
            trimmed = await tasks.redis(place, options, until)
            done["redis"] = trimmed.summary()
            warnings += trimmed.warnings()
        if options.rotate_logs:
            done["files"] = await tasks.files(place, options)
        found = await tasks.report(place, done, warnings, is_dry=options.dry_run)
    name = "OverBudget" if found.breaches else None
    return Completed(name=name or "Completed", message=found.message, data=found.facts())


if __name__ == "__main__":
    asyncio.run(housekeeping())
