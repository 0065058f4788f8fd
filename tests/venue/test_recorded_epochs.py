"""Recorded files and real rows of klines in either epoch: the same bars, or a refusal that names the row."""

from __future__ import annotations

import csv
import json
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet

from aione.errors import MalformedReply
from aione.panel.bars import MINUTE_MS, Finality
from aione.sim.recorded import RecordedMarket
from aione.venue.wire_bars import decode_klines

pytestmark = pytest.mark.recorded

# ── Recorded files: milliseconds to the end of 2024, microseconds after ──

DAYS = ("2023-01-01", "2023-03-24", "2024-08-05", "2024-12-31", "2025-01-01")
COLUMNS = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "quote_volume": 7, "taker_buy_volume": 9}


def day_rows(recordings, day):
    with (recordings / "btc-spot-1m" / f"BTCUSDT-1m-{day}.csv").open(newline="") as file:
        return list(csv.reader(file))


def in_ms(cells):
    """The open time by its number of digits, not by its size."""
    return int(cells[0][:13])


def same_bars(bars, rows):
    assert bars["open_time_ms"].tolist() == [in_ms(cells) for cells in rows]
    for name, at in COLUMNS.items():
        assert bars[name].tolist() == [float(Decimal(cells[at])) for cells in rows]
    assert bars["trade_count"].tolist() == [int(cells[8]) for cells in rows]


def midnight_ms(day):
    return int(np.datetime64(day, "ms").astype(np.int64))


@pytest.fixture(scope="module")
def spot(recordings):
    """The whole folder as a market that stands in its longest stretch; a year of parquet and five days of CSV."""
    at_ms = midnight_ms("2023-09-01")
    return RecordedMarket(recordings / "btc-spot-1m", at_ms=at_ms, now_ms=at_ms)


@pytest.mark.parametrize("day", DAYS)
def test_a_published_day_is_played_as_it_was_written_in_either_epoch(recordings, spot, day):
    rows, start_ms = day_rows(recordings, day), midnight_ms(day)
    assert {len(cells[0]) for cells in rows} == {16 if day >= "2025" else 13}
    same_bars(spot.bars("BTCUSDT", MINUTE_MS, start_ms, start_ms + 1440 * MINUTE_MS - 1), rows)
    assert len(rows) == (1360 if day == "2023-03-24" else 1440)


def test_the_first_microsecond_follows_the_last_millisecond(spot):
    first_ms = midnight_ms("2025-01-01")
    bars = spot.bars("BTCUSDT", MINUTE_MS, first_ms - 60 * MINUTE_MS, first_ms + 59 * MINUTE_MS)
    assert np.diff(bars["open_time_ms"]).tolist() == [MINUTE_MS] * 119


def test_the_year_of_parquet_is_played_as_it_was_written(recordings, spot):
    for path in sorted((recordings / "btc-spot-1m").glob("*.parquet")):
        table = parquet.read_table(path)
        times = table["open_time"].to_numpy()
        bars = spot.bars("BTCUSDT", MINUTE_MS, int(times[0]), int(times[-1]))
        np.testing.assert_array_equal(bars["open_time_ms"], times)
        for name in COLUMNS:
            np.testing.assert_array_equal(bars[name], table[name].to_numpy())


def test_sixteen_recorded_perpetuals_are_played_bar_for_bar(recordings):
    at_ms = midnight_ms("2025-05-20")
    market = RecordedMarket(recordings / "usdm-2025-05", at_ms=at_ms, now_ms=at_ms)
    paths = sorted((recordings / "usdm-2025-05").glob("*-1m-futures.feather"))
    assert len(paths) == 16
    for path in paths:
        table = feather.read_table(path)
        times = table["date"].cast(pa.int64()).to_numpy() // 1_000_000
        bars = market.bars(path.name.partition("_")[0] + "USDT", MINUTE_MS, 0, 2**50)
        np.testing.assert_array_equal(bars["open_time_ms"], times)
        for name in ("open", "high", "low", "close", "volume"):
            np.testing.assert_array_equal(bars[name], table[name].to_numpy())


# ── The same rows as the klines endpoint would send them ──


def reply(rows):
    """The body of a klines reply: integers where the exchange sends integers, prices as they were written."""
    return json.dumps(
        [[int(cell) if at in {0, 6, 8} else cell for at, cell in enumerate(row)] for row in rows]
    ).encode()


@pytest.mark.parametrize("day", DAYS)
def test_real_rows_over_rest_are_the_same_bars_in_either_epoch(recordings, day):
    rows = day_rows(recordings, day)
    bars = decode_klines(reply(rows), "1m", what="GET klines")
    same_bars(bars, rows)
    assert set(bars["finality"]) == {Finality.REST_CONFIRMED}


def test_a_reply_that_goes_over_to_microseconds_half_way_is_read_whole(recordings):
    rows = day_rows(recordings, "2024-12-31")[-700:] + day_rows(recordings, "2025-01-01")[:700]
    bars = decode_klines(reply(rows), "1m", what="GET klines")
    same_bars(bars, rows)
    assert set(np.diff(bars["open_time_ms"])) == {MINUTE_MS}


WRONG_TIMES = {
    "nanoseconds": lambda ms: ms * 1_000_000,
    "microseconds off the grid by one": lambda ms: ms * 1_000 + 1,
    "microseconds of the millisecond after": lambda ms: ms * 1_000 + 1_000,
    "milliseconds off the grid": lambda ms: ms + 1,
    "seconds": lambda ms: ms // 1_000,
    "the year 57000 in milliseconds": lambda ms: ms * 1_000 * 1_000,
    "no time at all": lambda _: 0,
    "more than any record holds": lambda ms: ms * 2**40,
    "more than any integer": lambda ms: ms * 2**80,
}


@pytest.mark.parametrize("at", [0, 700, 1439])
@pytest.mark.parametrize("name", WRONG_TIMES)
def test_an_open_time_that_cannot_be_is_malformed_and_names_its_row(recordings, name, at):
    rows = day_rows(recordings, "2024-12-31")
    rows[at][0] = str(WRONG_TIMES[name](int(rows[at][0])))
    with pytest.raises(MalformedReply, match=rf"^GET klines: .* - at `\$\[{at}\]"):
        decode_klines(reply(rows), "1m", what="GET klines")


@pytest.mark.parametrize("name", ["nanoseconds", "microseconds off the grid by one", "no time at all"])
def test_a_whole_reply_of_such_times_is_malformed(recordings, name):
    rows = [[str(WRONG_TIMES[name](int(cells[0]))), *cells[1:]] for cells in day_rows(recordings, "2024-12-31")]
    with pytest.raises(MalformedReply, match=r"^GET klines: .* - at `\$\[0\]"):
        decode_klines(reply(rows), "1m", what="GET klines")


def read(body):
    """A reply as json reads it, with an open mind for bytes that are no text."""
    return json.loads(body.decode("utf-8", "replace"), strict=False)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    hurts=st.lists(st.tuples(st.integers(0, 4_000), st.integers(1, 255)), max_size=4),
    cut=st.integers(0, 4_000),
    order=st.one_of(st.just(range(12)), st.permutations(range(12))),
)
def test_real_rows_cut_flipped_or_out_of_order_are_refused_or_what_they_say(recordings, hurts, cut, order):
    rows = day_rows(recordings, "2025-01-01")[:12]
    body = bytearray(reply([rows[at] for at in order]))
    for at, mask in hurts:
        body[at % len(body)] ^= mask
    body = bytes(body[:cut] if cut < len(body) else body)
    try:
        bars = decode_klines(body, "1m", what="GET klines")
    except MalformedReply as error:
        refused = str(error)
    else:
        refused = "GET klines: "
        same_bars(bars, [list(map(str, cells)) for cells in read(body)])
        assert (np.diff(bars["open_time_ms"]) > 0).all()
    assert refused.startswith("GET klines: ")
