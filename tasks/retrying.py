"""When a task is worth a retry: the error tree decides, in one place."""

from __future__ import annotations

from typing import Any, Final

from prefect.client.schemas.objects import TaskRun
from prefect.states import State
from prefect.tasks import Task

from aione.errors import ServiceUnavailable, VenueUnavailable


async def worth_a_retry(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001
    """Return True for what may be gone in a moment: the exchange or a service of ours does not answer.

    A plain function: Prefect takes a callable object for "never retry".
    """
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, VenueUnavailable | ServiceUnavailable)


RETRIED: Final[dict[str, Any]] = {
    "retries": 3,
    "retry_delay_seconds": [1, 3, 9],
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": worth_a_retry,
}
"""Options of a task that talks to the exchange and has time."""

RETRIED_AT_ONCE: Final[dict[str, Any]] = {**RETRIED, "retries": 2, "retry_delay_seconds": [1, 3]}
"""Options of a task of the minute, which has little time."""

__all__ = ["RETRIED", "RETRIED_AT_ONCE", "worth_a_retry"]
