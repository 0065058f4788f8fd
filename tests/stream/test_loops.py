"""A job is done again and again; what its services do to it does not end it, what it does wrong itself does."""

from __future__ import annotations

import asyncio
import logging

import pytest
from redis.exceptions import ResponseError

from aione.errors import InvalidInput, RateLimited, ServiceUnavailable, VenueUnavailable
from aione.stream.loops import JobEnded, repeat, watch_over


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


# ── Jobs that end ──


async def leaks_a_cancellation():
    """What a failed task group inside a job leaves behind on Python 3.11: a count of one, though nobody cancelled."""
    task = asyncio.current_task()
    task.cancel()
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        return


async def run_with(*works):
    async with asyncio.TaskGroup() as group:
        jobs = [group.create_task(work, name=f"job {number}") for number, work in enumerate(works)]
        await watch_over(jobs)


@pytest.mark.parametrize(
    ("work", "how"),
    [
        (lambda: repeat("x", leaks_a_cancellation, 0.01, on_error=Job().tell), "as if it had been cancelled"),
        (lambda: asyncio.sleep(0.01), "without an error"),
    ],
)
async def test_a_job_that_ends_though_nobody_cancelled_it_ends_the_others_and_is_told_of(work, how):
    other = Job()
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(run_with(work(), repeat("other", other, 0.01, on_error=other.tell)), 2.0)
    (error,) = caught.value.exceptions
    assert isinstance(error, JobEnded)
    assert str(error) == f"job 0 runs for ever, and has ended {how}"


async def test_a_job_that_fails_is_told_of_by_its_own_error_alone():
    job = Job(InvalidInput("wrong"))
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(run_with(repeat("x", job, 0.0, on_error=job.tell), asyncio.sleep(60.0)), 2.0)
    assert [type(error) for error in caught.value.exceptions] == [InvalidInput]


async def test_who_is_cancelled_is_told_of_no_job_that_ended():
    task = asyncio.create_task(run_with(asyncio.sleep(60.0), repeat("x", Job(), 0.01, on_error=Job().tell)))
    await asyncio.sleep(0.03)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
