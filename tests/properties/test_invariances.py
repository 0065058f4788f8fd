"""What must not matter: the unit of price and volume, the order of symbols, the bars of the others."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from aione.evaluate.walk import walk
from aione.panel import MarketSnapshot
from config.settings import load_settings

from .conftest import columns, is_same
from .stories import LEAD, daily_of, market_of, panel_of

START, STOP = LEAD + 80, LEAD + 160
PRICES = ("open", "high", "low", "close")
POISONED = "BREAKOUT_UP"

RANKED = {"readings.relative_strength_rank", "stage2.factors.market"}
"""What a symbol is by comparison with the others; breadth is one number for all and enters the market factor."""

WEIGHED = {
    *("stage2.direction", "stage2.confidence_raw", "stage2.recommendation", "stage2.reco_original"),
    *("stage2.gate_reason", "stage2.side", "stage2.is_signal"),
    *("stage2.plan_side", "stage2.entry", "stage2.sl", "stage2.tp", "stage2.rr", "stage2.rr_mean", "stage2.swapped"),
}
"""What the market factor goes into: the direction, and what is decided by it."""

OF_BENCHMARK = {"readings.beta_btc", "readings.corr_btc", "readings.relative_strength"}
"""What is measured against BTC."""


def steps(settings, panel, daily, market, start=START, stop=STOP):
    return [columns(step) for step in walk(panel, daily, settings, start=start, stop=stop, market_at=market)]


def scaled(panel, price, volume):
    """The panel in another unit of price, and of volume."""
    return replace(
        panel,
        **{name: getattr(panel, name) * price for name in PRICES},
        **{name: getattr(panel, name) * volume for name in ("volume", "taker_buy_volume")},
        quote_volume=panel.quote_volume * price * volume,
    )


def in_ticks(market, price):
    """Tick sizes in the other unit; depth stays, it is money."""

    def at(window):
        shot = market(window)
        return replace(shot, tick_size=shot.tick_size * price)

    return at


@pytest.mark.parametrize(("price", "volume"), [(8.0, 1.0), (1.0, 32.0), (2.0**-9, 2.0**7)])
def test_a_power_of_two_as_unit_of_price_or_volume_changes_no_byte(settings, price, volume):
    panel = panel_of(0)
    daily, market = daily_of(0, panel), market_of(panel)
    other = steps(settings, scaled(panel, price, volume), scaled(daily, price, volume), in_ticks(market, price))
    for before, after in zip(steps(settings, panel, daily, market), other, strict=True):
        for name, column in before.items():
            units = (1.0, price, volume, price * volume) if column.dtype.kind == "f" else (1,)
            assert any(is_same(column if unit == 1 else column * unit, after[name]) for unit in units), name


@pytest.mark.parametrize(("price", "volume"), [(1.7, 1.0), (1e-5, 3e4)])
def test_any_unit_changes_no_word_and_no_number_by_more_than_rounding(settings, price, volume):
    panel = panel_of(0)
    daily, market = daily_of(0, panel), market_of(panel)
    other = steps(settings, scaled(panel, price, volume), scaled(daily, price, volume), in_ticks(market, price))
    for before, after in zip(steps(settings, panel, daily, market), other, strict=True):
        for name, column in before.items():
            if name.startswith("stage2.factors") or name in {"stage2.direction", "stage2.confidence_raw", "stage2.rr"}:
                np.testing.assert_allclose(after[name], column, atol=1e-9, err_msg=name)
            elif column.dtype.kind in "bi" and not name.startswith("stage2.levels"):
                assert is_same(column, after[name]), name


def test_the_order_of_the_symbols_changes_no_byte(settings):
    panel = panel_of(1)
    daily, market = daily_of(1, panel), market_of(panel)
    order = list(np.random.default_rng(5).permutation(len(panel.symbols)))
    symbols = [panel.symbols[row] for row in order]

    def shuffled(window):
        shot = market(window)
        parts = {field.name: getattr(shot, field.name)[order] for field in fields(shot)[1:]}
        return MarketSnapshot(tuple(symbols), **parts)

    other = steps(settings, panel.take(symbols), daily.take(symbols), shuffled)
    for before, after in zip(steps(settings, panel, daily, market), other, strict=True):
        for name, column in before.items():
            assert is_same(column[order], after[name]), name


def poisoned(panel, symbol, last=None):
    """The panel in which a symbol has no bar, or lacks its last ones."""
    row, part = panel.symbols.index(symbol), slice(None) if last is None else slice(-last, None)
    arrays = {}
    for name in (*PRICES, "volume", "quote_volume", "taker_buy_volume", "trade_count", "valid"):
        arrays[name] = getattr(panel, name).copy()
        arrays[name][row, part] = False if name == "valid" else np.nan
    return replace(panel, **arrays)


def changed(settings, symbol, last=None):
    """Names of the columns in which another symbol than the poisoned one changed, over all bars."""
    panel = panel_of(2)
    daily, market = daily_of(2, panel), market_of(panel)
    others = [row for row, name in enumerate(panel.symbols) if name != symbol]
    sick = steps(settings, poisoned(panel, symbol, last), poisoned(daily, symbol, last), market)
    names = set()
    for before, after in zip(steps(settings, panel, daily, market), sick, strict=True):
        names |= {name for name, column in before.items() if not is_same(column[others], after[name][others])}
    return {"stage2.contributions" if name.startswith("stage2.contributions") else name for name in names}


@pytest.mark.parametrize("last", [None, 300])
def test_a_symbol_without_bars_changes_nothing_of_the_others_but_what_compares_them(settings, last):
    names = changed(settings, POISONED, last)
    assert names >= RANKED
    assert names <= RANKED | WEIGHED | {"stage2.contributions"}


def test_with_the_comparison_switched_off_a_symbol_without_bars_changes_no_byte_of_the_others():
    off = load_settings(environ={}, overrides={"STAGE2_CONFIG": {"switches": {"factors": {"market": False}}}})
    assert changed(off, POISONED) == {"readings.relative_strength_rank"}


def test_without_the_benchmark_only_what_is_measured_against_it_changes(settings):
    names = changed(settings, "BTCUSDT")
    assert names >= OF_BENCHMARK
    assert names <= OF_BENCHMARK | RANKED | WEIGHED | {"stage2.contributions"}
