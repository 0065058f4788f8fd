"""The tape of a bar adds up to the bar, and the forming bar is the tape so far."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione.sim.market import MINUTE_MS, SIM_BAR
from aione.sim.path import LAST_OFFSET_MS, BarPath, PathCache, forming, trades

PRICES = ("open", "high", "low", "close")
SUMS = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume", "trade_count")


def make(first, high, low, last, volume=10.0, share=0.6, count=50, start=1_764_000_000_000):
    typical = (first + high + low + last) / 4
    row = (start, first, high, low, last, volume, volume * typical, volume * share, volume * share * typical, count)
    return np.array([row], dtype=SIM_BAR)


@st.composite
def any_bar(draw):
    tick = draw(st.sampled_from([1e-6, 0.001, 0.1]))
    ticks = sorted(draw(st.lists(st.integers(1000, 1400), min_size=4, max_size=4)))
    low, one, two, high = (round(value * tick, 12) for value in ticks)
    if draw(st.booleans()):
        one, two = two, one
    share = draw(st.sampled_from([0.0, 1.0]) | st.floats(0.0, 1.0))
    volume = draw(st.floats(1e-3, 1e6))
    count = draw(st.integers(1, 50_000))
    start = draw(st.integers(29_000_000, 30_000_000)) * MINUTE_MS
    return make(one, high, low, two, volume, share, count, start), tick


@given(any_bar(), st.integers(0, 9))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_trades_add_up_to_the_bar(case, key):
    bar, tick = case
    tape = trades(bar, tick, key)
    price, quantity = tape["price"], tape["quantity"]
    assert (price[0], price.max(), price.min(), price[-1]) == tuple(bar[0][list(PRICES)])
    assert quantity.sum() == pytest.approx(bar["volume"][0], rel=1e-9)
    assert quantity[~tape["is_buyer_maker"]].sum() == pytest.approx(bar["taker_buy_volume"][0], rel=1e-9, abs=1e-12)
    assert (quantity > 0).all()
    assert (np.diff(tape["time_ms"]) >= 0).all()
    assert tape["time_ms"][0] == bar["open_time_ms"][0]
    assert tape["time_ms"][-1] <= bar["open_time_ms"][0] + LAST_OFFSET_MS
    np.testing.assert_allclose(price / tick, np.round(price / tick), atol=1e-5)


@given(any_bar())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_a_forming_bar_grows_into_the_whole(case):
    bar, tick = case
    path = BarPath(bar, tick)
    rows = np.concatenate([path.forming(at) for at in range(0, MINUTE_MS, 250)])
    assert rows["close"][0] == rows["open"][0] == bar["open"][0]
    assert path.forming(MINUTE_MS - 1) == bar
    assert path.forming(LAST_OFFSET_MS) == bar
    assert (rows["open"] == bar["open"]).all()
    assert (np.diff(rows["high"]) >= 0).all()
    assert (np.diff(rows["low"]) <= 0).all()
    for name in SUMS:
        assert (np.diff(rows[name]) >= 0).all(), name
        assert rows[name].max() <= bar[name][0]
    assert ((rows["low"] <= rows["close"]) & (rows["close"] <= rows["high"])).all()
    assert (rows["taker_buy_volume"] <= rows["volume"] * (1 + 1e-12)).all()


def test_the_forming_bar_is_the_aggregate_of_the_trades_so_far():
    """A client that builds bars from trades sees what a client that reads bars sees."""
    bar = make(100.0, 103.0, 98.5, 101.2, count=400)
    path = BarPath(bar, 0.1)
    for elapsed in (0, 1_000, 20_000, 45_000, 59_950):
        so_far = path.trades[path.trades["time_ms"] <= bar["open_time_ms"][0] + elapsed]
        seen = path.forming(elapsed)[0]
        assert seen["close"] == so_far["price"][-1]
        assert seen["high"] == so_far["price"].max()
        assert seen["low"] == so_far["price"].min()
        assert seen["volume"] == pytest.approx(so_far["quantity"].sum(), rel=1e-9)
        bought = so_far["quantity"][~so_far["is_buyer_maker"]].sum()
        assert seen["taker_buy_volume"] == pytest.approx(bought, rel=1e-9, abs=1e-12)


def test_a_bar_of_one_price_is_one_price():
    tape = trades(make(5.0, 5.0, 5.0, 5.0, count=1), 0.01)
    assert len(tape) <= 2
    assert set(tape["price"]) == {5.0}


def test_a_bar_with_one_trade_but_four_prices_still_visits_them():
    tape = trades(make(5.0, 6.0, 4.0, 5.5, count=1), 0.01)
    assert {5.0, 6.0, 4.0, 5.5} <= set(tape["price"])


def test_a_bar_without_volume_has_no_trades_and_is_whole_at_once():
    bar = make(5.0, 5.0, 5.0, 5.0, volume=0.0, count=0)
    assert len(trades(bar)) == 0
    assert forming(bar, 0.0) == bar


def test_the_same_bar_has_the_same_tape_and_another_key_another():
    bar = make(100.0, 103.0, 98.5, 101.2)
    np.testing.assert_array_equal(trades(bar, 0.1, 4), trades(bar, 0.1, 4))
    assert not np.array_equal(trades(bar, 0.1, 4), trades(bar, 0.1, 5))


def test_prices_off_the_tick_grid_are_kept():
    """A recording may not lie on the grid that is said of it."""
    bar = make(100.03, 103.07, 98.52, 101.21)
    tape = trades(bar, 1.0)
    assert (tape["price"].max(), tape["price"].min(), tape["price"][-1]) == (103.07, 98.52, 101.21)


def test_the_order_of_the_extremes_varies_and_leans():
    """A rising bar usually makes its low first."""
    low_first = []
    for start in range(300):
        price = trades(make(100.0, 103.0, 98.5, 101.2, start=start * MINUTE_MS), 0.1)["price"]
        low_first.append(price.argmin() < price.argmax())
    assert 0.6 < np.mean(low_first) < 0.8


def test_the_cache_asks_for_each_minute_once_and_is_bounded():
    asked = []

    def minute(symbol, open_ms):
        asked.append((symbol, open_ms))
        return make(100.0, 103.0, 98.5, 101.2, start=open_ms)[: int(symbol != "GONE")]

    cache = PathCache(minute, lambda _: 0.1, capacity=2)
    cache.forming("A", 10)
    cache.forming("A", 59_999)
    assert asked == [("A", 0)]
    cache.forming("A", 60_000)
    cache.forming("A", 120_000)
    cache.forming("A", 0)
    assert len(asked) == 4
    assert len(cache.forming("GONE", 5)) == 0
    assert len(cache.trades("GONE", 0, 500_000)) == 0


def test_trades_of_a_range_are_those_inside_it():
    cache = PathCache(lambda _, open_ms: make(100.0, 103.0, 98.5, 101.2, start=open_ms), lambda _: 0.1)
    tape = cache.trades("A", 30_000, 150_000)
    assert tape["time_ms"].min() >= 30_000
    assert tape["time_ms"].max() <= 150_000
    whole = cache.trades("A", 0, 179_999)
    inside = (whole["time_ms"] >= 30_000) & (whole["time_ms"] <= 150_000)
    np.testing.assert_array_equal(tape, whole[inside])
    assert whole["quantity"].sum() == pytest.approx(30.0, rel=1e-9)
