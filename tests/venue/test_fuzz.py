"""Whatever bytes arrive: a counted error, never an exception out of the worker, and never a bar that nobody sent."""

from __future__ import annotations

import json
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione.errors import MalformedReply
from aione.stream.bars import BarFeed, is_sound
from aione.stream.book import BookBoard
from aione.venue import wire
from aione.venue.session import Session
from aione.venue.stream_wire import BookTicker, DepthUpdate, KlineEvent, MarkPrice
from aione.venue.wire_bars import decode_klines
from aione.venue.wire_contracts import decode_exchange_info
from config.models import VenueParams

MINUTE = 60_000
NOW = 1_779_278_400_000
STREAMS = ("btcusdt@kline_1m", "btcusdt@bookTicker", "btcusdt@depth20@500ms", "!markPrice@arr@1s")
VALID = [
    {
        "stream": STREAMS[0],
        "data": {
            "e": "kline", "E": NOW + 5, "s": "BTCUSDT",
            "k": {"t": NOW, "T": NOW + MINUTE - 1, "s": "BTCUSDT", "i": "1m", "f": 1, "L": 2, "o": "104.20", "c": "105.10",
                  "h": "110.10", "l": "99.90", "v": "10342.551", "n": 2123, "x": True, "q": "1077693.8", "V": "5210.1",
                  "Q": "542894.2", "B": "0"},
        },
    },
    {"stream": STREAMS[1], "data": {"e": "bookTicker", "E": NOW, "s": "BTCUSDT", "b": "1.5", "B": "2", "a": "1.6", "A": "3"}},
    {"stream": STREAMS[2], "data": {"e": "depthUpdate", "E": NOW, "s": "BTCUSDT", "b": [["1.5", "2"]], "a": [["1.6", "3"]]}},
    {"stream": STREAMS[3], "data": [{"e": "markPriceUpdate", "E": NOW, "s": "BTCUSDT", "p": "1.55", "r": "0.0001", "st": 1}]},
    {"result": None, "id": 1},
    {"error": {"code": 2, "msg": "Invalid request"}, "id": 1},
]  # fmt: skip
STRANGE = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=12),
    st.sampled_from(["NaN", "Infinity", "-1", "1e400", "0x10", "", " 1", "١٢", "1.5" * 500, "-0", "1e-400"]),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)  # fmt: skip


def paths(value, at=()):
    """Every place inside a JSON value."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*at, key))


def changed(value, path, new):
    """The value with another one at a place; ``...`` removes it."""
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and new is ...:
        del copied[path[0]]
    else:
        copied[path[0]] = changed(copied[path[0]], path[1:], new)
    return copied


def deliver(payloads):
    """Bring payloads to session, bar feed and book, as the worker does; return all three."""
    session = Session("ws://exchange/market/stream", VenueParams())
    session.want(STREAMS, 0.0)
    session.start(0.0)
    session.connected(0.0)
    session.commands()
    feed, board, heard = BarFeed(), BookBoard(), []
    board.follow(["BTCUSDT"])
    for number, payload in enumerate(payloads):
        data = session.received(payload, float(number))
        if isinstance(data, KlineEvent):
            feed.take(data.bar)
            heard.append(data.bar)
        elif isinstance(data, BookTicker):
            board.take_quote(data)
        elif isinstance(data, DepthUpdate):
            board.take_depth(data)
        elif data is not None:
            board.take_marks([data] if isinstance(data, MarkPrice) else data)
    return session, feed, board, heard


def check(payloads):
    session, feed, board, heard = deliver(payloads)
    for (symbol, open_ms), row in feed.closed().items():
        assert any(
            (bar.symbol, bar.open_time_ms, bar.open, bar.high, bar.low, bar.close, bar.volume)
            == (symbol, open_ms, row[1], row[2], row[3], row[4], row[5])
            and is_sound(bar)
            for bar in heard
        ), "a bar that nobody sent"
    entry = board.entry("BTCUSDT")
    assert entry.bid is None or 0 < entry.bid <= entry.ask < float("inf")
    assert entry.mark_price is None or 0 < entry.mark_price < float("inf")
    counted = session.counts.messages + sum(session.counts.errors.values())
    assert counted <= len(payloads)
    return session, feed


@settings(max_examples=400, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_valid_message_with_anything_strange_in_it(data):
    whole = data.draw(st.sampled_from(VALID))
    path = data.draw(st.sampled_from(list(paths(whole))))
    new = data.draw(st.one_of(st.just(...) if path else st.none(), STRANGE))
    check([json.dumps(changed(whole, path, new)).encode("utf-8", "surrogatepass")])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(which=st.sampled_from(VALID), cut=st.integers(0, 400), flips=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), max_size=4))  # fmt: skip
def test_bytes_that_are_cut_or_flipped(which, cut, flips):
    raw = bytearray(json.dumps(which).encode())
    for at, mask in flips:
        raw[at % len(raw)] ^= mask
    check([bytes(raw), bytes(raw[: cut % (len(raw) + 1)])])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(raw=st.binary(max_size=300))
def test_any_bytes_at_all(raw):
    session, feed = check([raw, b"[" * 5_000, b'{"stream":' * 2_000, raw * 50])
    assert sum(session.counts.errors.values()) >= 2
    assert not feed.has_closed


@settings(max_examples=60, deadline=None, derandomize=True)
@given(order=st.permutations(range(12)), repeats=st.lists(st.integers(0, 11), max_size=12))
def test_reordered_and_repeated_messages_close_every_bar_once_with_its_own_numbers(order, repeats):
    sent = []
    for number in range(12):
        bar = {
            **VALID[0]["data"]["k"],
            "t": NOW + number // 2 * MINUTE,
            "x": number % 2 == 1,
            "c": f"{100 + number / 2}",
        }
        sent.append(json.dumps({"stream": STREAMS[0], "data": {**VALID[0]["data"], "k": bar}}).encode())
    _, feed, _, _ = deliver([sent[at] for at in [*order, *repeats]])
    closes = {open_ms: row[4] for (_, open_ms), row in feed.closed().items()}
    assert closes == {NOW + number * MINUTE: 100.5 + number for number in range(6)}


# ── REST ──

ROW = [
    NOW,
    "104.2",
    "110.1",
    "99.9",
    "105.1",
    "10342.5",
    NOW + MINUTE - 1,
    "1077693.8",
    2123,
    "5210.1",
    "542894.2",
    "0",
]
CONTRACT = {
    "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "contractType": "PERPETUAL",
    "underlyingType": "COIN", "onboardDate": 1, "deliveryDate": 2,
    "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.1"}, {"filterType": "LOT_SIZE", "stepSize": "0.001"},
                {"filterType": "NOBODY_KNOWS", "x": [1]}],
}  # fmt: skip
BODIES = {
    "klines": ([ROW, [ROW[0] + MINUTE, *ROW[1:6], ROW[6] + MINUTE, *ROW[7:]]], lambda raw: decode_klines(raw, "1m", what="GET")),
    "exchangeInfo": ({"symbols": [CONTRACT]}, lambda raw: decode_exchange_info(raw, what="GET")),
    "time": ({"serverTime": NOW}, lambda raw: wire.decode(raw, wire.SERVER_TIME, what="GET")),
    "bookTicker": (
        [{"symbol": "A", "bidPrice": "1", "bidQty": "1", "askPrice": "2", "askQty": "1", "time": 1}],
        lambda raw: wire.decode(raw, wire.BOOK_TICKERS, what="GET"),
    ),
    "depth": ({"bids": [["1", "2"]], "asks": [["3", "4"]], "E": 1}, lambda raw: wire.decode(raw, wire.DEPTH, what="GET")),
    "openInterest": (
        {"symbol": "A", "openInterest": "5", "time": 1}, lambda raw: wire.decode(raw, wire.OPEN_INTEREST, what="GET")
    ),
    "premiumIndex": (
        [{"symbol": "A", "markPrice": "1", "indexPrice": "1", "lastFundingRate": "", "nextFundingTime": 0, "time": 1}],
        lambda raw: wire.decode(raw, wire.PREMIUM_INDEX, what="GET"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BODIES))
@settings(max_examples=80, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_reply_with_anything_strange_in_it_is_read_or_refused_by_name(name, data):
    whole, decode = BODIES[name]
    path = data.draw(st.sampled_from(list(paths(whole))))
    strange = json.dumps(changed(whole, path, data.draw(STRANGE))).encode("utf-8", "surrogatepass")
    cut = strange[: data.draw(st.integers(0, len(strange)))]
    for body in (strange, cut, b"[" * 20_000):
        try:
            found = decode(body)
        except MalformedReply as error:
            refused = str(error)
        else:
            refused = "GET"
            if name == "klines":
                assert (found["low"] > 0).all()
                assert (found["low"] <= found["high"]).all()
                assert (found["open_time_ms"] % MINUTE == 0).all()
        assert refused.startswith("GET"), "an error names its request"


# ── The recorded exchange ──


@pytest.mark.recorded
def test_real_messages_cut_and_flipped(recordings):
    dice = random.Random(11)
    lines = (recordings / "binance-raw-2021-07" / "BINANCE_FUTURES.ws.1.0").read_text().splitlines()
    payloads = [text.encode() for text in (line.partition(": ")[2] for line in lines) if text.startswith('{"stream"')]
    names = sorted({msgspec.json.decode(payload)["stream"] for payload in payloads})
    session = Session("ws://exchange/market/stream", VenueParams())
    session.want(names, 0.0)
    session.start(0.0)
    session.connected(0.0)
    feed = BarFeed()
    for number, payload in enumerate(payloads):
        raw = bytearray(payload)
        if number % 2:
            raw[dice.randrange(len(raw))] ^= dice.randrange(1, 256)
        data = session.received(bytes(raw[: dice.randrange(len(raw))] if number % 5 == 4 else raw), float(number))
        if isinstance(data, KlineEvent):
            feed.take(data.bar)
    assert session.counts.messages > len(payloads) // 4
    assert session.counts.errors["malformed_message"] > len(payloads) // 10
