"""The server's own life: starting, ending, an occupied port, its status, and the program around it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise

import httpx
import pytest
import websockets

import aione.sim
from aione.errors import AlreadyRunning, InvalidInput
from aione.sim import SimServer, SyntheticMarket, run_sim, serve
from aione.sim.clock import ManualClock, RealClock, wall_ms

F = "/fapi/v1"


# ── Starting and ending ──


async def test_a_free_port_is_taken_and_given_back(market, clock: ManualClock):
    server = await serve(market, clock=clock)
    assert server.rest_url == f"http://127.0.0.1:{server.port}"
    assert server.ws_url == f"ws://127.0.0.1:{server.port}"
    await server.close()
    await server.close()
    async with serve(market, port=server.port, clock=clock) as again:
        assert again.port == server.port
    async with httpx.AsyncClient(verify=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{server.rest_url}{F}/ping")


async def test_an_occupied_port_is_named_in_one_line(market):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AlreadyRunning, match=rf"^port {port} of 127\.0\.0\.1 is taken by another program$"):
            await serve(market, port=port)


async def test_an_address_of_another_machine_is_refused(market):
    with pytest.raises(InvalidInput, match=r"cannot listen on port 0 of 192\.0\.2\.1"):
        await serve(market, host="192.0.2.1")


async def test_clients_are_told_when_the_server_ends(market, clock: ManualClock):
    server = await serve(market, clock=clock)
    async with websockets.connect(f"{server.ws_url}/market/ws/btcusdt@kline_1m") as ws:
        await ws.recv()
        await server.close()
        await asyncio.wait_for(ws.wait_closed(), 2)
        assert ws.close_code == 1001


async def test_ending_does_not_wait_for_answers_that_hang(market, clock: ManualClock):
    server = await serve(market, clock=clock)
    async with httpx.AsyncClient(verify=False, base_url=server.rest_url) as client:
        await client.post("/sim/faults", json={"fault": "hang", "seconds": 60})
        waiting = asyncio.create_task(client.get(f"{F}/ping"))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await server.close()
        assert time.monotonic() - began < 3
        with pytest.raises(httpx.TransportError):
            await waiting


# ── Status ──


async def test_the_status_counts_what_happened(rest: httpx.AsyncClient, sim: SimServer, clock: ManualClock):
    for path in ("ping", "ping", "klines", "nothing"):
        await rest.get(f"{F}/{path}")
    address = f"{sim.ws_url}/market/stream?streams=btcusdt@kline_1m/ethusdt@kline_1m/nonsense"
    async with websockets.connect(address) as ws, websockets.connect(f"{sim.ws_url}/ws"):
        for _ in range(2):
            await ws.recv()
        status = (await rest.get("/sim/status")).json()
    assert status["requests"] == {f"{F}/ping": {"200": 2}, f"{F}/klines": {"400": 1}, "(unknown path)": {"404": 1}}
    assert status["now_ms"] == clock.now_ms()
    assert status["connections"] == 2
    assert status["connections_by_route"] == {"market": 1, "unrouted": 1}
    assert status["streams"] == 2
    assert status["messages_sent"] == 2
    assert status["weight_used"].keys() == {"127.0.0.1"}
    assert status["faults"] == []


async def test_the_control_endpoints_cost_nothing(rest: httpx.AsyncClient):
    for _ in range(3):
        await rest.get("/sim/status")
    assert int((await rest.get(f"{F}/ping")).headers["X-MBX-USED-WEIGHT-1M"]) == 1


async def test_one_failing_stream_does_not_silence_the_others(market, clock: ManualClock, caplog):
    real = market.forming

    def failing(symbol: str, now_ms: int):
        if symbol == "ETHUSDT":
            raise RuntimeError(symbol)
        return real(symbol, now_ms)

    market.forming = failing
    async with serve(market, clock=clock) as server:
        address = f"{server.ws_url}/market/stream?streams=ethusdt@kline_1m/btcusdt@kline_1m"
        async with websockets.connect(address) as ws:
            assert "btcusdt@kline_1m" in await asyncio.wait_for(ws.recv(), 2)
            await asyncio.sleep(0.6)
        assert server.status()["events"]["feed_errors"] >= 2
    assert caplog.text.count("stream ethusdt@kline_1m could not be made") == 1


# ── Clocks ──


def test_clocks():
    assert abs(RealClock().now_ms() - wall_ms()) < 50
    assert abs(RealClock.at(1_000_000).now_ms() - 1_000_000) < 50
    fast = RealClock.at(0, speed=100.0)
    time.sleep(0.02)
    assert 2000 <= fast.now_ms() < 20_000
    with pytest.raises(InvalidInput, match="speed must be above 0, was 0"):
        RealClock(speed=0)


# ── The synthetic market behind the same server ──


async def test_the_synthetic_market_is_served_and_streams_agree_with_rest():
    moment = ManualClock(1_779_278_420_000)
    async with (
        serve(SyntheticMarket(5), clock=moment) as server,
        httpx.AsyncClient(verify=False, base_url=server.rest_url) as client,
    ):
        listed = (await client.get(f"{F}/exchangeInfo")).json()["symbols"]
        kinds = {row["contractType"] for row in listed}
        assert "PERPETUAL" in kinds
        assert kinds != {"PERPETUAL"}
        rows = (await client.get(f"{F}/klines?symbol=BTCUSDT&interval=1m&limit=1500")).json()
        assert len(rows) == 1500
        assert {b[0] - a[0] for a, b in pairwise(rows)} == {60_000}
        assert all(
            float(r[3]) <= min(float(r[1]), float(r[4])) <= max(float(r[1]), float(r[4])) <= float(r[2]) for r in rows
        )
        async with websockets.connect(f"{server.ws_url}/market/ws/btcusdt@kline_1m") as ws:
            event = await asyncio.wait_for(ws.recv(), 5)
        assert f'"o":"{rows[-1][1]}"' in event
        assert f'"v":"{rows[-1][5]}"' in event


# ── The program ──


def test_the_program_says_that_its_port_is_taken(market):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(AlreadyRunning, match="is taken"):
        run_sim(market, port=taken.getsockname()[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program_serves_until_a_signal_and_ends_in_order(number: signal.Signals):
    program = (
        "from aione.sim import SyntheticMarket, run_sim\n"
        "run_sim(SyntheticMarket(2), on_ready=lambda server: print(server.rest_url, flush=True))\n"
        "print('ended')\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        address = child.stdout.readline().strip()
        assert httpx.get(f"{address}{F}/ping", trust_env=False).json() == {}
        os.kill(child.pid, number)
        out, err = child.communicate(timeout=10)
    finally:
        child.kill()
        child.wait()
    assert (out.strip(), err, child.returncode) == ("ended", "", 0)


def test_the_package_exports_what_it_says():
    assert all(hasattr(aione.sim, name) for name in aione.sim.__all__)
    assert aione.sim.__all__ == sorted(aione.sim.__all__)
