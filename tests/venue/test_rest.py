"""The REST client against a real server: what it sends, what it makes of the answers, and what each failure becomes."""

import asyncio
import json

import pytest

from aione.panel import BAR_RECORD, Finality, Source
from aione.venue.ledger import LocalLedger, Priority
from aione.venue.rest import BinanceRest
from config.models import VenueParams

from .resting import TIME

MINUTE_MS = 60_000


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
