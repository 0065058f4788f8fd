"""What can be broken: the book of faults with a clock in hand, then each fault over the wire."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import pytest
import websockets

from aione.errors import InvalidInput
from aione.sim.faults import (
    KINDS,
    ClockSkew,
    ClosingLate,
    ClosingMissing,
    Faults,
    Hang,
    HttpError,
    Silence,
    Truncated,
    parse_faults,
)

F = "/fapi/v1"
MINUTE_MS = 60_000


class Hand:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


# ── The book ──


def test_a_fault_ends_with_its_duration():
    hand = Hand()
    faults = Faults(hand)
    faults.add(Silence(stream="*@kline_1m", duration_s=5.0))
    assert faults.is_silenced("btcusdt@kline_1m")
    assert not faults.is_silenced("btcusdt@aggTrade")
    hand.s += 5.0
    assert not faults.is_silenced("btcusdt@kline_1m")
    assert faults.describe() == []


def test_a_fault_ends_with_its_count():
    faults = Faults()
    faults.add(Truncated(path=f"{F}/klines", count=2))
    assert [faults.is_truncated(f"{F}/klines") for _ in range(3)] == [True, True, False]
    assert not faults.is_truncated(f"{F}/time")


def test_chance_is_the_same_for_the_same_seed():
    def draws(seed: int) -> list[float]:
        faults = Faults()
        faults.add(Hang(seconds=1.0, probability=0.5, seed=seed))
        return [faults.hang_s("/x") for _ in range(64)]

    assert draws(1) == draws(1) != draws(2)
    assert 16 < sum(draws(1)) < 48


def test_closings_are_chosen_by_symbol_and_missing_beats_late():
    faults = Faults()
    faults.add(ClosingLate(symbol="ETH*", late_s=1.5))
    assert faults.closing_late_ms("ETHUSDT") == 1500
    assert faults.closing_late_ms("BTCUSDT") == 0
    faults.add(ClosingMissing(symbol="ETHUSDT", count=1))
    assert faults.closing_late_ms("ETHUSDT") is None
    assert faults.closing_late_ms("ETHUSDT") == 1500


def test_clock_skews_add_up():
    faults = Faults()
    first = faults.add(ClockSkew(skew_ms=1000))
    faults.add(ClockSkew(skew_ms=-300))
    assert faults.skew_ms() == 700
    assert faults.clear(first.number) == 1
    assert faults.skew_ms() == -300
    assert faults.clear() == 1
    assert faults.skew_ms() == 0


def test_a_body_may_hold_one_fault_or_many():
    assert parse_faults(b'{"fault":"http_error","status":502}') == [HttpError(status=502)]
    many = parse_faults(b'[{"fault":"clock_skew","skew_ms":-5},{"fault":"silence","stream":"*"}]')
    assert many == [ClockSkew(skew_ms=-5), Silence(stream="*")]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"fault": "earthquake"}, "earthquake"),
        ({"fault": "earthquake"}, "known faults: banned, clock_skew, "),
        ({}, "fault"),
        ({"fault": "hang"}, "seconds"),
        ({"fault": "hang", "seconds": 0}, "seconds"),
        ({"fault": "hang", "seconds": "long"}, "seconds"),
        ({"fault": "hang", "seconds": 1, "minutes": 1}, "minutes"),
        ({"fault": "http_error", "status": 200}, "status"),
        ({"fault": "truncated", "count": 0}, "count"),
        ({"fault": "truncated", "probability": 1.5}, "probability"),
        ({"fault": "silence"}, "stream"),
        ({"fault": "silence", "stream": "*", "count": 3}, "count"),
        ({"fault": "clock_skew", "skew_ms": 1.5}, "skew_ms"),
        ({"fault": "closing_late"}, "late_s"),
        ({"fault": "drop_connections", "after_messages": -1}, "after_messages"),
        ([{"fault": "truncated"}, {"fault": "hang"}], "seconds"),
    ],
)
async def test_a_wrong_fault_is_refused_with_its_name_and_changes_nothing(rest: httpx.AsyncClient, body, named: str):
    with pytest.raises(InvalidInput, match=named):
        parse_faults(json.dumps(body).encode())
    reply = await rest.post("/sim/faults", json=body)
    assert reply.status_code == 400
    assert named in reply.json()["error"]
    assert (await rest.get("/sim/faults")).json() == []


async def test_a_body_that_is_not_json_is_refused(rest: httpx.AsyncClient):
    assert (await rest.post("/sim/faults", content=b"{")).status_code == 400


def test_every_kind_is_known_by_its_name():
    assert len(KINDS) == 15


# ── The control endpoint ──


async def test_faults_are_listed_and_ended_one_by_one_or_all(rest: httpx.AsyncClient, sim, fault):
    one = await fault(sim, "truncated", path=f"{F}/klines", duration_s=60)
    await fault(sim, "hang", seconds=9, path="/none")
    listed = (await rest.get("/sim/faults")).json()
    assert [row["fault"] for row in listed] == ["truncated", "hang"]
    assert listed[0]["id"] == one["id"]
    assert listed[0]["acted"] == 0
    assert 50 < listed[0]["left_s"] <= 60
    assert listed[1]["left_s"] is None
    assert (await rest.delete(f"/sim/faults/{one['id']}")).json() == {"ended": 1}
    assert (await rest.delete("/sim/faults/99")).status_code == 404
    assert (await rest.delete("/sim/faults")).json() == {"ended": 1}
    assert (await rest.get("/sim/faults")).json() == []


async def test_unknown_control_addresses_say_what_there_is(rest: httpx.AsyncClient):
    for method, path in (("GET", "/sim/nothing"), ("PUT", "/sim/faults"), ("DELETE", "/sim/faults/x")):
        reply = await rest.request(method, path)
        assert reply.status_code == 404
        assert "/sim/status" in reply.json()["error"]


# ── REST faults ──


async def test_server_errors(rest: httpx.AsyncClient, sim, fault):
    await fault(sim, "http_error", status=503, path=f"{F}/time", count=1)
    await fault(sim, "http_error", status=400, code=-1021, msg="Timestamp is outside.", path=f"{F}/time", count=1)
    assert (await rest.get(f"{F}/ping")).status_code == 200
    page = await rest.get(f"{F}/time")
    assert page.status_code == 503
    with pytest.raises(json.JSONDecodeError):
        page.json()
    refused = await rest.get(f"{F}/time")
    assert (refused.status_code, refused.json()) == (400, {"code": -1021, "msg": "Timestamp is outside."})
    assert (await rest.get(f"{F}/time")).status_code == 200
    await fault(sim, "http_error", status=503, code=-1001, count=1)
    assert (await rest.get(f"{F}/time")).json()["code"] == -1001


async def test_rate_limits_and_bans_on_demand(rest: httpx.AsyncClient, sim, fault):
    await fault(sim, "rate_limited", retry_after_s=7, count=1)
    limited = await rest.get(f"{F}/time")
    assert (limited.status_code, limited.headers["Retry-After"], limited.json()["code"]) == (429, "7", -1003)
    await fault(sim, "banned", retry_after_s=30, count=1)
    banned = await rest.get(f"{F}/time")
    assert (banned.status_code, banned.headers["Retry-After"]) == (418, "30")
    until_ms = int(banned.json()["msg"].split("banned until ")[1].split(".")[0])
    assert until_ms == pytest.approx(time.time() * 1000 + 30_000, abs=3000)
    assert (await rest.get(f"{F}/time")).status_code == 200
    status = (await rest.get("/sim/status")).json()
    assert (status["responses_429"], status["responses_418"]) == (1, 1)


async def test_a_hanging_answer_makes_the_client_time_out(rest: httpx.AsyncClient, sim, fault):
    await fault(sim, "hang", seconds=0.4, path=f"{F}/klines", count=2)
    query = f"{F}/klines?symbol=BTCUSDT&interval=1m&limit=1"
    with pytest.raises(httpx.ReadTimeout):
        await rest.get(query, timeout=0.1)
    began = time.monotonic()
    assert (await rest.get(query)).status_code == 200
    assert time.monotonic() - began >= 0.39
    assert (await rest.get(query)).elapsed.total_seconds() < 0.3


async def test_truncated_json(rest: httpx.AsyncClient, sim, fault):
    await fault(sim, "truncated", path=f"{F}/exchangeInfo", count=1)
    broken, whole = await rest.get(f"{F}/exchangeInfo"), await rest.get(f"{F}/exchangeInfo")
    assert broken.status_code == 200
    assert whole.content.startswith(broken.content)
    with pytest.raises(json.JSONDecodeError):
        broken.json()
    assert whole.json()["symbols"]


async def test_a_skewed_clock_moves_the_whole_exchange(rest: httpx.AsyncClient, sim, fault, clock, noon_ms):
    await fault(sim, "clock_skew", skew_ms=-25_000)
    assert (await rest.get(f"{F}/time")).json()["serverTime"] == clock.now_ms() - 25_000
    row = (await rest.get(f"{F}/klines?symbol=BTCUSDT&interval=1m&limit=1")).json()[0]
    assert row[0] == noon_ms - MINUTE_MS
    async with websockets.connect(f"{sim.ws_url}/market/ws/btcusdt@kline_1m") as ws:
        assert json.loads(await ws.recv())["E"] == clock.now_ms() - 25_000
    await rest.delete("/sim/faults")
    assert (await rest.get(f"{F}/time")).json()["serverTime"] == clock.now_ms()


# ── WebSocket faults ──

KLINE = "/market/ws/btcusdt@kline_1m"


async def events(ws, seconds: float) -> list[dict]:
    out, ends = [], time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        try:
            out.append(json.loads(await asyncio.wait_for(ws.recv(), left)))
        except TimeoutError:
            break
    return out


async def test_connections_are_dropped_at_once_and_new_ones_live(sim, fault):
    async with websockets.connect(sim.ws_url + KLINE) as one, websockets.connect(sim.ws_url + KLINE) as two:
        await one.recv()
        shown = await fault(sim, "drop_connections")
        assert shown["acted"] == 2
        for ws in (one, two):
            async with asyncio.timeout(2):
                await ws.wait_closed()
            assert ws.close_code == 1006
    async with websockets.connect(sim.ws_url + KLINE) as ws:
        assert json.loads(await ws.recv())["e"] == "kline"
    assert sim.status()["events"]["connections_cut"] == 2
    assert sim.status()["faults"] == []


async def test_only_as_many_connections_are_dropped_as_asked(sim, fault):
    async with websockets.connect(sim.ws_url + KLINE), websockets.connect(sim.ws_url + KLINE):
        await asyncio.sleep(0.05)
        assert (await fault(sim, "drop_connections", count=1))["acted"] == 1
        assert sim.status()["connections"] == 1


async def test_a_connection_is_dropped_after_exactly_n_messages(sim, fault, clock):
    await fault(sim, "drop_connections", after_messages=3, count=1)
    async with websockets.connect(sim.ws_url + KLINE) as ws:
        for _ in range(3):
            await asyncio.wait_for(ws.recv(), 2)
            clock.advance(1000)
        with pytest.raises(websockets.ConnectionClosedError):
            await asyncio.wait_for(ws.recv(), 2)
    async with websockets.connect(sim.ws_url + KLINE) as ws:
        for _ in range(5):
            await asyncio.wait_for(ws.recv(), 2)
            clock.advance(1000)


async def test_new_connections_are_refused_for_a_while(sim, fault):
    await fault(sim, "refuse_connections", duration_s=0.3)
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(sim.ws_url + KLINE)
    assert refused.value.response.status_code == 503
    await asyncio.sleep(0.35)
    async with websockets.connect(sim.ws_url + KLINE) as ws:
        assert await ws.recv()


async def test_a_silenced_stream_is_acknowledged_and_never_delivers(sim, fault, clock):
    await fault(sim, "silence", stream="btcusdt@*")
    async with websockets.connect(f"{sim.ws_url}/market/stream") as ws:
        names = ["btcusdt@kline_1m", "ethusdt@kline_1m"]
        await ws.send(json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}))
        assert json.loads(await ws.recv()) == {"result": None, "id": 1}
        await asyncio.sleep(0.1)
        clock.advance(1000)
        assert {e["stream"] for e in await events(ws, 0.2)} == {"ethusdt@kline_1m"}
        sim.faults.clear()
        clock.advance(1000)
        assert {e["stream"] for e in await events(ws, 0.2)} == set(names)


async def test_a_closing_bar_comes_late(start, fault, clock, noon_ms):
    sim = await start(closing_delay_s=1.0, closing_spread_s=0.0)
    await fault(sim, "closing_late", symbol="BTCUSDT", late_s=5, count=1)
    async with websockets.connect(sim.ws_url + KLINE) as ws:
        await ws.recv()
        clock.moment_ms = noon_ms + MINUTE_MS + 5900
        assert not any(e["k"]["x"] for e in await events(ws, 0.1))
        clock.moment_ms = noon_ms + MINUTE_MS + 6000
        assert [e["k"]["t"] for e in await events(ws, 0.1) if e["k"]["x"]] == [noon_ms]
        clock.moment_ms = noon_ms + 2 * MINUTE_MS + 1000
        assert [e["k"]["t"] for e in await events(ws, 0.1) if e["k"]["x"]] == [noon_ms + MINUTE_MS]


async def test_a_closing_bar_is_missing(start, fault, clock, noon_ms):
    sim = await start(closing_delay_s=0.0, closing_spread_s=0.0)
    await fault(sim, "closing_missing", count=1)
    async with websockets.connect(sim.ws_url + KLINE) as ws:
        await ws.recv()
        clock.moment_ms = noon_ms + MINUTE_MS + 30_000
        assert not any(e["k"]["x"] for e in await events(ws, 0.1))
        clock.moment_ms = noon_ms + 2 * MINUTE_MS + 30_000
        assert [e["k"]["t"] for e in await events(ws, 0.1) if e["k"]["x"]] == [noon_ms + MINUTE_MS]


async def test_a_batch_of_messages_is_cut_where_the_connection_ends(sim, fault, clock):
    async with websockets.connect(f"{sim.ws_url}/market/ws/btcusdt@aggTrade") as ws:
        await asyncio.sleep(0.1)
        await fault(sim, "drop_connections", after_messages=2)
        clock.advance(4000)  # four trades at once
        assert [json.loads(await asyncio.wait_for(ws.recv(), 2))["e"] for _ in range(2)] == ["aggTrade"] * 2
        with pytest.raises(websockets.ConnectionClosedError):
            await asyncio.wait_for(ws.recv(), 2)
