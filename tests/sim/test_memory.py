"""The exchange inside a program: time that jumps, and the same words as over a socket."""

from __future__ import annotations

import asyncio
import os
import random
import time

import httpx
import pytest
from websockets.frames import Frame, Opcode

from aione.errors import InvalidInput
from aione.sim import faults
from aione.sim.memory import ADDRESS, LoopClock, MemoryExchange, MemoryTransport, frames
from aione.sim.options import SimOptions
from aione.sim.streams import ping_frame, text_frame

from .memory_parts import virtually

F = "/fapi/v1"


# ── Time ──


def test_hours_pass_at_once_and_to_the_second():
    async def scenario():
        await asyncio.sleep(36_000)
        return asyncio.get_running_loop().time()

    started_s = time.perf_counter()
    assert virtually(scenario) == (36_000.0, 36_000.0)
    assert time.perf_counter() - started_s < 1.0


def test_everyone_wakes_when_he_wanted_to_and_in_this_order():
    random.seed(7)
    wishes = [round(random.uniform(0, 500), 3) for _ in range(200)]

    async def scenario():
        woken = []

        async def sleeper(wish):
            await asyncio.sleep(wish)
            woken.append((wish, asyncio.get_running_loop().time()))

        await asyncio.gather(*map(sleeper, wishes))
        return woken

    woken, took_s = virtually(scenario)
    assert [wish for wish, _ in woken] == sorted(wishes)
    assert all(at_s == pytest.approx(wish, abs=1e-6) for wish, at_s in woken)
    assert took_s == pytest.approx(max(wishes), abs=1e-6)


def test_time_stands_still_while_anybody_works():
    async def scenario():
        time.sleep(0.02)  # noqa: ASYNC251  # work that takes time
        for _ in range(1000):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert virtually(scenario) == (0.0, 0.0)


def test_a_deadline_comes_in_virtual_time():
    async def scenario():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(90):
                await asyncio.Event().wait()

    assert virtually(scenario)[1] == pytest.approx(90)


def test_to_wait_for_what_nobody_will_do_is_an_error_and_not_for_ever():
    async def scenario():
        await asyncio.sleep(5)
        await asyncio.Event().wait()

    with pytest.raises(InvalidInput, match="nobody will ever do anything again"):
        virtually(scenario)


def test_what_is_there_already_is_served_before_time_passes():
    async def scenario():
        loop, (source, sink) = asyncio.get_running_loop(), os.pipe()
        came = loop.create_future()
        loop.add_reader(source, lambda: came.set_result((os.read(source, 9), loop.time())))
        os.write(sink, b"now")
        waiting = asyncio.create_task(asyncio.sleep(100))
        found = await came
        loop.remove_reader(source)
        await waiting
        os.close(source)
        os.close(sink)
        return found

    assert virtually(scenario) == ((b"now", 0.0), 100.0)


def test_the_exchanges_clock_follows_the_loop(noon_ms):
    async def scenario():
        clock = LoopClock(asyncio.get_running_loop(), noon_ms)
        shown = [clock.now_ms()]
        for seconds in (0.25, 60):
            await asyncio.sleep(seconds)
            shown.append(clock.now_ms())
        return shown

    assert virtually(scenario)[0] == [noon_ms, noon_ms + 250, noon_ms + 60_250]


# ── Frames ──


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_frames_are_read_as_another_library_writes_them(size):
    payload = bytes(at % 251 for at in range(size))
    ours = [text_frame(payload), ping_frame(payload[:125])]
    theirs = [Frame(Opcode.TEXT, payload), Frame(Opcode.PING, payload[:125])]
    assert ours == [frame.serialize(mask=False) for frame in theirs]
    assert frames(b"".join(ours) * 2) == [(1, payload), (9, payload[:125])] * 2


def test_no_bytes_are_no_frames():
    assert frames(b"") == []


# ── REST: the same answers as over a socket ──


def memory(market, clock, **options):
    return MemoryExchange(market, clock, SimOptions(**options), time.monotonic)


def client_of(exchange):
    return httpx.AsyncClient(transport=MemoryTransport(exchange), base_url="http://exchange")


QUESTIONS = [
    ("GET", f"{F}/ping", {}),
    ("GET", f"{F}/time", {}),
    ("GET", f"{F}/exchangeInfo", {}),
    ("GET", f"{F}/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 5}),
    ("GET", f"{F}/klines", {"symbol": "OUTUSDT", "interval": "15m", "limit": 700}),
    ("GET", f"{F}/klines", {"symbol": "币安USDT", "interval": "1h", "limit": 3}),
    ("GET", f"{F}/ticker/24hr", {}),
    ("GET", f"{F}/ticker/24hr", {"symbol": "ETHUSDT"}),
    ("GET", f"{F}/ticker/bookTicker", {}),
    ("GET", f"{F}/premiumIndex", {}),
    ("GET", f"{F}/depth", {"symbol": "BTCUSDT", "limit": 10}),
    ("GET", f"{F}/openInterest", {"symbol": "BTCUSDT"}),
    ("GET", f"{F}/fundingRate", {"symbol": "BTCUSDT", "limit": 3}),
    ("GET", f"{F}/klines", {"symbol": "NOPEUSDT", "interval": "1m"}),
    ("GET", f"{F}/klines", {"symbol": "BTCUSDT", "interval": "7m"}),
    ("GET", f"{F}/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "many"}),
    ("GET", f"{F}/klines", {}),
    ("POST", f"{F}/klines", {"symbol": "BTCUSDT", "interval": "1m"}),
    ("GET", "/fapi/v9/nothing", {}),
]


def told(reply):
    """Return what a client reads of an answer; a header that only one kind of line has is none of the exchange's."""
    names = ("x-mbx-used-weight-1m", "retry-after", "content-type")
    headers = {name: reply.headers.get(name, "").partition(";")[0] for name in names}
    return reply.status_code, reply.content, headers


async def both(market, clock, start, **options):
    """Return clients of the exchange in memory and of a server, of the same market and moment; and both exchanges."""
    server = await start(budget_by_market_clock=True, **options)
    exchange = MemoryExchange(market, clock, server.options, time.monotonic)
    return client_of(exchange), httpx.AsyncClient(base_url=server.rest_url), exchange, server


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda one: f"{one[0]} {one[1]} {one[2]}")
async def test_every_question_has_the_same_answer_as_over_a_socket(market, clock, start, question):
    near, far, _, _ = await both(market, clock, start)
    method, path, params = question
    async with near, far:
        answers = [told(await client.request(method, path, params=params)) for client in (near, far)]
    assert answers[0] == answers[1]
    assert answers[0][1]


async def test_the_budget_ends_at_the_same_request_and_a_ban_follows_with_the_same_words(market, clock, start):
    near, far, _, _ = await both(market, clock, start, weight_limit=60, refusals_before_ban=2, ban_s=90.0)
    answers = []
    async with near, far:
        for client in (near, far):
            replies = [told(await client.get(f"{F}/ticker/24hr")) for _ in range(6)]
            answers.append(replies)
    assert answers[0] == answers[1]
    assert [status for status, _, _ in answers[0]] == [200, 429, 429, 418, 418, 418]
    assert ADDRESS.encode() in answers[0][-1][1]


@pytest.mark.parametrize(
    "fault",
    [
        faults.HttpError(status=502),
        faults.HttpError(status=503, code=-1008, msg="busy"),
        faults.RateLimited(retry_after_s=9),
        faults.Banned(retry_after_s=30),
        faults.Truncated(),
        faults.ClockSkew(skew_ms=3500),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_what_is_broken_is_broken_alike(market, clock, start, fault):
    near, far, exchange, server = await both(market, clock, start)
    exchange.break_it(fault)
    server.faults.add(fault)
    async with near, far:
        for path in (f"{F}/time", f"{F}/exchangeInfo"):
            assert told(await near.get(path)) == told(await far.get(path))
        whole = told(await client_of(memory(market, clock)).get(f"{F}/time"))
        assert told(await near.get(f"{F}/time")) != whole


def test_a_request_takes_its_time_on_the_line_and_a_budget_counts_by_the_exchanges_minutes(market, noon_ms):
    async def scenario():
        loop = asyncio.get_running_loop()
        options = SimOptions(weight_limit=45, latency_s=2.0)
        exchange = MemoryExchange(market, LoopClock(loop, noon_ms), options, loop.time)
        exchange.break_it(faults.Hang(seconds=10.0, count=1))
        async with client_of(exchange) as client:
            seen = []
            for _ in range(3):
                reply = await client.get(f"{F}/ticker/24hr")
                seen.append((loop.time(), reply.status_code))
            await asyncio.sleep(60 - loop.time())
            seen.append((loop.time(), (await client.get(f"{F}/ticker/24hr")).status_code))
        return seen

    assert virtually(scenario)[0] == [(12.0, 200), (14.0, 429), (16.0, 429), (60.0, 200)]
