"""Every endpoint and every refusal, asked by an independent client over a real socket."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import httpx
import pytest

from aione.sim.clock import ManualClock
from aione.sim.server import SimServer, serve

F = "/fapi/v1"
MINUTE_MS = 60_000


async def test_ping_and_time(rest: httpx.AsyncClient, clock: ManualClock):
    assert (await rest.get(f"{F}/ping")).json() == {}
    assert (await rest.get(f"{F}/time")).json() == {"serverTime": clock.now_ms()}


async def test_one_connection_serves_many_requests(rest: httpx.AsyncClient):
    peers = set()
    for _ in range(3):
        reply = await rest.get(f"{F}/ping")
        peers.add(reply.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(peers) == 1


# ── exchangeInfo ──


async def test_exchange_info_has_the_fields_and_filters_that_clients_read(rest: httpx.AsyncClient):
    info = (await rest.get(f"{F}/exchangeInfo")).json()
    assert {"timezone", "serverTime", "futuresType", "rateLimits", "exchangeFilters", "assets", "symbols"} <= set(info)
    assert info["rateLimits"][0] == {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": 2400,
    }
    symbols = {row["symbol"]: row for row in info["symbols"]}
    btc = symbols["BTCUSDT"]
    filters = {row["filterType"]: row for row in btc["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.10"
    assert filters["LOT_SIZE"]["stepSize"] == filters["MARKET_LOT_SIZE"]["stepSize"] == "0.001"
    assert filters["MIN_NOTIONAL"]["notional"] == "100"
    assert "FILTER_OF_A_LATER_RELEASE" in filters
    assert (btc["pair"], btc["baseAsset"], btc["quoteAsset"], btc["marginAsset"]) == ("BTCUSDT", "BTC", "USDT", "USDT")
    assert symbols["BTCUSDT_261225"]["pair"] == "BTCUSDT"
    assert symbols["BTCUSDT_261225"]["contractType"] == "CURRENT_QUARTER"
    assert symbols["GONEUSDT"]["status"] == "SETTLING"
    assert "币安USDT" in symbols


async def test_price_precision_is_not_the_tick_size(rest: httpx.AsyncClient):
    for row in (await rest.get(f"{F}/exchangeInfo")).json()["symbols"]:
        tick = Decimal(next(f["tickSize"] for f in row["filters"] if f["filterType"] == "PRICE_FILTER"))
        assert Decimal(1).scaleb(-row["pricePrecision"]) != tick


# ── klines ──


async def klines(rest: httpx.AsyncClient, **params: str | int) -> list[list]:
    reply = await rest.get(f"{F}/klines", params={"symbol": "BTCUSDT", "interval": "1m", **params})
    assert reply.status_code == 200, reply.text
    return reply.json()


async def test_klines_end_with_the_open_bar(rest: httpx.AsyncClient, clock: ManualClock, noon_ms: int, market):
    rows = await klines(rest, limit=3)
    assert [row[0] for row in rows] == [noon_ms - 2 * MINUTE_MS, noon_ms - MINUTE_MS, noon_ms]
    assert rows[-1][8] == 20  # a trade at the half of each second
    trades = market.trades("BTCUSDT", noon_ms, clock.now_ms())
    assert rows[-1][1:6] == [
        f"{trades['price'][0]:.2f}",
        f"{trades['price'].max():.2f}",
        f"{trades['price'].min():.2f}",
        f"{trades['price'][-1]:.2f}",
        f"{trades['quantity'].sum():.3f}",
    ]
    assert rows[0][6] == noon_ms - MINUTE_MS - 1
    assert rows[0][11] == "0"


async def test_a_kline_row_adds_up_to_its_trades(rest: httpx.AsyncClient, noon_ms: int, market):
    row = (await klines(rest, startTime=noon_ms - MINUTE_MS, limit=1))[0]
    trades = market.trades("BTCUSDT", noon_ms - MINUTE_MS, noon_ms - 1)
    value = trades["price"] * trades["quantity"]
    buys = ~trades["is_buyer_maker"]
    assert float(row[5]) == trades["quantity"].sum()
    assert float(row[7]) == pytest.approx(value.sum(), abs=1e-4)
    assert row[8] == 60
    assert float(row[9]) == trades["quantity"][buys].sum()
    assert float(row[10]) == pytest.approx(value[buys].sum(), abs=1e-4)


async def test_times_are_inclusive_on_open_time(rest: httpx.AsyncClient, noon_ms: int):
    first, last = noon_ms - 5 * MINUTE_MS, noon_ms - 3 * MINUTE_MS
    assert [r[0] for r in await klines(rest, startTime=first, endTime=last)] == [first, first + MINUTE_MS, last]
    assert [r[0] for r in await klines(rest, startTime=first + 1, endTime=last - 1)] == [first + MINUTE_MS]


async def test_with_a_start_the_first_bars_come_and_with_an_end_the_last(rest: httpx.AsyncClient, noon_ms: int):
    start = noon_ms - 100 * MINUTE_MS
    assert [r[0] for r in await klines(rest, startTime=start, limit=2)] == [start, start + MINUTE_MS]
    end = noon_ms - 50 * MINUTE_MS
    assert [r[0] for r in await klines(rest, endTime=end, limit=2)] == [end - MINUTE_MS, end]


async def test_the_default_is_500_bars(rest: httpx.AsyncClient):
    assert len(await klines(rest)) == 500


async def test_nothing_of_the_future_is_served(rest: httpx.AsyncClient, noon_ms: int):
    rows = await klines(rest, startTime=noon_ms - MINUTE_MS, endTime=noon_ms + 10 * MINUTE_MS)
    assert [row[0] for row in rows] == [noon_ms - MINUTE_MS, noon_ms]
    assert rows[-1][8] == 20
    assert await klines(rest, startTime=noon_ms + MINUTE_MS) == []


async def test_the_limit_is_filled_across_an_outage(rest: httpx.AsyncClient, noon_ms: int):
    missing = {noon_ms - k * MINUTE_MS for k in range(31, 41)}
    for params in ({"limit": 60}, {"startTime": noon_ms - 50 * MINUTE_MS, "limit": 30}):
        rows = await klines(rest, symbol="OUTUSDT", **params)
        assert len(rows) == params["limit"]
        assert not missing & {row[0] for row in rows}


async def test_a_young_symbol_has_no_bars_before_its_listing(rest: httpx.AsyncClient):
    rows = await klines(rest, interval="1d", limit=30)
    assert len(rows) == 4  # listed at noon, three days ago
    assert sum(row[8] for row in rows) == 3 * 1440 * 60 + 20


async def test_a_longer_open_bar_is_made_of_its_minutes(rest: httpx.AsyncClient, noon_ms: int, clock: ManualClock):
    clock.advance(7 * MINUTE_MS)
    whole = (await klines(rest, interval="5m", limit=1))[0]
    minutes = await klines(rest, startTime=noon_ms + 5 * MINUTE_MS)
    assert whole[0] == noon_ms + 5 * MINUTE_MS
    assert whole[6] == noon_ms + 10 * MINUTE_MS - 1
    assert whole[1] == minutes[0][1]
    assert whole[4] == minutes[-1][4]
    assert float(whole[5]) == sum(float(row[5]) for row in minutes)
    assert whole[8] == 60 + 60 + 20


@pytest.mark.parametrize("interval", ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"])
async def test_every_interval_is_served_on_its_own_grid(rest: httpx.AsyncClient, interval: str):
    unit = {"m": 1, "h": 60, "d": 1440}[interval[-1]] * int(interval[:-1]) * MINUTE_MS
    rows = await klines(rest, interval=interval, limit=2)
    assert all(row[0] % unit == 0 and row[6] == row[0] + unit - 1 for row in rows)


# ── The other endpoints ──


async def test_ticker_sums_the_last_day(rest: httpx.AsyncClient, noon_ms: int, market, clock: ManualClock):
    row = (await rest.get(f"{F}/ticker/24hr", params={"symbol": "BTCUSDT"})).json()
    trades = market.trades("BTCUSDT", noon_ms - 1439 * MINUTE_MS, clock.now_ms())
    assert row["count"] == len(trades)
    assert float(row["volume"]) == trades["quantity"].sum()
    assert float(row["quoteVolume"]) == pytest.approx((trades["price"] * trades["quantity"]).sum(), rel=1e-9)
    assert row["highPrice"] == f"{trades['price'].max():.2f}"
    assert row["lastPrice"] == f"{trades['price'][-1]:.2f}"
    assert float(row["priceChange"]) == pytest.approx(trades["price"][-1] - trades["price"][0])
    assert row["lastId"] - row["firstId"] + 1 == row["count"]


@pytest.mark.parametrize("path", ["ticker/24hr", "premiumIndex", "ticker/bookTicker"])
async def test_without_a_symbol_all_that_trade_are_served(rest: httpx.AsyncClient, path: str):
    rows = (await rest.get(f"{F}/{path}")).json()
    assert {row["symbol"] for row in rows} == {
        "BTCUSDT",
        "ETHUSDT",
        "OUTUSDT",
        "RESTUSDT",
        "币安USDT",
        "BTCUSDT_261225",
    }
    one = (await rest.get(f"{F}/{path}", params={"symbol": "币安USDT"})).json()
    assert one == next(row for row in rows if row["symbol"] == "币安USDT")


async def test_premium_index_and_book_ticker(rest: httpx.AsyncClient, clock: ManualClock):
    quote = {"symbol": "BTCUSDT"}
    premium = (await rest.get(f"{F}/premiumIndex", params=quote)).json()
    assert (premium["markPrice"], premium["indexPrice"]) == ("1000.10000000", "1000.05000000")
    assert premium["nextFundingTime"] > clock.now_ms() == premium["time"]
    book = (await rest.get(f"{F}/ticker/bookTicker", params=quote)).json()
    assert [book[k] for k in ("bidPrice", "bidQty", "askPrice", "askQty")] == ["1000.00", "2.000", "1000.20", "3.000"]


async def test_depth_is_ordered_and_starts_with_the_best_prices(rest: httpx.AsyncClient):
    book = (await rest.get(f"{F}/depth", params={"symbol": "BTCUSDT", "limit": 20})).json()
    bids, asks = ([Decimal(p) for p, _ in book[side]] for side in ("bids", "asks"))
    assert book["bids"][0] == ["1000.00", "2.000"]
    assert book["asks"][0] == ["1000.20", "3.000"]
    assert len(bids) == len(asks) == 20
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    whole = (await rest.get(f"{F}/depth", params={"symbol": "BTCUSDT"})).json()
    assert whole["bids"][:20] == book["bids"]
    assert whole["lastUpdateId"] == book["lastUpdateId"]


async def test_open_interest_is_one_symbol_only(rest: httpx.AsyncClient, clock: ManualClock):
    row = (await rest.get(f"{F}/openInterest", params={"symbol": "BTCUSDT"})).json()
    assert row == {"symbol": "BTCUSDT", "openInterest": "5000.000", "time": clock.now_ms()}
    assert (await rest.get(f"{F}/openInterest")).json()["code"] == -1102


async def test_funding_rates_are_those_before_each_settlement(rest: httpx.AsyncClient, noon_ms: int, market):
    rows = (await rest.get(f"{F}/fundingRate", params={"symbol": "BTCUSDT", "limit": 3})).json()
    last = noon_ms // 28_800_000 * 28_800_000
    assert [row["fundingTime"] for row in rows] == [last - 2 * 28_800_000, last - 28_800_000, last]
    assert float(rows[-1]["fundingRate"]) == market.quote("BTCUSDT", last - 1).funding_rate
    assert rows[0]["fundingRate"] != rows[1]["fundingRate"]
    both = {"symbol": "BTCUSDT", "startTime": last - 28_800_000, "endTime": last - 1}
    assert [r["fundingTime"] for r in (await rest.get(f"{F}/fundingRate", params=both)).json()] == [last - 28_800_000]
    everyone = (await rest.get(f"{F}/fundingRate")).json()
    assert {row["fundingTime"] for row in everyone} == {last}
    assert len({row["symbol"] for row in everyone}) == len(everyone) > 1


async def test_open_interest_history(rest: httpx.AsyncClient, noon_ms: int):
    params = {"symbol": "BTCUSDT", "period": "15m", "limit": 4}
    rows = (await rest.get("/futures/data/openInterestHist", params=params)).json()
    assert [row["timestamp"] for row in rows] == [noon_ms - k * 15 * MINUTE_MS for k in (3, 2, 1, 0)]
    assert float(rows[0]["sumOpenInterest"]) >= 5000
    assert float(rows[0]["sumOpenInterestValue"]) == pytest.approx(float(rows[0]["sumOpenInterest"]) * 1000.1, rel=1e-3)


# ── Refusals ──

BTC = "symbol=BTCUSDT"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (f"{F}/klines?interval=1m", -1102),
        (f"{F}/klines?{BTC}", -1102),
        (f"{F}/klines?symbol=&interval=1m", -1102),
        (f"{F}/klines?symbol=NOUSDT&interval=1m", -1121),
        (f"{F}/klines?symbol=btcusdt&interval=1m", -1121),
        (f"{F}/klines?symbol=BTC$USDT&interval=1m", -1100),
        (f"{F}/klines?{BTC}&interval=7m", -1120),
        (f"{F}/klines?{BTC}&interval=1m&limit=1501", -1130),
        (f"{F}/klines?{BTC}&interval=1m&limit=0", -1130),
        (f"{F}/klines?{BTC}&interval=1m&limit=ten", -1100),
        (f"{F}/klines?{BTC}&interval=1m&startTime=-5", -1100),
        (f"{F}/klines?{BTC}&interval=1m&startTime=9&endTime=8", -1023),
        (f"{F}/depth?{BTC}&limit=7", -4021),
        (f"{F}/depth", -1102),
        (f"{F}/depth?symbol=GONEUSDT", -4141),
        (f"{F}/openInterest?symbol=GONEUSDT", -4141),
        (f"{F}/ticker/24hr?symbol=GONEUSDT", -4141),
        (f"{F}/premiumIndex?symbol=NOUSDT", -1121),
        (f"{F}/ticker/bookTicker?symbol=NOUSDT", -1121),
        (f"{F}/fundingRate?{BTC}&limit=1001", -1130),
        (f"/futures/data/openInterestHist?{BTC}", -1102),
        (f"/futures/data/openInterestHist?{BTC}&period=3m", -1120),
        (f"/futures/data/openInterestHist?{BTC}&period=5m&limit=501", -1130),
        (f"/futures/data/openInterestHist?{BTC}&period=5m&startTime=1", -1130),
    ],
)
async def test_a_wrong_request_is_refused_with_its_code(rest: httpx.AsyncClient, query: str, code: int):
    reply = await rest.get(query)
    assert reply.status_code == 400
    assert reply.json()["code"] == code
    assert set(reply.json()) == {"code", "msg"}


async def test_an_unknown_path_or_method_is_not_found(rest: httpx.AsyncClient):
    for method, path in (("GET", f"{F}/klinez"), ("POST", f"{F}/klines"), ("GET", "/"), ("GET", "/market/ws")):
        reply = await rest.request(method, path)
        assert reply.status_code == 404
        assert reply.json()["code"] == -5000


async def test_bars_of_a_settled_contract_are_still_served(rest: httpx.AsyncClient):
    assert len(await klines(rest, symbol="GONEUSDT", limit=5)) == 5


class _Broken:
    """A market that lists one symbol and fails at everything else."""

    def __init__(self, market) -> None:
        self.listings = market.listings

    def __getattr__(self, name: str):
        raise RuntimeError(name)


async def test_a_market_that_fails_is_answered_as_the_exchange_answers_its_own_failures(market, caplog):
    async with serve(_Broken(market)) as server, httpx.AsyncClient(verify=False, base_url=server.rest_url) as client:
        reply = await client.get(f"{F}/ticker/24hr")
        assert reply.status_code == 500
        assert reply.json()["code"] == -1000
        assert (await client.get(f"{F}/time")).status_code == 200
    assert "could not be answered" in caplog.text


async def test_a_slow_market_holds_neither_the_loop_nor_other_requests_up(market, clock: ManualClock):
    """A question about all symbols is answered in slices: another one is answered in between."""
    real = market.quote

    def slow(symbol: str, now_ms: int):
        import time  # noqa: PLC0415

        time.sleep(0.1)
        return real(symbol, now_ms)

    market.quote = slow
    async with (
        SimServer(market, clock=clock) as server,
        httpx.AsyncClient(verify=False, base_url=server.rest_url) as client,
    ):
        everything = asyncio.create_task(client.get(f"{F}/premiumIndex"))
        await asyncio.sleep(0.15)
        assert (await client.get(f"{F}/time")).status_code == 200
        assert not everything.done()
        assert len((await everything).json()) == 6
