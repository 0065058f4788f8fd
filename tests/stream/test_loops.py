"""A job is done again and again; what its services do to it does not end it, what it does wrong itself does."""

from __future__ import annotations

import asyncio
import logging

import pytest
from redis.exceptions import ResponseError

from aione.errors import InvalidInput, RateLimited, ServiceUnavailable, VenueUnavailable
from aione.stream.loops import repeat


class Job:
    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.done = 0
        self.told = []

    async def __call__(self):
        self.done += 1
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome

    def tell(self, name, error):
        self.told.append((name, type(error)))


async def ran_for(job, seconds, **kwargs):
    task = asyncio.create_task(repeat("the job", job, 0.01, on_error=job.tell, **kwargs))
    await asyncio.sleep(seconds)
    task.cancel()
    return await asyncio.gather(task, return_exceptions=True)


async def test_what_services_do_is_survived_told_and_logged_once(caplog):
    caplog.set_level(logging.INFO)
    failures = [ServiceUnavailable("gone"), VenueUnavailable("503"), ResponseError("OOM"), OSError("reset")]
    job = Job(*failures)
    await ran_for(job, 0.4, cap_s=0.01)
    assert job.done > len(failures)
    assert job.told == [("the job", type(error)) for error in failures]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "after 4 failures" in caplog.text


async def test_its_own_mistake_ends_it():
    job = Job(InvalidInput("wrong"))
    (outcome,) = await ran_for(job, 0.05)
    assert isinstance(outcome, InvalidInput)


async def test_it_waits_as_long_as_the_exchange_asks():
    job = Job(RateLimited("hold", retry_after_s=5.0))
    await ran_for(job, 0.15, cap_s=0.01)
    assert job.done == 1


@pytest.mark.parametrize("failures", [0, 3])
async def test_cancelling_ends_it_at_once(failures):
    job = Job(*[OSError("x")] * failures)
    (outcome,) = await ran_for(job, 0.02)
    assert isinstance(outcome, asyncio.CancelledError)


async def test_a_cancellation_that_the_job_swallows_ends_it_all_the_same():
    job = Job()

    async def swallows():
        try:
            await asyncio.sleep(60.0)
        except asyncio.CancelledError:
            await job()

    task = asyncio.create_task(repeat("the job", swallows, 0.01, on_error=job.tell))
    await asyncio.sleep(0.02)
    task.cancel()
    (outcome,) = await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 2.0)
    assert isinstance(outcome, asyncio.CancelledError)
    assert job.done == 1
