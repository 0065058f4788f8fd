"""Fetching many symbols at once: who is refused stands alone, and who fails for all ends the run."""

import asyncio

import orjson
import pytest

from aione.errors import RequestRejected, VenueUnavailable
from aione.store.rings import MemoryRings
from aione.venue import filling
from aione.venue.filling import GIVE_UP_AFTER, together
from aione.venue.history import preload

MINUTE_MS = 60_000
END = 1_700_000_400_000
KLINES = "/fapi/v1/klines"


@pytest.fixture(autouse=True)
def quick(exchange, monkeypatch):
    monkeypatch.setattr(filling, "BACKOFF_BASE_S", 0.001)
    exchange.frozen_ms = END + MINUTE_MS + 700


def fetch(rest, symbols, *, bars=50, concurrency=1):
    return preload(rest, MemoryRings(), symbols, interval="1m", bars=bars, end_ms=END, concurrency=concurrency)


def refusal(code):
    return orjson.dumps({"code": code, "msg": "refused"})


async def test_a_code_that_nobody_knows_fails_its_symbol_alone(exchange, rest, canned):
    exchange.answer(KLINES, canned(status=400, body=refusal(-4108)))
    report = await fetch(rest, ["AUSDT", "BUSDT", "CUSDT"])
    assert list(report.failed) == ["AUSDT"]
    assert report.bars_written == 100


async def test_one_that_every_symbol_gets_ends_the_run(exchange, rest, canned):
    exchange.answer(KLINES, *[canned(status=400, body=refusal(-4108))] * 100)
    with pytest.raises(RequestRejected, match="-4108"):
        await fetch(rest, [f"S{n}USDT" for n in range(50)])
    assert len(exchange.klines()) == GIVE_UP_AFTER


@pytest.mark.parametrize("code", [-1100, -1121 - 9, -4021])
async def test_a_mistake_of_ours_ends_the_run_at_once(exchange, rest, canned, code):
    exchange.answer(KLINES, canned(status=400, body=refusal(code)))
    with pytest.raises(RequestRejected, match=str(code)):
        await fetch(rest, ["AUSDT", "BUSDT"])
    assert len(exchange.klines()) == 1


async def test_a_run_that_ended_in_an_error_leaves_its_caller_uncancelled(exchange, rest, canned):
    """Python 3.11's own group of tasks does not; whoever asks `Task.cancelling` afterwards would stop for good."""
    exchange.answer(KLINES, *[canned(status=502)] * 1000)
    with pytest.raises(VenueUnavailable):
        await fetch(rest, [f"S{n}USDT" for n in range(20)], concurrency=8)
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)


async def test_after_the_first_error_the_others_are_cancelled_and_awaited():
    ended = []

    async def endless(name):
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(name)

    async def failing():
        await asyncio.sleep(0.01)
        raise ValueError("this one")

    with pytest.raises(ValueError, match="this one"):
        await together([endless("a"), failing(), endless("b")])
    assert ended == ["a", "b"]


async def test_who_is_cancelled_cancels_its_jobs():
    ended = []

    async def endless():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    task = asyncio.create_task(together([endless(), endless()]))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True, True]
