"""Doing a job again and again, whatever happens to the services it needs."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

from redis.exceptions import RedisError

from aione.errors import RateLimited, ServiceUnavailable, VenueError

log = logging.getLogger(__name__)

BACKOFF_BASE_S: Final = 0.25
BACKOFF_CAP_S: Final = 10.0
SURVIVED: Final = (ServiceUnavailable, VenueError, RedisError, OSError)
"""What a job may raise without ending the worker: its services are away, or refuse for now."""


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


__all__ = ["BACKOFF_CAP_S", "SURVIVED", "repeat"]
