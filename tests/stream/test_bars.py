"""Which bar is written when, and how sure it is said to be."""

from __future__ import annotations

import numpy as np
import pytest

from aione.panel.bars import BAR_RECORD, Finality, Source
from aione.stream.bars import BarFeed, is_sound, records, row
from aione.venue.stream_wire import Kline

MINUTE = 60_000
SOUND = {
    "open_time_ms": 10 * MINUTE,
    "symbol": "BTCUSDT",
    "interval": "1m",
    "open": 10.0,
    "high": 12.0,
    "low": 9.0,
    "close": 11.0,
    "volume": 5.0,
    "quote_volume": 55.0,
    "taker_buy_volume": 2.0,
    "trade_count": 7,
    "is_closed": False,
}


def bar(minute=10, *, symbol="BTCUSDT", closed=False, close=11.0):
    return Kline(**{**SOUND, "open_time_ms": minute * MINUTE, "symbol": symbol, "is_closed": closed, "close": close})


def finalities(feed):
    return {(symbol, at // MINUTE): Finality(values[10]) for (symbol, at), values in feed.closed().items()}


def forming_minutes(feed):
    return {
        symbol: int(np.frombuffer(raw, BAR_RECORD)["open_time_ms"][0]) // MINUTE
        for symbol, raw in feed.forming().items()
    }


def test_a_closing_push_is_written_at_once_with_every_value():
    feed = BarFeed()
    assert feed.take(bar(closed=True))
    rows = records(feed.closed())["BTCUSDT"]
    assert rows.dtype == BAR_RECORD
    (stored,) = rows
    assert {name: stored[name] for name in BAR_RECORD.names if name in SOUND} == {
        name: SOUND[name] for name in BAR_RECORD.names if name in SOUND
    }
    assert (stored["source"], stored["finality"]) == (Source.STREAM, Finality.STREAM_CLOSED)


def test_a_forming_bar_is_given_out_once_a_change_and_is_not_written():
    feed = BarFeed()
    assert not feed.take(bar(close=10.5))
    assert not feed.take(bar(close=11.5))
    (raw,) = feed.forming().values()
    (forming,) = np.frombuffer(raw, BAR_RECORD)
    assert (forming["close"], forming["finality"]) == (11.5, Finality.PROVISIONAL)
    assert feed.forming() == {}
    assert not feed.has_closed


def test_a_bar_whose_successor_came_first_is_provisional():
    feed = BarFeed()
    feed.take(bar(10))
    assert feed.take(bar(11))
    assert finalities(feed) == {("BTCUSDT", 10): Finality.SUCCESSOR_SEEN}


def test_the_late_closing_push_clears_the_suspicion_and_keeps_the_forming_bar():
    feed = BarFeed()
    feed.take(bar(10))
    feed.take(bar(11))
    feed.take(bar(10, closed=True, close=11.9))
    assert finalities(feed) == {("BTCUSDT", 10): Finality.STREAM_CLOSED}
    assert forming_minutes(feed) == {"BTCUSDT": 11}


def test_a_push_of_a_minute_that_has_closed_changes_nothing():
    feed = BarFeed()
    feed.take(bar(10, closed=True))
    assert not feed.take(bar(10, close=9.5))
    assert not feed.take(bar(9))
    assert feed.forming() == {}


def test_a_push_of_an_earlier_minute_does_not_replace_the_forming_bar():
    feed = BarFeed()
    feed.take(bar(11))
    assert not feed.take(bar(10))
    assert forming_minutes(feed) == {"BTCUSDT": 11}
    assert not feed.has_closed


def test_a_provisional_version_never_replaces_a_closed_one_that_still_waits():
    feed = BarFeed()
    feed.take(bar(10, closed=True, close=11.9))
    feed._close(bar(10), Finality.SUCCESSOR_SEEN)
    assert finalities(feed) == {("BTCUSDT", 10): Finality.STREAM_CLOSED}


def test_after_a_connection_was_lost_an_old_forming_bar_is_not_taken_for_a_closed_one():
    feed = BarFeed()
    feed.take(bar(10))
    feed.forget(["BTCUSDT"])
    assert not feed.take(bar(14))
    assert not feed.has_closed


def test_symbols_do_not_touch_each_other():
    feed = BarFeed()
    feed.take(bar(10, symbol="AUSDT"))
    feed.take(bar(11, symbol="BUSDT"))
    feed.take(bar(11, symbol="AUSDT"))
    assert finalities(feed) == {("AUSDT", 10): Finality.SUCCESSOR_SEEN}
    feed.follow(["BUSDT"])
    assert forming_minutes(feed) == {"BUSDT": 11}
    assert feed.has_closed, "what has closed is still to be written"


def test_a_bar_of_a_symbol_that_is_not_followed_is_refused():
    feed = BarFeed()
    feed.follow(["AUSDT"])
    assert not feed.take(bar(10, symbol="BUSDT", closed=True))
    assert (feed.refused, feed.has_closed) == (1, False)
    assert feed.take(bar(10, symbol="AUSDT", closed=True))


def test_a_bar_ahead_of_time_is_refused_and_a_little_skew_is_not():
    feed = BarFeed(now_ms=lambda: 10 * MINUTE - 1_270)
    assert feed.take(bar(10, closed=True))
    assert not feed.take(bar(11, closed=True))
    assert not feed.take(bar(11))
    assert feed.refused == 2
    assert finalities(feed) == {("BTCUSDT", 10): Finality.STREAM_CLOSED}


@pytest.mark.parametrize(("event_ms", "is_believed"), [(5_000, False), (59_998, False), (59_999, True), (62_000, True)])
def test_a_bar_cannot_have_closed_before_its_end(event_ms, is_believed):
    feed = BarFeed()
    feed.take(bar(10), 10 * MINUTE + 1)
    assert feed.take(bar(10, closed=True), 10 * MINUTE + event_ms) is is_believed
    assert feed.refused == (not is_believed)
    assert feed.has_closed is is_believed
    assert forming_minutes(feed) == ({} if is_believed else {"BTCUSDT": 10})


def test_what_was_written_is_forgotten_but_not_what_came_meanwhile():
    feed = BarFeed()
    feed.take(bar(10))
    feed.take(bar(11))
    writing = feed.closed()
    feed.take(bar(10, closed=True))
    feed.written(writing)
    assert finalities(feed) == {("BTCUSDT", 10): Finality.STREAM_CLOSED}
    feed.written(feed.closed())
    assert not feed.has_closed


def test_while_nothing_can_be_written_the_buffer_is_bounded_and_what_it_loses_is_counted():
    feed = BarFeed(limit=3)
    for minute in range(10, 15):
        feed.take(bar(minute, closed=True))
    assert [minute for _, minute in finalities(feed)] == [12, 13, 14]
    assert feed.dropped == 2


@pytest.mark.parametrize(
    "change",
    [
        {"interval": "5m"},
        {"open_time_ms": 10 * MINUTE + 1},
        {"open_time_ms": 0},
        {"open_time_ms": -MINUTE},
        {"low": 0.0},
        {"low": float("nan")},
        {"high": float("inf")},
        {"open": 12.5},
        {"close": 8.5},
        {"close": float("nan")},
        {"volume": -1.0},
        {"volume": float("nan")},
        {"taker_buy_volume": 5.5},
        {"quote_volume": -1.0},
        {"quote_volume": float("inf")},
        {"trade_count": -1},
        {"trade_count": 2**32},
    ],
)
def test_a_bar_that_cannot_be_true_is_refused_and_counted(change):
    feed = BarFeed()
    strange = Kline(**{**SOUND, "is_closed": True, **change})
    assert not is_sound(strange)
    assert not feed.take(strange)
    assert feed.refused == 1
    assert not feed.has_closed


def test_a_minute_without_trades_is_a_sound_bar():
    flat = Kline(**{**SOUND, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 0.0, "quote_volume": 0.0,
                    "taker_buy_volume": 0.0, "trade_count": 0})  # fmt: skip
    assert is_sound(flat)


def test_a_row_is_the_record_in_order():
    assert len(row(bar(), Finality.STREAM_CLOSED)) == len(BAR_RECORD.names)
