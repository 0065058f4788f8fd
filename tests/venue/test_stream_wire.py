"""The exchange's messages become typed events, and nothing else gets through."""

from __future__ import annotations

import json

import pytest

from aione.errors import InvalidInput, MalformedReply
from aione.venue.stream_wire import (
    BookTicker,
    KlineEvent,
    MarkPrice,
    UnknownEvent,
    book_ticker_stream,
    control_message,
    decode,
    kline_stream,
    stream_kind,
)

# As published in the exchange's documentation.
KLINE = {
    "e": "kline", "E": 1638747660000, "s": "BTCUSDT",
    "k": {"t": 1638747660000, "T": 1638747719999, "s": "BTCUSDT", "i": "1m", "f": 100, "L": 200, "o": "0.0010",
          "c": "0.0020", "h": "0.0025", "l": "0.0015", "v": "1000", "n": 100, "x": False, "q": "1.0000",
          "V": "500", "Q": "0.500", "B": "123456"},
}  # fmt: skip
BOOK = {"e": "bookTicker", "u": 400900217, "E": 1568014460893, "T": 1568014460891, "s": "BNBUSDT", "b": "25.35190000",
        "B": "31.21000000", "a": "25.36520000", "A": "40.66000000"}  # fmt: skip
MARK = {"e": "markPriceUpdate", "E": 1562305380000, "s": "BTCUSDT", "p": "11185.87786614", "i": "11784.62659091",
        "P": "11784.25641265", "r": "0.00030000", "T": 1562306400000}  # fmt: skip


def combined(stream, data):
    return json.dumps({"stream": stream, "data": data}).encode()


def test_a_kline_event_is_read_field_by_field():
    envelope = decode(combined("btcusdt@kline_1m", KLINE))
    bar = envelope.data.bar
    assert envelope.stream == "btcusdt@kline_1m"
    assert isinstance(envelope.data, KlineEvent)
    assert envelope.data.event_ms == 1638747660000
    assert (bar.open_time_ms, bar.symbol, bar.interval, bar.is_closed) == (1638747660000, "BTCUSDT", "1m", False)
    assert (bar.open, bar.high, bar.low, bar.close) == (0.0010, 0.0025, 0.0015, 0.0020)
    assert (bar.volume, bar.quote_volume, bar.taker_buy_volume, bar.trade_count) == (1000.0, 1.0, 500.0, 100)


def test_a_book_ticker_is_read_field_by_field():
    assert decode(combined("bnbusdt@bookTicker", BOOK)).data == BookTicker(1568014460893, "BNBUSDT", 25.3519, 25.3652)


def test_mark_prices_come_alone_or_as_a_list():
    alone = MarkPrice(1562305380000, "BTCUSDT", 11185.87786614, "0.00030000", None)
    assert decode(combined("btcusdt@markPrice", MARK)).data == alone
    assert decode(combined("!markPrice@arr@1s", [MARK, MARK])).data == [alone, alone]


def test_a_contract_without_funding_does_not_spoil_the_whole_push():
    rows = decode(combined("!markPrice@arr", [MARK, {**MARK, "r": "", "T": 0}])).data
    assert [row.funding_text for row in rows] == ["0.00030000", ""]


@pytest.mark.parametrize(("st", "ours"), [(None, True), (1, True), (2, False)])
def test_coin_margined_rows_are_told_apart(st, ours):
    row = MARK if st is None else {**MARK, "st": st}
    assert decode(combined("!markPrice@arr", [row])).data[0].is_usd_margined is ours


def test_replies_carry_their_id_and_error():
    assert decode(b'{"result":null,"id":7}').id == 7
    refused = decode(b'{"error":{"code":2,"msg":"Invalid request"},"id":8}')
    assert (refused.id, refused.error.code, refused.error.msg) == (8, 2, "Invalid request")


def test_an_event_that_nothing_here_reads_is_named():
    with pytest.raises(UnknownEvent, match="forceOrder"):
        decode(combined("!forceOrder@arr", {"e": "forceOrder", "o": {}}))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"hello",
        b"[1]",
        b"{}",
        b'{"stream":"btcusdt@kline_1m"',
        b'{"stream":"btcusdt@kline_1m","data":{}}',
        combined("btcusdt@kline_1m", {**KLINE, "k": {**KLINE["k"], "o": "many"}}),
        combined("btcusdt@kline_1m", {key: value for key, value in KLINE.items() if key != "k"}),
        b'{"stream":"\xff\xfe","data":null}',
    ],
)
def test_what_breaks_the_contract_is_malformed_and_quoted(payload):
    with pytest.raises(MalformedReply) as caught:
        decode(payload)
    assert not isinstance(caught.value, UnknownEvent)
    assert repr(payload[:20])[2:-1] in str(caught.value)


def test_stream_names_are_lower_case_and_tell_their_kind():
    assert stream_kind(kline_stream("1000PEPEUSDT")) == "kline"
    assert stream_kind(book_ticker_stream("币安人生USDT")) == "bookTicker"
    assert stream_kind("!miniTicker@arr") == "miniTicker"
    assert kline_stream("BTCUSDT", "5m") == "btcusdt@kline_5m"


@pytest.mark.parametrize("name", ["", "btcusdt", "btcusdt@", "!@arr", "@"])
def test_a_name_without_a_kind_is_refused(name):
    with pytest.raises(InvalidInput, match="symbol@kind"):
        stream_kind(name)


def test_a_control_message_is_what_the_exchange_expects():
    assert json.loads(control_message("UNSUBSCRIBE", ["a@kline_1m", "b@kline_1m"], 12)) == {
        "method": "UNSUBSCRIBE",
        "params": ["a@kline_1m", "b@kline_1m"],
        "id": 12,
    }


def test_recorded_messages_of_the_exchange_decode(recordings):
    """Every bar and book ticker of half a minute of the real exchange, against the json module."""
    kinds = {"kline": 0, "bookTicker": 0, "depthUpdate": 0}
    for line in (recordings / "binance-raw-2021-07" / "BINANCE_FUTURES.ws.1.0").read_text().splitlines():
        _, _, text = line.partition(": ")
        if not text.startswith('{"stream"'):
            continue
        plain = json.loads(text)["data"]
        if plain["e"] not in kinds:
            with pytest.raises(UnknownEvent):
                decode(text.encode())
            continue
        kinds[plain["e"]] += 1
        data = decode(text.encode()).data
        if plain["e"] == "kline":
            bar = plain["k"]
            assert data.bar.close == float(bar["c"])
            assert data.bar.taker_buy_volume == float(bar["V"])
            assert data.bar.is_closed is bar["x"]
        elif plain["e"] == "depthUpdate":
            assert data.bids == [(float(price), float(quantity)) for price, quantity in plain["b"]]
            assert data.asks == [(float(price), float(quantity)) for price, quantity in plain["a"]]
        else:
            assert (data.symbol, data.bid, data.ask) == (plain["s"], float(plain["b"]), float(plain["a"]))
    assert min(kinds.values()) > 10
