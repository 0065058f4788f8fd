"""The life of a stream connection: limits, pings, and who does not read."""

from __future__ import annotations

import asyncio
import json

import websockets
from websockets.asyncio.client import ClientConnection

from .streaming import ask, first

# ── The life of a connection ──


async def closing(ws: ClientConnection, within_s: float = 3.0) -> int:
    """The code with which the server closes; data on the way is read over."""
    async with asyncio.timeout(within_s):
        await ws.wait_closed()
    return ws.close_code


async def test_too_many_streams_close_the_connection_and_lose_all(sim):
    async with websockets.connect(f"{sim.ws_url}/market/ws") as ws:
        names = [f"s{i}@kline_1m" for i in range(1024)]
        await ask(ws, "SUBSCRIBE", names)
        await ws.send(json.dumps({"method": "SUBSCRIBE", "params": ["btcusdt@kline_1m"], "id": 2}))
        assert await closing(ws) == 1008
    assert sim.status()["streams"] == 0
    assert sim.status()["connections"] == 0


async def test_eleven_control_messages_in_a_second_disconnect(sim):
    async with websockets.connect(f"{sim.ws_url}/market/ws") as ws:
        for number in range(11):
            await ws.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        assert await closing(ws) == 1008


async def test_pings_are_control_messages_too(sim):
    async with websockets.connect(f"{sim.ws_url}/market/ws") as ws:
        for number in range(11):
            await ws.ping(str(number))
        assert await closing(ws) == 1008


async def test_the_server_answers_pings(sim):
    async with websockets.connect(f"{sim.ws_url}/market/ws") as ws:
        waiter = await ws.ping(b"mine")
        assert await asyncio.wait_for(waiter, 2.0) >= 0


async def test_the_server_pings_and_a_client_that_answers_stays(start):
    sim = await start(ping_interval_s=0.1, pong_timeout_s=0.5, control_per_s=1000)
    async with websockets.connect(f"{sim.ws_url}/market/ws") as ws:
        await asyncio.sleep(0.9)
        assert ws.close_code is None
        assert sim.status()["events"]["pings_sent"] >= 3


async def test_a_client_that_never_answers_is_closed(start):
    sim = await start(ping_interval_s=0.1, pong_timeout_s=0.3)
    reader, writer = await asyncio.open_connection(sim.host, sim.port)
    writer.write(
        b"GET /market/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head
    frames = await asyncio.wait_for(reader.read(), 4.0)
    writer.close()
    assert frames[0] == 0x89  # a ping
    assert b"\x88" in frames  # then the close frame
    assert (1008).to_bytes(2, "big") in frames


async def test_a_connection_has_a_longest_life(start):
    sim = await start(lifetime_s=0.3)
    async with websockets.connect(f"{sim.ws_url}/market/ws/btcusdt@kline_1m") as ws:
        assert await closing(ws) == 1001


async def test_a_client_that_does_not_read_is_cut_off(start, clock):
    sim = await start(max_buffer_bytes=20_000, book_ticker_ms=10)
    reader, writer = await asyncio.open_connection(sim.host, sim.port, limit=1024)
    writer.write(
        b"GET /market/ws/!ticker@arr HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    connection = next(iter(sim.hub.connections))
    # The kernel's buffers hold megabytes, so the transport is filled instead of waiting for them to overflow.
    connection.transport.write(bytes(12_000_000))
    clock.advance(1000)
    for _ in range(100):
        if not sim.hub.connections:
            break
        await asyncio.sleep(0.02)
        clock.advance(1000)
    writer.close()
    assert sim.status()["events"]["slow_clients_cut"] == 1


async def test_an_address_may_name_as_many_streams_as_a_connection_may_have(sim):
    address = f"{sim.ws_url}/market/stream?streams="
    names = [f"longsymbolname{i}usdt@kline_1m" for i in range(1023)]
    async with websockets.connect(address + "/".join([*names, "btcusdt@kline_1m"])) as ws:
        assert (await first(ws))["stream"] == "btcusdt@kline_1m"
    async with websockets.connect(address + "/".join([*names, "a@kline_1m", "btcusdt@kline_1m"])) as ws:
        assert await closing(ws) == 1008
