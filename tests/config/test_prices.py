from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione.prices import format_price, get_tick_size, price_decimals, round_to_tick
from config.settings import load_settings

SETTINGS = load_settings(environ={})
TICKS = st.sampled_from([1e-7, 1e-5, 0.0001, 0.0005, 0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0])
PRICES = st.floats(min_value=1e-6, max_value=2e5)


@pytest.mark.parametrize(
    ("symbol", "price", "exchange", "expected"),
    [
        ("BTCUSDT", 60_000.0, 0.5, 0.5),
        ("BTCUSDT", 60_000.0, None, 0.1),
        ("BTCUSDT", 60_000.0, 0.0, 0.1),
        ("BTCUSDT", 60_000.0, math.nan, 0.1),
        ("AUSDT", 0.005, None, 1e-7),
        ("AUSDT", 0.01, None, 1e-6),
        ("AUSDT", 0.5, None, 1e-5),
        ("AUSDT", 999.0, None, 1e-2),
        ("AUSDT", 1000.0, None, 0.1),
    ],
)
def test_the_exchange_comes_first_then_the_map_then_the_bracket_then_the_default(symbol, price, exchange, expected):
    assert get_tick_size(symbol, price, SETTINGS, exchange) == expected


@settings(deadline=None)
@given(PRICES, TICKS)
def test_a_rounded_price_is_a_whole_number_of_ticks_near_by(price, tick):
    nearest = round_to_tick(price, tick)
    assert Decimal(repr(nearest)) % Decimal(repr(tick)) == 0
    assert abs(nearest - price) <= tick * 0.5 * (1 + 1e-6) + 1e-9 * price
    assert round_to_tick(price, tick, "down") <= price * (1 + 1e-9)
    assert round_to_tick(price, tick, "up") >= price * (1 - 1e-9)


@settings(deadline=None)
@given(PRICES, TICKS, st.sampled_from(["nearest", "down", "up"]))
def test_a_price_on_the_grid_stays(price, tick, towards):
    once = round_to_tick(price, tick, "nearest")
    assert round_to_tick(once, tick, towards) == once


@pytest.mark.parametrize(("tick", "decimals"), [(1e-7, 7), (0.0005, 4), (0.1, 1), (1.0, 0), (5.0, 0), (10.0, 0)])
def test_decimals_show_every_tick_and_no_more(tick, decimals):
    assert price_decimals(tick) == decimals


@settings(deadline=None)
@given(PRICES, TICKS)
def test_a_formatted_price_reads_back(price, tick):
    rounded = round_to_tick(price, tick)
    text = format_price(rounded, tick)
    assert float(text) == rounded
    assert len(text.partition(".")[2]) == price_decimals(tick)


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf])
def test_an_unknown_price_has_no_text(unknown):
    assert format_price(unknown, 0.1) is None
