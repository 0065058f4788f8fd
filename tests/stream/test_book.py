"""Best bid and ask, mark price and funding as last streamed."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from aione.stream.book import SPREAD_SAMPLES, BookBoard, BookEntry
from aione.venue.stream_wire import BookTicker, MarkPrice

MINUTE = 60_000


@pytest.fixture
def board():
    board = BookBoard()
    board.follow(["BTCUSDT", "ETHUSDT"])
    return board


def entries(board):
    return board.changed()


def test_an_entry_holds_the_newest_quote_and_mark(board):
    board.take_quote(BookTicker(1000, "BTCUSDT", 99.0, 101.0))
    board.take_marks([MarkPrice(1500, "BTCUSDT", 100.5, "0.0001", 1)])
    assert entries(board) == {"BTCUSDT": BookEntry(99.0, 101.0, 0.02, 100.5, 0.0001, 1500)}
    assert entries(board) == {}


def test_only_what_changed_is_given_out_and_can_be_given_out_again(board):
    board.take_quote(BookTicker(1000, "ETHUSDT", 9.0, 11.0))
    first = board.changed()
    board.again([*first, "GONEUSDT"])
    assert board.changed() == first


def test_an_older_quote_does_not_replace_a_newer_one(board):
    board.take_quote(BookTicker(2000, "BTCUSDT", 99.0, 101.0))
    board.take_quote(BookTicker(1999, "BTCUSDT", 50.0, 51.0))
    assert board.entry("BTCUSDT").bid == 99.0


def test_the_usual_spread_is_the_median_of_one_sample_a_minute_over_the_last_hour(board):
    rng = np.random.default_rng(7)
    spreads = []
    for minute in range(100):
        half = float(rng.uniform(0.1, 1.0))
        spreads.append(2 * half / 100.0)
        board.take_quote(BookTicker(minute * MINUTE, "BTCUSDT", 100.0 - half, 100.0 + half))
        for within in range(1, 4):  # a flood inside the minute changes nothing
            board.take_quote(BookTicker(minute * MINUTE + within, "BTCUSDT", 1.0, 199.0))
    assert board.entry("BTCUSDT").spread_median_frac == pytest.approx(statistics.median(spreads[-SPREAD_SAMPLES:]))


@pytest.mark.parametrize(
    ("bid", "ask"),
    [(0.0, 1.0), (1.0, 0.0), (2.0, 1.0), (float("nan"), 1.0), (1.0, float("nan")), (1.0, float("inf"))],
)
def test_an_empty_crossed_or_unreal_quote_is_refused(board, bid, ask):
    board.take_quote(BookTicker(1000, "BTCUSDT", bid, ask))
    assert board.entry("BTCUSDT") == BookEntry()
    assert board.refused == 1


def test_coin_margined_rows_and_strangers_are_passed_over(board):
    board.take_marks([MarkPrice(1, "BTCUSDT", 1.0, "0", 2), MarkPrice(1, "XRPUSDT", 1.0, "0", 1)])
    board.take_quote(BookTicker(1, "XRPUSDT", 1.0, 2.0))
    assert entries(board) == {}
    assert board.refused == 0


@pytest.mark.parametrize(("text", "expected"), [("-0.0003", -0.0003), ("", None), ("nan", None), ("soon", None)])
def test_funding_is_a_number_or_unknown(board, text, expected):
    board.take_marks([MarkPrice(1, "BTCUSDT", 1.0, text)])
    assert board.entry("BTCUSDT").funding_rate == expected


def test_a_mark_price_that_is_none_is_refused(board):
    board.take_marks([MarkPrice(1, "BTCUSDT", 0.0, "0")])
    assert board.refused == 1
    assert board.entry("BTCUSDT").mark_price is None


def test_following_other_symbols_says_which_have_gone_and_keeps_the_rest(board):
    board.take_quote(BookTicker(1000, "BTCUSDT", 99.0, 101.0))
    board.take_quote(BookTicker(1000, "ETHUSDT", 9.0, 11.0))
    assert board.follow(["BTCUSDT", "SOLUSDT"]) == ["ETHUSDT"]
    assert list(entries(board)) == ["BTCUSDT"]
    assert board.entry("SOLUSDT") == BookEntry()
