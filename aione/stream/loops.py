"""Doing jobs again and again, whatever happens to the services they need, and seeing that none ends."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from redis.exceptions import RedisError

from aione.errors import AioneError, RateLimited, ServiceUnavailable, VenueError

log = logging.getLogger(__name__)

BACKOFF_BASE_S: Final = 0.25
BACKOFF_CAP_S: Final = 10.0
SURVIVED: Final = (ServiceUnavailable, VenueError, RedisError, OSError)
"""What a job may raise without ending the worker: its services are away, or refuse for now."""


class JobEnded(AioneError):
    """A job that runs for ever has ended: a mistake in it; whatever runs it must be started anew."""


async def repeat(
    name: str,
    job: Callable[[], Awaitable[None]],
    every_s: float,
    *,
    on_error: Callable[[str, Exception], None],
    survive: tuple[type[Exception], ...] = SURVIVED,
    cap_s: float = BACKOFF_CAP_S,
) -> None:
    """Run ``job`` until cancelled, ``every_s`` seconds after its last end.

    After one of ``survive`` it waits longer, with full jitter, up to ``cap_s``, or as long as the exchange has asked.
    The first failure in a row and the recovery are logged; each is told to ``on_error(name, error)``.

    Notes
    -----
    `asyncio.wait_for` of Python 3.11, which redis-py sends with, loses a cancellation that comes in the moment its
    inner wait ends. So a job may return although its task was cancelled; the loop looks and ends.
    """
    failures = 0
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    while not task.cancelling():
        delay_s = every_s
        try:
            await job()
        except survive as error:
            failures += 1
            on_error(name, error)
            if failures == 1:
                log.warning("%s failed and will be tried again: %s", name, error)
            delay_s += random.uniform(0.0, min(cap_s, BACKOFF_BASE_S * 2 ** min(failures, 10)))  # noqa: S311  # jitter
            if isinstance(error, RateLimited):
                delay_s = max(delay_s, error.retry_after_s)
        else:
            if failures:
                log.info("%s works again after %d failures", name, failures)
            failures = 0
        if not task.cancelling():
            await asyncio.sleep(delay_s)
    raise asyncio.CancelledError


async def watch_over(jobs: Collection[asyncio.Task[None]]) -> None:
    """Wait until cancelled; to be run in the body of the jobs' own task group.

    A task group takes notice of a job that fails, and of nothing else: one that returns, or is cancelled by nobody but
    itself, would be missing for good without a word.

    Raises
    ------
    JobEnded
        A job has returned, or ended as if it had been cancelled.

    Notes
    -----
    On Python 3.11 a job can end so though nobody has cancelled it: a `asyncio.TaskGroup` inside of it that fails leaves
    the task's count of cancellations at one.
    """
    done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
    for job in done:
        if job.cancelled() or job.exception() is None:
            how = "as if it had been cancelled" if job.cancelled() else "without an error"
            raise JobEnded(f"{job.get_name()} runs for ever, and has ended {how}")


__all__ = ["BACKOFF_CAP_S", "SURVIVED", "JobEnded", "repeat", "watch_over"]
