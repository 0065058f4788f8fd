"""Streams over the wire: what each of them brings."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from itertools import pairwise

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from .streaming import ask, first

MINUTE_MS = 60_000


# ── Over the wire ──


async def collect(ws: ClientConnection, seconds: float) -> list[dict]:
    """Everything that arrives within a time."""
    out, ends = [], time.monotonic() + seconds
    with contextlib.suppress(TimeoutError):
        while (left := ends - time.monotonic()) > 0:
            out.append(json.loads(await asyncio.wait_for(ws.recv(), left)))
    return out


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
