"""Prefect's flow runs as the housekeeping treats them: read, judged by `aione.housekeeping.runs`, ended or deleted.

Only runs of this project are touched: those of its deployments (they carry the tag ``aione``), and those of the same
flows that belong to no deployment. Each run is deleted by a request of its own, a short transaction, with a pause after
it, so that nobody waits long for the database. Task runs and states go with their run, its logs are removed by the
server a moment later, its artifacts are removed here before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowFilter,
    FlowFilterId,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed

from aione.housekeeping.options import HousekeepingOptions
from aione.housekeeping.runs import ALIVE, ENDED, RunFacts, Verdict, judge
from config.housekeeping_models import HousekeepingParams

PROJECT_TAG: Final = "aione"
MINUTE_TAG: Final = "minute"
PAGE: Final = 100
SAID: Final = 20


@dataclass(frozen=True, slots=True)
class Project:
    """The project's flows (id -> name) and deployments, and which of the flows are those of minute deployments."""

    flows: dict[UUID, str]
    deployments: frozenset[UUID]
    minute: frozenset[UUID]


@dataclass(slots=True)
class RunsReport:
    """What was done, by action; the first reasons; whether the limit of one run of the housekeeping was reached."""

    counts: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)
    is_limited: bool = False

    def summary(self) -> dict[str, Any]:
        """Return plain values."""
        counts = {"deleted": self.counts["delete"], "crashed": self.counts["crash"], "cancelled": self.counts["cancel"]}
        return {**counts, "limited": self.is_limited, "said": self.said}


async def keep_runs(client: PrefectClient, params: HousekeepingParams, options: HousekeepingOptions) -> RunsReport:
    """End what is stuck or pointless, delete what is old; see the module."""
    report, now = RunsReport(), datetime.now(UTC)
    project = await find_project(client)
    if not project.flows:
        return report
    for wanted in _searches(project, params, options, now):
        async for run in _matching(client, project, wanted):
            verdict = judge(_facts(run, project), params, now)
            if verdict is None:
                continue
            if report.counts.total() >= options.most_runs:
                report.is_limited = True
                return report
            if options.dry_run or await _carry_out(client, run, verdict, options.pause_s):
                report.counts[verdict.action] += 1
                if verdict.action != "delete" or not report.said:
                    report.said = [*report.said, f"{run.name} ({run.id}): {verdict.reason}"][:SAID]
    return report


async def find_project(client: PrefectClient) -> Project:
    """Return the flows and deployments that carry the project's tag."""
    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[PROJECT_TAG]))
    deployments = await client.read_deployments(deployment_filter=tagged)
    flows = {one.flow_id for one in deployments}
    names = {flow_id: (await client.read_flow(flow_id)).name for flow_id in flows}
    minute = frozenset(one.flow_id for one in deployments if MINUTE_TAG in one.tags)
    return Project(names, frozenset(one.id for one in deployments), minute)


# ── Looking ──


def _searches(
    project: Project, params: HousekeepingParams, options: HousekeepingOptions, now: datetime
) -> list[tuple[frozenset[UUID], FlowRunFilter]]:
    """Return the searches whose results are worth a verdict, each with the flows it is about."""
    every = frozenset(project.flows)
    found = []
    if options.end_runs:
        soonest = min(params.late_minute_s, params.late_other_s, params.late_manual_s)
        before = FlowRunFilterExpectedStartTime(before_=now - timedelta(seconds=soonest))
        found += [
            (every, FlowRunFilter(state=_states(ALIVE))),
            (every, FlowRunFilter(state=_states({"SCHEDULED"}), expected_start_time=before)),
        ]
    if options.prune_runs:
        for flows, states, days in (
            (project.minute, {"COMPLETED"}, params.minute_runs_days),
            (every, ENDED, params.other_runs_days),
        ):
            ended = FlowRunFilterEndTime(before_=now - timedelta(days=days))
            found.append((flows, FlowRunFilter(state=_states(states), end_time=ended)))
    return found


def _states(types: set[str] | frozenset[str]) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType(name) for name in sorted(types)]))


async def _matching(
    client: PrefectClient, project: Project, wanted: tuple[frozenset[UUID], FlowRunFilter]
) -> AsyncIterator[FlowRun]:
    """Yield the project's runs of a search; all are read before the first is changed, page by page."""
    flows, runs = wanted
    if not flows:
        return
    found: dict[UUID, FlowRun] = {}
    offset = 0
    while page := await client.read_flow_runs(
        flow_filter=FlowFilter(id=FlowFilterId(any_=sorted(flows))),
        flow_run_filter=runs,
        limit=PAGE,
        offset=offset,
    ):
        found |= {run.id: run for run in page}
        offset += len(page)
    for run in found.values():
        if run.deployment_id is None or run.deployment_id in project.deployments:
            yield run


def _facts(run: FlowRun, project: Project) -> RunFacts:
    assert run.state is not None, "it was searched for by its state"
    return RunFacts(
        flow=project.flows[run.flow_id],
        state_type=run.state.type.value,
        state_name=run.state.name or "",
        state_since=run.state.timestamp,
        expected=run.expected_start_time,
        ended=run.end_time,
        is_minute=run.flow_id in project.minute,
        is_auto=run.auto_scheduled,
    )


# ── Doing ──


async def _carry_out(client: PrefectClient, run: FlowRun, verdict: Verdict, pause_s: float) -> bool:
    """Do what a verdict says; return whether it was done: a run may have ended or gone meanwhile."""
    if verdict.action == "delete":
        await _delete_artifacts(client, [run.id])
        with contextlib.suppress(ObjectNotFound):  # the server's own vacuum was there first
            await client.delete_flow_run(run.id)
        await asyncio.sleep(pause_s)
        return True
    message = f"Housekeeping: {verdict.reason}."
    state: Any = Crashed(message=message) if verdict.action == "crash" else Cancelled(message=message)
    # By force only where Prefect takes nothing but "cancelled": otherwise a run that has just ended keeps its end.
    is_forced = run.state_type == StateType.CANCELLING
    try:
        result = await client.set_flow_run_state(run.id, state, force=is_forced)
    except ObjectNotFound:
        return False
    return result.state is not None and result.state.type == state.type


async def _delete_artifacts(client: PrefectClient, runs: Sequence[UUID]) -> None:
    """Delete every artifact of runs; Prefect keeps them when a run is deleted."""
    of_runs = FlowRunFilter(id=FlowRunFilterId(any_=list(runs)))
    while artifacts := await client.read_artifacts(flow_run_filter=of_runs, limit=PAGE):
        for artifact in artifacts:
            with contextlib.suppress(ObjectNotFound):
                await client.delete_artifact(artifact.id)


__all__ = ["PROJECT_TAG", "Project", "RunsReport", "find_project", "keep_runs"]
