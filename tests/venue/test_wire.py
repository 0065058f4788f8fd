"""Wire decoding: real recorded contracts, every contradiction a bar can hold, and no foreign value let in."""

import json

import msgspec
import numpy as np
import pytest

from aione.errors import InvalidInput, MalformedReply
from aione.venue import wire
from aione.venue.errors_map import TruncatedReply
from aione.venue.wire_bars import decode_klines, interval_ms
from aione.venue.wire_contracts import decode_exchange_info

T0 = 1_626_992_700_000


def body(*rows):
    return json.dumps(rows).encode()


def changed(row, **cells):
    """A kline in which cells, by position ``c1=...``, are others."""
    out = list(row)
    for name, value in cells.items():
        out[int(name[1:])] = value
    return out


# ── Bars ──


def test_a_bar_equals_what_python_makes_of_its_strings(row):
    sent = [row(T0 + 60_000 * n) for n in range(50)]
    bars = decode_klines(body(*sent), "1m", what="test")
    for column, name in ((1, "open"), (2, "high"), (3, "low"), (4, "close"), (5, "volume"), (7, "quote_volume")):
        np.testing.assert_array_equal(bars[name], [float(cells[column]) for cells in sent])
    np.testing.assert_array_equal(bars["trade_count"], [cells[8] for cells in sent])


def test_no_rows_are_no_bars():
    assert decode_klines(b"[]", "1m", what="test").shape == (0,)


def test_microseconds_are_recognised(row):
    cells = row(T0)
    cells[0] *= 1000
    cells[6] = cells[6] * 1000 + 999
    assert decode_klines(body(cells), "1m", what="test")["open_time_ms"].tolist() == [T0]


def test_further_cells_are_ignored(row):
    assert len(decode_klines(body([*row(T0), "a cell of a later release", {}]), "1m", what="test")) == 1


def test_a_bar_without_trades_is_a_bar(row):
    quiet = changed(row(T0), c1="5", c2="5", c3="5", c4="5", c5="0", c7="0", c8=0, c9="0")
    bars = decode_klines(body(quiet), "1m", what="test")
    assert (bars[0]["open"], bars[0]["volume"], bars[0]["trade_count"]) == (5.0, 0.0, 0)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"c0": T0 + 1}, "open time off the grid"),
        ({"c3": "0"}, "price of 0"),
        ({"c3": "9999"}, "low above open or close"),
        ({"c2": "0.1"}, "high below open or close"),
    ],
)
def test_a_bar_that_contradicts_itself_is_malformed_and_named(row, cells, message):
    rows = [row(T0 - 60_000), changed(row(T0), **cells)]
    with pytest.raises(MalformedReply, match=rf"GET x: {message} - at `\$\[1\]`"):
        decode_klines(body(*rows), "1m", what="GET x")


def test_rows_out_of_order_are_malformed(row):
    for rows in ([row(T0), row(T0 - 60_000)], [row(T0), row(T0)]):
        with pytest.raises(MalformedReply, match="open time not after the row before"):
            decode_klines(body(*rows), "1m", what="GET x")


@pytest.mark.parametrize(
    "cells",
    [{"c1": "nan"}, {"c2": "inf"}, {"c5": "-1"}, {"c1": None}, {"c0": "soon"}, {"c8": 1.5}, {"c4": "1,5"}, {"c0": -5}],
)
def test_a_cell_that_is_no_finite_amount_is_malformed(row, cells):
    with pytest.raises(MalformedReply, match=r"GET x: .*at `\$\[0\]"):
        decode_klines(body(changed(row(T0), **cells)), "1m", what="GET x")


def test_a_row_that_is_too_short_is_malformed():
    with pytest.raises(MalformedReply, match="GET x"):
        decode_klines(b'[[1, "2"]]', "1m", what="GET x")


@pytest.mark.parametrize("cut", [1, 10, 150, 299])
def test_a_reply_cut_anywhere_is_truncated(row, cut):
    whole = body(*(row(T0 + 60_000 * n) for n in range(3)))
    with pytest.raises(TruncatedReply, match=f"{cut} bytes"):
        decode_klines(whole[:cut], "1m", what="GET x")


def test_intervals():
    assert (interval_ms("1m"), interval_ms("1d"), interval_ms("4h")) == (60_000, 86_400_000, 14_400_000)
    with pytest.raises(InvalidInput, match="interval must be one of"):
        interval_ms("1w")


# ── Contracts ──


CONTRACT = {
    "symbol": "AUSDT",
    "status": "TRADING",
    "baseAsset": "A",
    "quoteAsset": "USDT",
    "contractType": "PERPETUAL",
    "underlyingType": "COIN",
    "onboardDate": T0,
    "deliveryDate": 4_133_404_800_000,
    "pricePrecision": 5,
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "stepSize": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
        {"filterType": "OF_A_LATER_RELEASE", "tickSize": {"deep": 1}},
    ],
}


def contracts(*rows):
    return json.dumps({"timezone": "UTC", "symbols": rows}).encode()


def test_rules_come_from_the_filters_not_from_the_precisions():
    (info,), refused = decode_exchange_info(contracts(CONTRACT), what="test")
    assert (info.tick_size, info.step_size, info.min_notional) == (0.1, 0.001, 5.0)
    assert (info.onboard_ms, info.status, refused) == (T0, "TRADING", {})


@pytest.mark.parametrize("tick", ["0", "nan", "-1", "one", None])
def test_a_contract_without_usable_rules_is_left_out_with_the_reason(tick):
    filters = [{"filterType": "PRICE_FILTER", "tickSize": tick}, {"filterType": "LOT_SIZE", "stepSize": "1"}]
    infos, refused = decode_exchange_info(contracts({**CONTRACT, "filters": filters}, CONTRACT), what="test")
    assert len(infos) == 1
    assert "step size 1.0" in refused["AUSDT"]


def test_a_missing_field_is_malformed():
    broken = {key: value for key, value in CONTRACT.items() if key != "status"}
    with pytest.raises(MalformedReply, match=r"missing required field `status` - at `\$.symbols\[0\]`"):
        decode_exchange_info(contracts(broken), what="test")


def recorded_exchange_info(recordings) -> bytes:
    lines = (recordings / "binance-raw-2021-07" / "BINANCE_FUTURES.0").read_bytes().splitlines()
    return next(line.split(b": ", 1)[1] for line in lines if b"exchangeInfo" in line[:80])


@pytest.mark.recorded
def test_the_exchanges_own_reply_decodes_whole(recordings):
    raw = recorded_exchange_info(recordings)
    infos, refused = decode_exchange_info(raw, what="recorded")
    sent = msgspec.json.decode(raw)["symbols"]
    assert (len(infos), refused) == (len(sent), {})
    assert len(infos) > 100
    for info, one in zip(infos, sent, strict=True):
        rules = {rule["filterType"]: rule for rule in one["filters"]}
        assert info.tick_size == float(rules["PRICE_FILTER"]["tickSize"])
        assert info.step_size == float(rules["LOT_SIZE"]["stepSize"])
        assert (info.symbol, info.status, info.onboard_ms) == (one["symbol"], one["status"], one["onboardDate"])


@pytest.mark.recorded
def test_a_recorded_book_decodes_best_first(recordings):
    lines = (recordings / "binance-raw-2021-07" / "BINANCE_FUTURES.http.0.0").read_bytes().splitlines()
    books = [
        wire.decode(line.split(b": ", 1)[1], wire.DEPTH, what="recorded")
        for line in lines
        if b"/fapi/v1/depth" in line[:80]
    ]
    assert books
    for book in books:
        assert book.bids == sorted(book.bids, reverse=True)
        assert book.asks == sorted(book.asks)
        assert book.bids[0][0] < book.asks[0][0]
