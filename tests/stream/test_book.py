"""Best bid and ask, mark price and funding as last streamed."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione.stream.book import SPREAD_SAMPLES, BookBoard, BookEntry
from aione.venue.stream_wire import BookTicker, DepthUpdate, MarkPrice

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
    assert entries(board) == {
        "BTCUSDT": BookEntry(99.0, 101.0, 0.02, 100.5, 0.0001, 1500, quoted_ms=1000, marked_ms=1500)
    }
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


# ── Depth ──


def depth(event_ms, bid=100.0, quantity=2.0, symbol="BTCUSDT"):
    bids = [(bid, quantity), (bid * 0.996, quantity), (bid * 0.9, 1e9)]
    asks = [(bid * 1.0002, quantity), (bid * 1.2, 1e9)]
    return DepthUpdate(event_ms, symbol, bids, asks)


def test_depth_is_what_rests_near_mid_and_is_compared_with_its_own_median(board):
    for minute in range(5):
        board.take_depth(depth(minute * 60_000 + 7, quantity=2.0 + minute))
    entry = board.entry("BTCUSDT")
    assert entry.depth_bid_quote == pytest.approx(6.0 * (100.0 + 99.6))
    assert entry.depth_ask_quote == pytest.approx(6.0 * 100.02)
    assert entry.depth_median_quote == pytest.approx(4.0 * 100.02)
    assert (entry.depth_ms, entry.quoted_ms, entry.event_ms) == (240_007, 0, 240_007)


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ([], [(1.0, 1.0)]),
        ([(1.0, 1.0)], []),
        ([(2.0, 1.0)], [(1.0, 1.0)]),
        ([(1.0, float("nan"))], [(1.001, 1.0)]),
        ([(1.0, -5.0)], [(1.001, 1.0)]),
        ([(0.0, 1.0)], [(2.0, 1.0)]),
    ],
)
def test_a_book_that_cannot_be_true_is_refused(board, bids, asks):
    board.take_depth(DepthUpdate(1000, "BTCUSDT", bids, asks))
    assert board.entry("BTCUSDT") == BookEntry()
    assert board.refused == 1


def test_what_was_usual_before_a_restart_is_taken_over_and_gives_way_to_what_is_seen(board):
    board.restore({"BTCUSDT": {"spread_median_frac": 0.01, "depth_median_quote": 500.0}, "STRANGE": {}})
    entry = board.entry("BTCUSDT")
    assert (entry.spread_median_frac, entry.depth_median_quote, entry.bid) == (0.01, 500.0, None)
    for minute in range(60):
        board.take_depth(depth(minute * 60_000))
    assert board.entry("BTCUSDT").depth_median_quote == pytest.approx(200.04)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["quote", "mark", "depth"]),
        st.integers(1, 400_000),
        st.sampled_from(["BTCUSDT", "ETHUSDT", "STRANGE"]),
        st.sampled_from([100.0, 50.0, 0.0, -1.0, float("nan"), float("inf")]),
    ),
    max_size=60,
)


@given(events=EVENTS)
def test_no_order_of_events_makes_an_entry_older_crossed_or_another_symbols(events):
    board = BookBoard()
    board.follow(["BTCUSDT", "ETHUSDT"])
    for kind, event_ms, symbol, price in events:
        before = {name: board.entry(name) for name in ("BTCUSDT", "ETHUSDT")}
        if kind == "quote":
            board.take_quote(BookTicker(event_ms, symbol, price, price * 1.01))
        elif kind == "mark":
            board.take_marks([MarkPrice(event_ms, symbol, price, "0.0001", 1)])
        else:
            board.take_depth(DepthUpdate(event_ms, symbol, [(price, 1.0)], [(price * 1.01, 1.0)]))
        for name, old in before.items():
            new = board.entry(name)
            assert new == old or name == symbol
            for moment in ("event_ms", "quoted_ms", "marked_ms", "depth_ms"):
                assert getattr(new, moment) >= getattr(old, moment)
            assert new.bid is None or 0 < new.bid <= new.ask < float("inf")
            assert new.depth_bid_quote is None or new.depth_bid_quote >= 0


# ── Time ──


def take_quote(board, event_ms):
    board.take_quote(BookTicker(event_ms, "BTCUSDT", 99.0, 101.0))


def take_depth(board, event_ms):
    board.take_depth(DepthUpdate(event_ms, "BTCUSDT", [(99.0, 1.0)], [(101.0, 1.0)]))


def take_marks(board, event_ms):
    board.take_marks([MarkPrice(event_ms, "BTCUSDT", 100.0, "0.0001", 1)])


@pytest.mark.parametrize("take", [take_quote, take_depth, take_marks])
def test_an_event_ahead_of_time_is_refused_and_what_follows_is_taken(take):
    now = [1_779_278_400_000]
    board = BookBoard(now_ms=lambda: now[0])
    board.follow(["BTCUSDT"])
    for ahead_ms in (30_001, 10**9, 10**11, 10**30):
        take(board, now[0] + ahead_ms)
    assert (board.refused, board.changed()) == (4, {})
    take(board, now[0] + 29_000)
    now[0] += 60_000
    take(board, now[0] + 29_000)
    assert board.refused == 4
    assert board.entry("BTCUSDT").event_ms == now[0] + 29_000


def test_the_clock_is_not_read_for_every_event():
    read = []
    board = BookBoard(now_ms=lambda: read.append(1) or 1_779_278_400_000)
    board.follow(["BTCUSDT"])
    for second in range(25):
        take_quote(board, 1_779_278_400_000 + 1_000 * second)
    assert len(read) == 1


def test_the_age_of_each_kind_is_the_median_over_the_symbols_that_have_it(board):
    board.follow(["BTCUSDT", "ETHUSDT", "XRPUSDT"])
    assert board.ages_s(10_000) == {}
    for symbol, event_ms in (("BTCUSDT", 9_000), ("ETHUSDT", 4_000), ("XRPUSDT", 8_000)):
        board.take_quote(BookTicker(event_ms, symbol, 99.0, 101.0))
    take_marks(board, 7_500)
    assert board.ages_s(10_000) == {"quote": 2.0, "mark_price": 2.5}
