"""Stand-ins: functions of their own bar alone, the same for a symbol wherever it stands."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from aione.evaluate.standins import market_of, with_taker_side


def test_the_same_bar_is_drawn_the_same_whatever_came_before_or_after(long_panel):
    long, short = market_of(long_panel.until(700)), market_of(long_panel.until(700).tail(5))
    for field in fields(long)[1:]:
        np.testing.assert_array_equal(getattr(long, field.name), getattr(short, field.name))
    other = market_of(long_panel.until(701))
    assert (other.spread_frac != long.spread_frac).all()


def test_a_symbols_draws_are_its_own(long_panel):
    mixed = [long_panel.symbols[row] for row in (2, 0, 3, 1)]
    one, other = market_of(long_panel.tail(5)), market_of(long_panel.tail(5).take(mixed))
    np.testing.assert_array_equal(other.spread_frac, one.spread_frac[[2, 0, 3, 1]])
    np.testing.assert_array_equal(other.open_interest_quote, one.open_interest_quote[[2, 0, 3, 1]])


def test_spreads_and_depths_are_at_times_far_from_their_median(long_panel):
    drawn = [market_of(long_panel.until(stop).tail(2)) for stop in range(500, 900)]
    spread = np.array([one.spread_frac / one.spread_median_frac for one in drawn])
    depth = np.array([np.minimum(one.depth_bid_quote, one.depth_ask_quote) / one.depth_median_quote for one in drawn])
    change = np.array([one.open_interest_change_frac for one in drawn])
    assert 0.01 < (spread > 3.0).mean() < 0.3
    assert 0.01 < (depth < 1 / 3).mean() < 0.5
    assert 0.01 < np.isnan(change).mean() < 0.2


def test_a_takers_side_is_made_only_where_there_is_none(long_panel):
    window = long_panel.tail(20)
    np.testing.assert_array_equal(with_taker_side(window).taker_buy_volume, window.taker_buy_volume)
    made = with_taker_side(replace(window, taker_buy_volume=np.full(window.shape, np.nan))).taker_buy_volume
    known = ~np.isnan(window.volume)
    assert (made[known] >= 0.0).all()
    assert (made[known] <= window.volume[known]).all()
    assert np.isnan(made[~known]).all()
