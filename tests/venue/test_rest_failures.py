"""Failures of requests: what is raised, what waits, and the caller's own mistakes."""

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
from aione.venue.errors_map import TruncatedReply
from aione.venue.ledger import LocalLedger
from aione.venue.rest import BinanceRest
from config.models import VenueParams

from .resting import TIME

KLINES = "/fapi/v1/klines"


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
