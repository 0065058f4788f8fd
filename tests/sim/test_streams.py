"""The protocol of a connection as a pure machine, then what really arrives over a socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterable
from itertools import pairwise

import httpx
import orjson
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from aione.sim.options import SimOptions
from aione.sim.streams import Route, Session, StreamSpec, parse_stream, text_frame

MINUTE_MS = 60_000


def session(**options) -> Session:
    return Session(SimOptions(**options), is_combined=False)


def say(target: Session, method: str, params: object = None, number: object = 1, at_s: float = 0.0):
    return target.receive(orjson.dumps({"method": method, "params": params, "id": number}), at_s)


# ── Names and routes ──


@pytest.mark.parametrize(
    "name",
    [
        "BTCUSDT@kline_1m",
        "btcusdt@kline_7m",
        "btcusdt@kline_1M",
        "btcusdt@kline_1m@1s",
        "btcusdt@aggtrade",
        "btcusdt@depth7",
        "btcusdt@depth@7ms",
        "btcusdt@markPrice@2s",
        "btcusdt@bookTicker@100ms",
        "@kline_1m",
        "btcusdt",
        "btcusdt@",
        "!ticker",
        "!miniticker@arr",
        "nonsense",
        "",
    ],
)
def test_these_names_mean_nothing(name: str):
    assert parse_stream(name) is None


@pytest.mark.parametrize(
    ("name", "spec", "is_market"),
    [
        ("btcusdt@kline_15m", StreamSpec("kline", "BTCUSDT", "15m"), True),
        ("btcusdt@aggTrade", StreamSpec("aggTrade", "BTCUSDT"), True),
        ("btcusdt@markPrice", StreamSpec("markPrice", "BTCUSDT", period_ms=3000), True),
        ("btcusdt@markPrice@1s", StreamSpec("markPrice", "BTCUSDT", period_ms=1000), True),
        ("btcusdt@forceOrder", StreamSpec("forceOrder", "BTCUSDT"), True),
        ("!miniTicker@arr", StreamSpec("!miniTicker", ""), True),
        ("!markPrice@arr@1s", StreamSpec("!markPrice", "", period_ms=1000), True),
        ("!contractInfo", StreamSpec("!contractInfo", ""), True),
        ("btcusdt@bookTicker", StreamSpec("bookTicker", "BTCUSDT"), False),
        ("btcusdt@depth", StreamSpec("depth", "BTCUSDT", "", 250), False),
        ("btcusdt@depth@100ms", StreamSpec("depth", "BTCUSDT", "", 100), False),
        ("btcusdt_261225@depth10@500ms", StreamSpec("depth", "BTCUSDT_261225", "10", 500), False),
        ("币安usdt@trade", StreamSpec("trade", "币安USDT"), False),
    ],
)
def test_names_and_their_routes(name: str, spec: StreamSpec, is_market: bool):
    assert parse_stream(name) == spec
    assert Route.MARKET.delivers(spec) is is_market
    assert Route.PUBLIC.delivers(spec) is not is_market
    assert Route.UNROUTED.delivers(spec) is not is_market


# ── The session ──


def test_everything_is_acknowledged_and_echoed():
    mine = session()
    step = say(mine, "SUBSCRIBE", ["btcusdt@kline_1m", "NONSENSE", "BTCUSDT@kline_1m"], 5)
    assert step.reply == b'{"result":null,"id":5}'
    assert step.added == ["btcusdt@kline_1m", "NONSENSE", "BTCUSDT@kline_1m"]
    listed = say(mine, "LIST_SUBSCRIPTIONS", None, "a")
    assert orjson.loads(listed.reply) == {"result": step.added, "id": "a"}


def test_unsubscribing_names_only_what_was_subscribed():
    mine = session()
    say(mine, "SUBSCRIBE", ["a", "b", "b"])
    step = say(mine, "UNSUBSCRIBE", ["b", "c"])
    assert step.removed == ["b"]
    assert step.reply == b'{"result":null,"id":1}'
    assert list(mine.names) == ["a"]
    assert say(mine, "SUBSCRIBE", ["a"]).added == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 3),
        ("[]", 2),
        ('{"method":"DANCE","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":"btcusdt@kline_1m","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[1],"id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[],"id":1.5}', 2),
        ('{"method":"SET_PROPERTY","params":["colour","red"],"id":1}', 0),
    ],
)
def test_a_malformed_message_is_answered_with_an_error(text: str, code: int):
    step = session().receive(text, 0.0)
    assert orjson.loads(step.reply)["error"]["code"] == code
    assert step.close is None


def test_the_combined_form_can_be_turned_on():
    mine = session()
    assert orjson.loads(say(mine, "GET_PROPERTY", ["combined"]).reply)["result"] is False
    say(mine, "SET_PROPERTY", ["combined", True])
    assert mine.is_combined
    assert orjson.loads(say(mine, "GET_PROPERTY", ["combined"]).reply)["result"] is True


def test_the_stream_beyond_the_limit_closes_with_1008():
    mine = session()
    assert say(mine, "SUBSCRIBE", [f"s{i}" for i in range(1024)]).close is None
    assert say(mine, "SUBSCRIBE", ["s5"]).close is None
    assert say(mine, "SUBSCRIBE", ["one more"]).close == (1008, "Too many streams")
    assert session().open(f"s{i}" for i in range(1025)).close[0] == 1008


def test_ten_messages_a_second_are_allowed_and_the_eleventh_is_not():
    mine = session()
    assert not any(say(mine, "LIST_SUBSCRIPTIONS", at_s=k / 100).close for k in range(10))
    assert say(mine, "LIST_SUBSCRIPTIONS", at_s=1.0).close is None  # the first is a second old
    assert say(mine, "LIST_SUBSCRIPTIONS", at_s=1.001).close == (1008, "Too many requests")


def test_pings_count_as_control_messages():
    mine = session(control_per_s=2)
    assert [mine.control(0.0).close for _ in range(3)][-1] is not None


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_carries_its_length_in_the_form_of_the_standard(size: int):
    frame = text_frame(b"x" * size)
    assert frame[0] == 0x81
    head = 2 if size < 126 else 4 if size < 65_536 else 10
    assert len(frame) == head + size
    if head > 2:
        assert frame[1] == (126 if head == 4 else 127)
        assert int.from_bytes(frame[2:head], "big") == size


# ── Over the wire ──


async def collect(ws: ClientConnection, seconds: float) -> list[dict]:
    """Everything that arrives within a time."""
    out, ends = [], time.monotonic() + seconds
    with contextlib.suppress(TimeoutError):
        while (left := ends - time.monotonic()) > 0:
            out.append(json.loads(await asyncio.wait_for(ws.recv(), left)))
    return out


async def first(ws: ClientConnection, within_s: float = 3.0) -> dict:
    return json.loads(await asyncio.wait_for(ws.recv(), within_s))


async def ask(ws: ClientConnection, method: str, params: Iterable[str] = (), number: int = 1) -> list[dict]:
    """Send a control message; return the data that came before its answer."""
    await ws.send(json.dumps({"method": method, "params": list(params), "id": number}))
    before = []
    while True:
        message = await first(ws)
        if "id" in message:
            assert message["id"] == number
            return [*before, message]
        before.append(message)


async def test_a_kline_pushes_changes_only(sim, clock, noon_ms, market):
    async with websockets.connect(f"{sim.ws_url}/market/ws/btcusdt@kline_1m") as ws:
        event = await first(ws)
        assert await collect(ws, 0.15) == []
        clock.advance(1000)
        again = await first(ws)
    assert (event["e"], event["s"], event["E"]) == ("kline", "BTCUSDT", noon_ms + 20_000)
    k = event["k"]
    assert (k["t"], k["T"], k["s"], k["i"], k["n"], k["x"]) == (
        noon_ms,
        noon_ms + MINUTE_MS - 1,
        "BTCUSDT",
        "1m",
        20,
        False,
    )
    trades = market.trades("BTCUSDT", noon_ms, noon_ms + 20_000)
    assert k["c"] == f"{trades['price'][-1]:.2f}"
    assert float(k["v"]) == trades["quantity"].sum()
    assert again["k"]["n"] == 21
    assert set(k) == set("tTsifLochlvnxqVQB")


async def test_the_closing_bar_comes_late_once_and_after_the_next_bar_has_begun(start, clock, noon_ms):
    sim = await start(closing_delay_s=2.0, closing_spread_s=0.0001)
    async with websockets.connect(f"{sim.ws_url}/market/ws/btcusdt@kline_1m") as ws:
        await first(ws)
        clock.moment_ms = noon_ms + MINUTE_MS + 1900
        early = await collect(ws, 0.15)
        assert [(e["k"]["t"], e["k"]["x"]) for e in early] == [(noon_ms + MINUTE_MS, False)]
        clock.moment_ms = noon_ms + MINUTE_MS + 2001
        late = await collect(ws, 0.15)
        clock.advance(100)
        assert all(not e["k"]["x"] for e in await collect(ws, 0.1))
    closed = [e["k"] for e in late if e["k"]["x"]]
    assert [(k["t"], k["n"]) for k in closed] == [(noon_ms, 60)]
    async with httpx.AsyncClient(verify=False, base_url=sim.rest_url) as client:
        query = f"/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime={noon_ms}&limit=1"
        row = (await client.get(query)).json()[0]
    assert [closed[0][key] for key in "tohlcv"] == row[:6]
    assert [closed[0][key] for key in "TqnVQ"] == row[6:11]


async def test_a_subscription_made_after_the_minute_still_gets_its_closing_bar(sim, clock, noon_ms):
    clock.moment_ms = noon_ms + MINUTE_MS + 500
    async with websockets.connect(f"{sim.ws_url}/market/ws/btcusdt@kline_1m") as ws:
        await first(ws)
        clock.moment_ms = noon_ms + MINUTE_MS + 2500
        closed = [e["k"]["t"] for e in await collect(ws, 0.15) if e["k"]["x"]]
    assert closed == [noon_ms]


async def test_a_jump_of_the_clock_closes_the_last_bars_in_order(sim, clock, noon_ms):
    async with websockets.connect(f"{sim.ws_url}/market/ws/btcusdt@kline_1m") as ws:
        await first(ws)
        clock.moment_ms = noon_ms + 10 * MINUTE_MS + 30_000
        closed = [e["k"]["t"] for e in await collect(ws, 0.2) if e["k"]["x"]]
    assert closed == [noon_ms + k * MINUTE_MS for k in (7, 8, 9)]


async def test_a_longer_kline_is_the_sum_of_its_minutes(sim, clock, noon_ms):
    clock.moment_ms = noon_ms + 7 * MINUTE_MS + 10_000
    async with websockets.connect(f"{sim.ws_url}/market/ws/btcusdt@kline_5m") as ws:
        k = (await first(ws))["k"]
        assert (k["t"], k["i"], k["n"], k["x"]) == (noon_ms + 5 * MINUTE_MS, "5m", 130, False)
        clock.moment_ms = noon_ms + 10 * MINUTE_MS + 3000
        events = [e["k"] for e in await collect(ws, 0.15)]
    assert [(e["t"], e["n"]) for e in events if e["x"]] == [(noon_ms + 5 * MINUTE_MS, 300)]


async def test_the_combined_form_names_the_stream(sim):
    address = f"{sim.ws_url}/market/stream?streams=btcusdt@kline_1m/ethusdt@kline_1m"
    async with websockets.connect(address) as ws:
        events = [await first(ws), await first(ws)]
        listed = await ask(ws, "LIST_SUBSCRIPTIONS")
    assert {e["stream"] for e in events} == {"btcusdt@kline_1m", "ethusdt@kline_1m"}
    assert all(e["data"]["s"].lower() == e["stream"].split("@")[0] for e in events)
    assert listed[-1]["result"] == ["btcusdt@kline_1m", "ethusdt@kline_1m"]


@pytest.mark.parametrize(
    ("route", "name", "delivers"),
    [
        ("/market", "btcusdt@kline_1m", True),
        ("/market", "btcusdt@bookTicker", False),
        ("/market", "BTCUSDT@kline_1m", False),
        ("/market", "nousdt@kline_1m", False),
        ("/market", "goneusdt@kline_1m", False),
        ("/market", "币安usdt@kline_1m", True),
        ("/public", "btcusdt@bookTicker", True),
        ("/public", "btcusdt@kline_1m", False),
        ("", "btcusdt@bookTicker", True),
        ("", "btcusdt@kline_1m", False),
        ("", "!miniTicker@arr", False),
    ],
)
async def test_every_subscription_is_acknowledged_and_only_the_right_ones_deliver(sim, clock, route, name, delivers):
    async with websockets.connect(f"{sim.ws_url}{route}/ws") as ws:
        assert await ask(ws, "SUBSCRIBE", [name]) == [{"result": None, "id": 1}]
        clock.advance(600)
        got = await collect(ws, 0.2)
        assert bool(got) is delivers
        assert (await ask(ws, "LIST_SUBSCRIPTIONS"))[-1]["result"] == [name]


async def test_unsubscribing_stops_the_data(sim, clock):
    async with websockets.connect(f"{sim.ws_url}/market/ws") as ws:
        await ask(ws, "SUBSCRIBE", ["btcusdt@kline_1m"])
        await first(ws)
        await ask(ws, "UNSUBSCRIBE", ["btcusdt@kline_1m"])
        clock.advance(2000)
        assert await collect(ws, 0.15) == []
        assert sim.status()["streams"] == 0


async def test_trades_come_once_each_with_growing_numbers(sim, clock, noon_ms, market):
    both = f"{sim.ws_url}/market/ws/btcusdt@aggTrade", f"{sim.ws_url}/public/ws/btcusdt@trade"
    async with websockets.connect(both[0]) as market_ws, websockets.connect(both[1]) as public_ws:
        await asyncio.sleep(0.1)
        clock.moment_ms = noon_ms + 22_000
        await asyncio.sleep(0.1)
        clock.moment_ms = noon_ms + 24_000
        events, raw = await collect(market_ws, 0.2), await collect(public_ws, 0.2)
    known = market.trades("BTCUSDT", noon_ms + 20_001, noon_ms + 24_000)
    assert [e["T"] for e in events] == known["time_ms"].tolist()
    assert [e["p"] for e in events] == [f"{p:.2f}" for p in known["price"]]
    assert [e["m"] for e in events] == known["is_buyer_maker"].tolist()
    assert [e["a"] for e in events] == list(range(events[0]["a"], events[0]["a"] + 4))
    assert events[0]["a"] % 100_000 == 20
    assert [(e["t"], e["p"]) for e in raw] == [(e["a"], e["p"]) for e in events]


async def test_trades_across_a_minute_are_complete(sim, clock, noon_ms):
    clock.moment_ms = noon_ms + 59_000
    async with websockets.connect(f"{sim.ws_url}/market/ws/btcusdt@aggTrade") as ws:
        await asyncio.sleep(0.1)
        clock.moment_ms = noon_ms + 61_000
        events = await collect(ws, 0.2)
    assert [e["T"] for e in events] == [noon_ms + 59_500, noon_ms + 60_500]
    assert events[1]["a"] % 100_000 == 0


async def test_a_local_book_kept_from_the_diffs_equals_the_exchanges(sim, clock):
    """The documented procedure: buffer events, take a snapshot, apply what follows it, check the chain."""
    async with (
        websockets.connect(f"{sim.ws_url}/public/ws/btcusdt@depth@100ms") as ws,
        httpx.AsyncClient(verify=False, base_url=sim.rest_url) as client,
    ):
        await asyncio.sleep(0.25)
        clock.advance(500)
        await first(ws)
        snapshot = (await client.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000")).json()
        events = []
        for _ in range(4):
            clock.advance(500)
            events.append(await first(ws))
        final = (await client.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000")).json()
    fresh = [e for e in events if e["u"] > snapshot["lastUpdateId"]]
    assert fresh[0]["U"] <= snapshot["lastUpdateId"] + 1
    assert all(later["pu"] == earlier["u"] for earlier, later in pairwise(fresh))
    for side, key in (("bids", "b"), ("asks", "a")):
        book = dict(snapshot[side])
        for event in fresh:
            book.update(event[key])
        assert {p: q for p, q in book.items() if float(q)} == dict(final[side])


async def test_partial_depth_and_book_ticker_agree_with_rest(sim, clock):
    address = f"{sim.ws_url}/public/stream?streams=btcusdt@depth5@100ms/btcusdt@bookTicker"
    async with websockets.connect(address) as ws, httpx.AsyncClient(verify=False, base_url=sim.rest_url) as client:
        events = {}
        while len(events) < 2:
            message = await first(ws)
            events[message["stream"]] = message["data"]
        depth = (await client.get("/fapi/v1/depth?symbol=BTCUSDT&limit=5")).json()
        book = (await client.get("/fapi/v1/ticker/bookTicker?symbol=BTCUSDT")).json()
        assert await collect(ws, 0.15) == []
        clock.advance(500)
        assert (await first(ws))["data"]["s"] == "BTCUSDT"
    partial, ticker = events["btcusdt@depth5@100ms"], events["btcusdt@bookTicker"]
    assert (partial["b"], partial["a"]) == (depth["bids"], depth["asks"])
    assert [ticker[k] for k in "bBaA"] == [book[k] for k in ("bidPrice", "bidQty", "askPrice", "askQty")]
    assert ticker["u"] == depth["lastUpdateId"]


async def test_mark_prices(sim):
    address = f"{sim.ws_url}/market/stream?streams=btcusdt@markPrice@1s/!markPrice@arr@1s"
    async with websockets.connect(address) as ws:
        events = {}
        while len(events) < 2:
            message = await first(ws)
            events[message["stream"]] = message["data"]
    one = events["btcusdt@markPrice@1s"]
    assert (one["e"], one["p"], one["i"]) == ("markPriceUpdate", "1000.10000000", "1000.05000000")
    rows = {row["s"]: row for row in events["!markPrice@arr@1s"]}
    assert rows["BTCUSDT"] == {**one, "st": 1, "E": rows["BTCUSDT"]["E"]}
    assert rows["BTCUSD_PERP"]["st"] == 2


@pytest.mark.parametrize(("name", "event"), [("!miniTicker@arr", "24hrMiniTicker"), ("!ticker@arr", "24hrTicker")])
async def test_all_market_pushes_hold_changed_symbols_only_and_coin_margined_rows(sim, clock, name, event):
    async with websockets.connect(f"{sim.ws_url}/market/ws/{name}") as ws:
        everything = await first(ws)
        assert await collect(ws, 0.15) == []
        clock.advance(1000)
        changed = await first(ws)
    assert {row["e"] for row in everything} == {event}
    usd = {row["s"] for row in everything if row["st"] == 1}
    assert usd == {"BTCUSDT", "ETHUSDT", "OUTUSDT", "RESTUSDT", "币安USDT", "BTCUSDT_261225"}
    assert {row["s"] for row in everything if row["st"] != 1} == {"BTCUSD_PERP", "ETHUSD_PERP"}
    assert "RESTUSDT" not in {row["s"] for row in changed}
    assert {"BTCUSDT", "币安USDT"} < {row["s"] for row in changed}


async def test_single_tickers_agree_with_rest(sim):
    address = f"{sim.ws_url}/market/stream?streams=btcusdt@ticker/btcusdt@miniTicker"
    async with websockets.connect(address) as ws, httpx.AsyncClient(verify=False, base_url=sim.rest_url) as client:
        events = [await first(ws), await first(ws)]
        row = (await client.get("/fapi/v1/ticker/24hr?symbol=BTCUSDT")).json()
    full = next(e["data"] for e in events if e["stream"] == "btcusdt@ticker")
    mini = next(e["data"] for e in events if e["stream"] == "btcusdt@miniTicker")
    assert [full[k] for k in "pPwcQohlvqOCFLn"] == list(row.values())[1:]
    assert mini == {"e": "24hrMiniTicker", "E": mini["E"], **{k: full[k] for k in "scohlvq"}}
    assert "st" not in full


async def test_a_liquidation_is_a_trade_of_the_last_second(start, noon_ms, market):
    sim = await start(liquidation_every_s=1)
    async with websockets.connect(f"{sim.ws_url}/market/ws/btcusdt@forceOrder") as ws:
        order = (await first(ws))["o"]
    trade = market.trades("BTCUSDT", noon_ms + 19_000, noon_ms + 19_999)[-1]
    assert (order["s"], order["p"], order["T"]) == ("BTCUSDT", f"{trade['price']:.2f}", trade["time_ms"])
    assert order["S"] == ("SELL" if trade["is_buyer_maker"] else "BUY")


async def test_a_change_of_status_is_announced(sim, clock, market):
    async with websockets.connect(f"{sim.ws_url}/market/ws/!contractInfo") as ws:
        await asyncio.sleep(0.2)
        rows = {row.symbol: row for row in market.rows}
        market.rows = [
            *(row for row in market.rows if row.symbol != "ETHUSDT"),
            rows["ETHUSDT"].__class__(
                **{
                    **{f: getattr(rows["ETHUSDT"], f) for f in rows["ETHUSDT"].__slots__},
                    "status": "SETTLING",
                }
            ),
        ]
        clock.advance(1000)
        event = await first(ws)
    assert (event["e"], event["s"], event["cs"]) == ("contractInfo", "ETHUSDT", "SETTLING")


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
