"""The REST client against a real server: what it sends, what it makes of the answers, and what each failure becomes."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import numpy as np
import pytest

from aione.errors import (
    ClockSkewed,
    InvalidInput,
    MalformedReply,
    RateLimited,
    RequestRejected,
    SymbolRejected,
    VenueUnavailable,
)
from aione.panel import BAR_RECORD, Finality, Source
from aione.venue.errors_map import TruncatedReply
from aione.venue.ledger import LocalLedger, Priority
from aione.venue.rest import BinanceRest
from config.models import VenueParams

MINUTE_MS = 60_000
KLINES = "/fapi/v1/klines"
TIME = "/fapi/v1/time"


async def test_server_time_sets_both_clocks(exchange, rest, ledger):
    exchange.offset_ms = 1_500
    served = await rest.server_time()
    assert abs(served - exchange.now_ms()) < 500
    assert abs(rest.clock.offset_ms() - 1_500) < 300
    assert abs(ledger.clock.offset_ms() - 1_500) < 300


async def test_a_played_back_market_does_not_move_the_budgets_clock(exchange, rest, ledger):
    """A recording's clock is months away; the budget of its server is counted by the host's minutes."""
    exchange.offset_ms = -90 * 86_400_000
    await rest.server_time()
    assert abs(rest.clock.offset_ms() + 90 * 86_400_000) < 300
    assert abs(ledger.clock.offset_ms()) < 300


def time_reply(canned, ms):
    return canned(body=json.dumps({"serverTime": ms}).encode())


async def test_one_absurd_time_closes_no_bar_and_moves_no_clock(exchange, rest, ledger, canned, caplog):
    """Seven minutes ahead, once: the reading is asked for again and the second answer counts."""
    exchange.frozen_ms = 1_700_000_400_000
    await rest.server_time()
    for off_ms in (7 * MINUTE_MS, -7 * MINUTE_MS, 10**13):
        exchange.answer(TIME, time_reply(canned, exchange.frozen_ms + off_ms))
        assert await rest.server_time() == exchange.frozen_ms
        assert rest.clock.known_ms == exchange.frozen_ms
        assert abs(rest.clock.now_ms() - exchange.frozen_ms) < 500
        assert abs(ledger.clock.offset_ms()) < 500
    bars = await rest.klines("BTCUSDT", "1m", limit=2)
    assert bars["open_time_ms"].tolist() == [exchange.frozen_ms - MINUTE_MS]
    assert "the exchange's clock leapt by 4" in caplog.text


async def test_an_exchange_whose_clock_was_set_is_followed(exchange, rest):
    await rest.server_time()
    exchange.offset_ms = -2 * 86_400_000
    asked = len(exchange.asked)
    assert abs(await rest.server_time() - exchange.now_ms()) < 500
    assert len(exchange.asked) == asked + 2
    await rest.server_time()
    assert len(exchange.asked) == asked + 3, "what agrees is asked for once"


async def test_an_absurd_first_time_does_not_move_the_budgets_clock(exchange, rest, ledger, canned):
    exchange.answer(TIME, time_reply(canned, exchange.now_ms() + 7 * MINUTE_MS))
    await rest.server_time()
    assert abs(ledger.clock.offset_ms()) < 500


async def test_healing_does_not_wait_for_a_refresh_that_asks_the_time(exchange):
    """The time is everybody's: a refresh that has no room this minute must not keep the others from it."""
    asleep = asyncio.Event()

    async def sleep(_):
        asleep.set()
        await asyncio.Event().wait()

    ledger = LocalLedger(VenueParams(), sleep=sleep)
    async with BinanceRest(exchange.url, ledger, timeout_s=1.0) as rest:
        await ledger.reserve(2000)
        refresh = asyncio.create_task(rest.at(Priority.REFRESH).klines("BTCUSDT", "1m", limit=1))
        await asyncio.wait_for(asleep.wait(), 2.0)
        assert len(await asyncio.wait_for(rest.at(Priority.HEAL).klines("BTCUSDT", "1m", limit=2), 2.0)) == 1
        refresh.cancel()


async def test_klines_are_bar_records_confirmed_by_rest(exchange, rest, row):
    exchange.frozen_ms = 1_700_000_400_000
    start = exchange.frozen_ms - 3 * MINUTE_MS
    bars = await rest.klines("BTCUSDT", "1m", limit=3, start_ms=start, end_ms=start + 2 * MINUTE_MS)
    assert bars.dtype == BAR_RECORD
    assert bars["open_time_ms"].tolist() == [start, start + MINUTE_MS, start + 2 * MINUTE_MS]
    sent = row(start)
    assert [bars[0][name] for name in ("open", "high", "low", "close")] == [float(sent[i]) for i in (1, 2, 3, 4)]
    assert (bars[0]["volume"], bars[0]["quote_volume"], bars[0]["taker_buy_volume"]) == (10.0, 105.5, 4.0)
    assert (bars[0]["trade_count"], bars[0]["source"]) == (7, Source.REST)
    assert (bars["finality"] == Finality.REST_CONFIRMED).all()


async def test_the_forming_bar_is_dropped_by_the_exchanges_clock_not_ours(exchange, rest):
    exchange.frozen_ms = 1_700_000_400_000 + 59_999
    bars = await rest.klines("BTCUSDT", "1m", limit=5)
    assert bars["open_time_ms"].tolist() == [1_700_000_400_000 - MINUTE_MS * n for n in (4, 3, 2, 1)]
    exchange.frozen_ms += 1
    await rest.server_time()
    assert (await rest.klines("BTCUSDT", "1m", limit=2))["open_time_ms"].tolist() == [1_700_000_400_000]


async def test_the_clock_is_asked_once_a_minute_at_most(exchange, rest):
    exchange.offset_ms = -(exchange.now_ms() % MINUTE_MS) + 1_000  # early in a minute
    await asyncio.gather(*(rest.klines("BTCUSDT", "1m", limit=5) for _ in range(8)))
    assert [path for path, _ in exchange.asked].count(TIME) == 1


async def test_a_clock_that_stands_still_never_closes_a_bar(exchange, rest):
    """Ours runs on past the minute's end; the exchange's does not, and its word counts."""
    exchange.frozen_ms = 1_700_000_400_000 + 59_990
    await rest.klines("BTCUSDT", "1m", limit=2)
    await asyncio.sleep(0.05)
    bars = await rest.klines("BTCUSDT", "1m", limit=2)
    assert bars["open_time_ms"].tolist() == [1_700_000_400_000 - MINUTE_MS]


async def test_parameters_that_are_not_given_are_not_sent(exchange, rest):
    await rest.klines("币安USDT", "1m", limit=2)
    assert exchange.klines() == [{"symbol": "币安USDT", "interval": "1m", "limit": "2"}]


@pytest.mark.parametrize(
    ("call", "path", "body", "expected"),
    [
        (
            lambda r: r.tickers_24h(),
            "/fapi/v1/ticker/24hr",
            [{"symbol": "A", "lastPrice": "2", "highPrice": "3", "lowPrice": "1", "volume": "5", "quoteVolume": "10"}],
            {"last": 2.0, "high": 3.0, "low": 1.0, "quote_volume": 10.0},
        ),
        (
            lambda r: r.book_tickers(),
            "/fapi/v1/ticker/bookTicker",
            [{"symbol": "A", "bidPrice": "1.0", "bidQty": "2", "askPrice": "1.1", "askQty": "3", "new": [1]}],
            {"bid": 1.0, "ask": 1.1, "ask_quantity": 3.0},
        ),
        (
            lambda r: r.premium_index(),
            "/fapi/v1/premiumIndex",
            [{"symbol": "A", "markPrice": "1.5", "indexPrice": "1.4", "lastFundingRate": "-0.0001"}],
            {"mark_price": 1.5, "index_price": 1.4, "funding_rate": -0.0001},
        ),
        (
            lambda r: r.premium_index(),
            "/fapi/v1/premiumIndex",
            [{"symbol": "A_261225", "markPrice": "1.5", "indexPrice": "1.4", "lastFundingRate": ""}],
            {"funding_rate": None},
        ),
        (
            lambda r: r.open_interest_hist("A"),
            "/futures/data/openInterestHist",
            [{"symbol": "A", "sumOpenInterest": "4", "sumOpenInterestValue": "8.5", "timestamp": "1700000000000"}],
            {"open_interest": 4.0, "open_interest_quote": 8.5, "time_ms": 1_700_000_000_000},
        ),
        (
            lambda r: r.funding_rate("A"),
            "/fapi/v1/fundingRate",
            [{"symbol": "A", "fundingRate": "-0.0003", "fundingTime": 1_700_000_000_000, "markPrice": ""}],
            {"funding_rate": -0.0003},
        ),
    ],
)
async def test_rows_are_typed_and_unknown_fields_ignored(exchange, rest, canned, call, path, body, expected):
    exchange.answer(path, canned(body=json.dumps(body).encode()))
    (found,) = await call(rest)
    assert {name: getattr(found, name) for name in expected} == expected


async def test_open_interest_and_depth_are_single_objects(exchange, rest, canned):
    exchange.answer("/fapi/v1/openInterest", canned(body=b'{"symbol":"A","openInterest":"12.5","time":1}'))
    assert (await rest.open_interest("A")).open_interest == 12.5
    exchange.answer("/fapi/v1/depth", canned(body=b'{"bids":[["1","2"]],"asks":[["1.1","3"],["1.2","4"]],"E":9}'))
    book = await rest.depth("A", 50)
    assert (book.bids, book.asks) == ([(1.0, 2.0)], [(1.1, 3.0), (1.2, 4.0)])


# ── Failures ──


def error_body(code, msg="said so"):
    return json.dumps({"code": code, "msg": msg}).encode()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, error_body(-1121), SymbolRejected),
        (400, error_body(-4141), SymbolRejected),
        (400, error_body(-1102), RequestRejected),
        (400, error_body(-4021), RequestRejected),
        (400, error_body(-1130), RequestRejected),
        (404, b"<html>", RequestRejected),
        (451, error_body(0, "restricted location"), RequestRejected),
        (400, error_body(-1021), ClockSkewed),
        (400, error_body(-1001), VenueUnavailable),
        (408, error_body(-1007), VenueUnavailable),
        (500, b"<html>oops</html>", VenueUnavailable),
        (502, b"", VenueUnavailable),
        (503, error_body(-1008), RateLimited),
        (503, b"Service Unavailable", RateLimited),
        (403, b"<html>forbidden</html>", RateLimited),
        (429, error_body(-1003), RateLimited),
        (418, error_body(-1003), RateLimited),
        (400, error_body(-1015), RateLimited),
    ],
)
async def test_each_answer_becomes_the_error_that_says_what_to_do(exchange, rest, canned, status, body, expected):
    exchange.answer(TIME, canned(status=status, body=body))
    with pytest.raises(expected, match=f"GET {TIME}: status {status}") as caught:
        await rest.server_time()
    assert type(caught.value) is expected


async def test_the_exchanges_code_is_kept(exchange, rest, canned):
    exchange.answer(KLINES, canned(status=400, body=error_body(-1120)))
    with pytest.raises(RequestRejected, match="GET /fapi/v1/klines BTCUSDT") as caught:
        await rest.klines("BTCUSDT", "1m", limit=5)
    assert caught.value.code == -1120


async def test_one_failure_is_one_request(exchange, rest, canned):
    exchange.answer(TIME, canned(status=500))
    with pytest.raises(VenueUnavailable):
        await rest.server_time()
    assert len(exchange.asked) == 1


async def test_retry_after_is_held_by_everybody(exchange, canned):
    held = []

    async def sleep(seconds):
        held.append(seconds)
        await asyncio.sleep(0)
        ledger._held_until_s = 0.0

    ledger = LocalLedger(VenueParams(), sleep=sleep)
    exchange.answer(TIME, canned(status=429, body=error_body(-1003), headers={"Retry-After": "17"}))
    async with BinanceRest(exchange.url, ledger) as first, BinanceRest(exchange.url, ledger) as second:
        with pytest.raises(RateLimited) as caught:
            await first.server_time()
        assert caught.value.retry_after_s == 17
        assert held == []
        await second.server_time()
    assert len(held) == 1
    assert 16 < held[0] < 18


async def test_a_ban_told_as_a_moment_is_a_hold_until_then(exchange, rest, canned):
    await rest.server_time()
    text = f"Way too many requests; IP(1.2.3.4) banned until {exchange.now_ms() + 600_000}."
    exchange.answer(TIME, canned(status=418, body=error_body(-1003, text)))
    with pytest.raises(RateLimited) as caught:
        await rest.server_time()
    assert caught.value.retry_after_s == pytest.approx(600, abs=2)
    asked = len(exchange.asked)
    with pytest.raises(RateLimited, match="on hold for another"):
        await rest.server_time()
    assert len(exchange.asked) == asked, "nobody sends during a ban"


async def test_the_used_weight_header_corrects_the_ledger(exchange, rest, ledger):
    exchange.headers = {"X-MBX-USED-WEIGHT-1M": "321"}
    await rest.server_time()
    await rest.server_time()
    assert await ledger.used() in {321, 322}


@pytest.mark.parametrize("said", ["9" * 5000, "1" * 10, "-5", "1e3", "nan", "", "٣٢١", "³", "12 34"])
async def test_a_header_that_is_no_count_is_ignored(ledger, said):
    def handle(_):
        return httpx.Response(200, json={}, headers=[(b"X-MBX-USED-WEIGHT-1M", said.encode())])

    async with BinanceRest("https://exchange.test", ledger, transport=httpx.MockTransport(handle)) as rest:
        await rest.ping()
    assert await ledger.used() == 1


async def test_a_ban_until_a_moment_is_reckoned_by_the_budgets_clock(exchange, rest, canned):
    """Of a market that is played back the host bans by its own time, which is not the market's."""
    real_ms = exchange.now_ms()
    exchange.offset_ms = -90 * 86_400_000
    await rest.server_time()
    exchange.answer(TIME, canned(status=418, body=error_body(-1003, f"banned until {real_ms + 600_000}.")))
    with pytest.raises(RateLimited) as caught:
        await rest.server_time()
    assert caught.value.retry_after_s == pytest.approx(600, abs=2)


@pytest.mark.parametrize("said", ["nan", "inf", "1e30", "-5", "9" * 5000])
async def test_whatever_retry_after_says_everybody_holds(exchange, rest, ledger, canned, said):
    headers = {"Retry-After": said}
    exchange.answer(TIME, canned(status=429, body=error_body(-1121), headers=headers))
    with pytest.raises(RateLimited):
        await rest.server_time()
    assert 50 < ledger.hold_s <= 3 * 86_400


async def test_nobody_there_is_unavailable(ledger):
    async with BinanceRest("http://127.0.0.1:1", ledger) as rest:
        with pytest.raises(VenueUnavailable, match="GET /fapi/v1/ping: ConnectError") as caught:
            await rest.ping()
    assert isinstance(caught.value.__cause__, httpx.ConnectError)


@asynccontextmanager
async def raw_server(answer):
    """Serve connections with ``answer(reader, writer)`` until the test is over; give its address."""
    handlers = set()

    async def handle(reader, writer):
        handlers.add(asyncio.current_task())
        try:
            await answer(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for task in handlers:
        task.cancel()
    await asyncio.gather(*handlers, return_exceptions=True)
    await server.wait_closed()


async def test_an_answer_that_never_comes_is_unavailable(ledger):
    async def silent(reader, _):
        await reader.read()

    async with raw_server(silent) as url, BinanceRest(url, ledger, timeout_s=0.1) as rest:
        with pytest.raises(VenueUnavailable, match="no answer in time"):
            await rest.ping()


async def test_an_answer_that_drips_is_given_up(ledger):
    async def drip(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.03)

    async with raw_server(drip) as url, BinanceRest(url, ledger, timeout_s=0.15) as rest:
        with pytest.raises(VenueUnavailable, match="no answer in time"):
            await rest.ping()


@pytest.mark.parametrize("body", [b"[[1700000", b"", b"<html>", b'[[1,"\xff'])
async def test_a_body_that_is_not_json_is_truncated(exchange, rest, canned, body):
    await rest.server_time()
    exchange.answer(KLINES, canned(body=body))
    with pytest.raises(TruncatedReply, match=f"GET {KLINES} A 1m: {len(body)} bytes that are not whole JSON"):
        await rest.klines("A", "1m", limit=5)


async def test_a_body_shorter_than_promised_is_unavailable(exchange, rest, canned):
    exchange.answer(TIME, canned(body=b'{"serverTime": 1}', promised=500))
    with pytest.raises(VenueUnavailable, match="RemoteProtocolError"):
        await rest.server_time()


async def test_a_body_that_does_not_decompress_is_truncated(exchange, rest, canned):
    exchange.answer(TIME, canned(body=b"no gzip at all", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(TruncatedReply, match="does not decompress"):
        await rest.server_time()


async def test_another_form_is_malformed_and_names_endpoint_and_path(exchange, rest, canned):
    exchange.answer(TIME, canned(body=b'{"serverTime": "soon"}'))
    with pytest.raises(MalformedReply, match=r"GET /fapi/v1/time: .*`\$.serverTime`") as caught:
        await rest.server_time()
    assert not isinstance(caught.value, TruncatedReply)


# ── The caller's own mistakes ──


async def test_wrong_arguments_are_refused_before_anything_is_sent(exchange, rest):
    for call in (
        lambda: rest.klines("A", "1m", limit=1501),
        lambda: rest.klines("A", "1m", limit=0),
        lambda: rest.klines("A", "7m", limit=5),
        lambda: rest.depth("A", 7),
    ):
        with pytest.raises(InvalidInput):
            await call()
    assert exchange.asked == []


async def test_a_client_that_was_not_entered_says_so(ledger):
    with pytest.raises(InvalidInput, match="async with"):
        await BinanceRest("http://127.0.0.1:1", ledger).ping()


@pytest.mark.parametrize("url", ["fapi.binance.com", "ws://127.0.0.1", ""])
def test_an_address_of_another_kind_is_refused(ledger, url):
    with pytest.raises(InvalidInput, match="rest_url must start with http"):
        BinanceRest(url, ledger)


async def test_a_transport_replaces_the_network(ledger):
    def handle(_):
        return httpx.Response(200, json={"serverTime": 1_700_000_000_000})

    async with BinanceRest("https://exchange.test", ledger, transport=httpx.MockTransport(handle)) as rest:
        assert await rest.server_time() == 1_700_000_000_000


async def test_every_request_is_reserved_at_its_price(exchange, canned):
    class Book(LocalLedger):
        def __init__(self):
            super().__init__(VenueParams())
            self.reserved = []

        async def reserve(self, weight, budget=None, **priority):
            self.reserved.append((weight, budget.name if budget else None))
            return await super().reserve(weight, budget, **priority)

    ledger = Book()
    empty = canned(body=b"[]")
    for path in ("/fapi/v1/ticker/24hr", "/fapi/v1/premiumIndex", "/fapi/v1/ticker/bookTicker"):
        exchange.answer(path, empty)
    exchange.answer("/fapi/v1/fundingRate", empty)
    exchange.answer("/futures/data/openInterestHist", empty)
    async with BinanceRest(exchange.url, ledger) as rest:
        await rest.server_time()
        await rest.klines("A", "1m", limit=1500)
        await rest.klines("A", "1m", limit=499)
        await rest.tickers_24h()
        await rest.premium_index()
        await rest.book_tickers()
        await rest.funding_rate("A")
        await rest.open_interest_hist("A")
    assert ledger.reserved == [
        (1, None),
        (10, None),
        (2, None),
        (40, None),
        (10, None),
        (5, None),
        (1, "funding"),
        (1, "data"),
    ]
    assert np.isclose(await ledger.used(), 68)
