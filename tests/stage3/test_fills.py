"""Fills: every assumption is against the trade."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione.stage3.fills import fee_quote, market_fill, round_quantity, stop_fill, target_quantity

prices = st.floats(0.001, 100_000.0)
fracs = st.floats(0.0, 0.01)


@given(prices, fracs, fracs)
def test_a_market_order_never_gets_a_better_price(price, spread, slippage):
    assert market_fill(price, 1, spread, slippage) >= price >= market_fill(price, -1, spread, slippage)


@given(prices, prices, st.sampled_from([1, -1]), fracs)
def test_a_stop_never_fills_better_than_the_stop_or_the_open(stop, bar_open, side, slippage):
    fill = stop_fill(stop, bar_open, side, 0.0, slippage)
    assert side * fill <= side * stop
    assert side * fill <= side * bar_open


def test_a_gap_fills_at_the_open_on_both_sides():
    assert stop_fill(98.0, 95.0, 1, 0.0, 0.0) == 95.0
    assert stop_fill(102.0, 105.0, -1, 0.0, 0.0) == 105.0
    assert stop_fill(98.0, 99.0, 1, 0.0, 0.0) == 98.0


def test_half_of_the_spread_is_crossed():
    assert market_fill(200.0, 1, 0.01, 0.0) == pytest.approx(201.0)


def test_the_fee_is_of_the_value():
    assert fee_quote(50.0, 4.0, 0.0005) == pytest.approx(0.1)


@given(st.floats(0.0, 1e6), st.sampled_from([0.001, 0.1, 1.0, 10.0]))
def test_a_quantity_is_never_rounded_up(quantity, step):
    rounded = round_quantity(quantity, step)
    assert rounded <= quantity * (1 + 1e-8)
    assert quantity - rounded < step * (1 + 1e-6)


def test_a_quantity_without_known_step_stays():
    assert round_quantity(1.23456, math.nan) == 1.23456


@given(st.integers(1, 5000), st.integers(1, 5), st.sampled_from([0.001, 0.1, 1.0]))
def test_the_targets_take_off_exactly_what_was_bought(steps, targets, step):
    initial = round_quantity(steps * step, step)
    left = initial
    for hit in range(1, targets + 1):
        taken = target_quantity(initial, left, hit, targets, step)
        assert taken >= 0
        assert left - taken >= initial * (targets - hit) / targets - step * 1e-6
        left -= taken
    assert left == 0


def test_a_single_step_is_closed_whole_at_the_last_target():
    assert [target_quantity(1.0, 1.0, hit, 3, 1.0) for hit in (1, 2, 3)] == [0.0, 0.0, 1.0]
