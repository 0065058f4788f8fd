"""Aggregation and book rows of the contract that every simulated market shares."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from aione.errors import InvalidInput
from aione.sim.market import (
    DAY_MS,
    MINUTE_MS,
    SIM_BAR,
    WEEK_MS,
    aggregate,
    between,
    book_levels,
    bucket_open,
    check_interval,
    empty_bars,
)
from aione.sim.quotes import BookModel, make_quote


def some_bars(count, seed=3, gap=()):
    rng = np.random.default_rng(seed)
    bars = np.zeros(count, dtype=SIM_BAR)
    bars["open_time_ms"] = 1_764_000_000_000 // DAY_MS * DAY_MS + np.arange(count) * MINUTE_MS
    bars["open"], bars["close"] = rng.uniform(90, 110, (2, count))
    bars["high"] = np.maximum(bars["open"], bars["close"]) + rng.uniform(0, 3, count)
    bars["low"] = np.minimum(bars["open"], bars["close"]) - rng.uniform(0, 3, count)
    for name in ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"):
        bars[name] = rng.uniform(1, 9, count)
    bars["trade_count"] = rng.integers(1, 99, count)
    return np.delete(bars, list(gap))


@pytest.mark.parametrize("minutes", [1, 5, 60, 1440])
def test_aggregation_agrees_with_pandas(minutes):
    bars = some_bars(4000, gap=range(700, 900))
    frame = pd.DataFrame(bars)
    frame.index = pd.to_datetime(frame["open_time_ms"], unit="ms")
    how = {"open": "first", "high": "max", "low": "min", "close": "last"}
    how |= dict.fromkeys(set(frame.columns) - how.keys() - {"open_time_ms"}, "sum")
    expected = frame.resample(f"{minutes}min").agg(how).dropna(subset=["open"])
    made = aggregate(bars, minutes * MINUTE_MS)
    np.testing.assert_array_equal(made["open_time_ms"], expected.index.astype("datetime64[ms]").astype(np.int64))
    for name in how:
        np.testing.assert_allclose(made[name], expected[name], rtol=1e-12)


def test_weeks_open_on_monday():
    bars = some_bars(20_000)
    opened = pd.to_datetime(aggregate(bars, WEEK_MS)["open_time_ms"], unit="ms")
    assert set(opened.day_of_week) == {0}
    assert pd.Timestamp(bucket_open(int(bars["open_time_ms"][0]), WEEK_MS), unit="ms").day_of_week == 0


def test_aggregating_nothing_gives_nothing():
    assert len(aggregate(empty_bars(), DAY_MS)) == 0


@pytest.mark.parametrize("interval_ms", [0, -60_000, 59_999, 90_000])
def test_an_interval_is_whole_minutes(interval_ms):
    with pytest.raises(InvalidInput, match=f"multiple of 60000, was {interval_ms}"):
        check_interval(interval_ms)
    with pytest.raises(InvalidInput):
        aggregate(some_bars(5), interval_ms)


def test_both_ends_of_a_range_are_inside():
    bars = some_bars(10)
    times = bars["open_time_ms"]
    np.testing.assert_array_equal(between(bars, times[2], times[5])["open_time_ms"], times[2:6])
    assert len(between(bars, times[2] + 1, times[3] - 1)) == 0


@pytest.mark.parametrize("count", [5, 20, 500, 1000])
@pytest.mark.parametrize(
    ("price", "tick", "turnover"), [(95_000.0, 0.1, 1e10), (0.0112, 1e-6, 3e6), (0.00042, 1e-8, 1e5)]
)
def test_book_rows_are_ordered_and_agree_with_the_depth(count, price, tick, turnover):
    quote = make_quote(BookModel(tick, turnover, 5), price, 1_764_000_000_000)
    bids, asks = book_levels(quote, tick, count)
    assert bids[0].tolist() == [quote.bid, quote.bid_qty]
    assert asks[0].tolist() == [quote.ask, quote.ask_qty]
    for rows, sign in ((bids, -1), (asks, 1)):
        assert 1 <= len(rows) <= count
        assert (np.diff(rows[:, 0]) * sign > 0).all()
        assert (rows > 0).all()
        np.testing.assert_allclose(rows[:, 0] / tick, np.round(rows[:, 0] / tick), atol=1e-6)
    if count >= 500:
        mid = 0.5 * (quote.bid + quote.ask)
        for level in quote.depth[3:]:
            near = bids[bids[:, 0] >= mid * (1 - level.frac), 1].sum()
            assert near <= level.bid_qty * 1.001
            assert near >= level.bid_qty * 0.6


def test_one_row_is_the_best_price():
    quote = make_quote(BookModel(0.1, 1e9, 5), 100.0, 0)
    bids, asks = book_levels(quote, 0.1, 1)
    assert (bids.tolist(), asks.tolist()) == ([[quote.bid, quote.bid_qty]], [[quote.ask, quote.ask_qty]])


@pytest.mark.parametrize("price", [1e-7, 0.003, 7.0, 120_000.0])
def test_a_quote_is_sound_at_any_price(price):
    tick = 10.0 ** (np.floor(np.log10(price)) - 4)
    for now_ms in range(0, 86_400_000, 3_600_000):
        quote = make_quote(BookModel(tick, 2e7, 9), price, now_ms)
        assert 0 < quote.bid < quote.ask
        assert quote.bid <= price * 1.001
        assert quote.ask >= price * 0.999
        assert abs(quote.mark / price - 1) < 1e-3
        assert quote.next_funding_ms % 28_800_000 == 0
        assert now_ms < quote.next_funding_ms <= now_ms + 28_800_000
        assert quote.open_interest > 0
        held = [level.bid_qty for level in quote.depth]
        assert held == sorted(held)


def test_a_funding_rate_that_is_given_is_kept():
    assert make_quote(BookModel(0.1, 1e9, 5), 100.0, 0, funding_rate=-0.0003).funding_rate == -0.0003
