"""What holds for every indicator: no look-ahead, no leak between symbols, NaN is unknown, batch equals bar by bar."""

from __future__ import annotations

import functools
from collections import deque

import numpy as np
import pytest

from aione.evaluate.series import REMEMBERS_ALL, series
from aione.indicators import compute_readings
from aione.indicators.last_bar import NAMES
from aione.panel import MINUTE_MS, BarPanel
from config.models import IndicatorParams

PARAMS = IndicatorParams()


_COMPUTED: deque = deque(maxlen=8)


def column(name, panel):
    """One series of a panel; all of them are computed together, once for each of the last panels."""
    for seen, found in _COMPUTED:
        if seen is panel:
            return found[name]
    _COMPUTED.append((panel, series(panel, PARAMS)))
    return _COMPUTED[-1][1][name]


def names():
    one = np.ones((1, 2))
    panel = BarPanel(
        ("BTCUSDT",), MINUTE_MS * np.arange(2), *(one.copy() for _ in range(8)), np.ones((1, 2), dtype=bool)
    )
    return series(panel, PARAMS)


SERIES = {name: functools.partial(column, name) for name in names()}
BARE = {"open", "high", "low", "close", "volume", "quote_volume", "trade_count"}
DAILY = {"prev_day_high", "prev_day_low", "prev_day_close", "daily_support", "daily_resistance"}
ABOUT_DATA = {"ready_frac", "bars_age"}
CROSS_SECTION = {"beta_btc", "corr_btc", "relative_strength", "relative_strength_rank"}
PRICES = {
    *("atr", "atr_prev", "true_range", "vwap", "poc", "vah", "val", "pivot_high", "pivot_low", "prev_close"),
    *(f"{kind}range_{side}_{n}" for side in ("high", "low") for kind, n in (("", 20), ("", 60), ("prev_", 20))),
}
WILDER = {
    *("rsi", "atr", "atr_prev", "atr_frac", "adx", "plus_di", "minus_di", "atr_percentile"),
    *("bullish_div", "bearish_div"),
}
BARS = 1800
every_series = pytest.mark.parametrize("name", sorted(SERIES))


@pytest.fixture(scope="module")
def panel(make_panel):
    return make_panel(BARS)


@pytest.fixture(scope="module")
def whole(panel):
    """Every series of the panel, each computed once."""
    return functools.cache(lambda name: SERIES[name](panel))


@pytest.fixture(scope="module")
def readings_at(panel):
    return functools.cache(lambda stop: compute_readings(panel.until(stop), PARAMS))


def test_every_reading_is_a_series_or_named_here(panel):
    assert set(compute_readings(panel, PARAMS).values) == set(SERIES) | BARE | DAILY | ABOUT_DATA
    assert set(NAMES) <= set(SERIES)


@every_series
def test_shape_and_type(name, panel, whole):
    assert whole(name).shape == panel.shape
    assert whole(name).dtype == np.float64


@every_series
@pytest.mark.parametrize("stop", [1, 64, 700, 1449])
def test_does_not_look_ahead(name, stop, panel, whole):
    np.testing.assert_array_equal(SERIES[name](panel.until(stop)), whole(name)[:, :stop])


@every_series
def test_batch_equals_bar_by_bar(name, whole, readings_at):
    stops = [
        1,
        2,
        4,
        15,
        16,
        29,
        61,
        62,
        246,
        300,
        481,
        482,
        599,
        607,
        615,
        905,
        910,
        1300,
        1441,
        1448,
        1500,
        1799,
        1800,
    ]
    for stop in stops:
        np.testing.assert_allclose(
            readings_at(stop)[name], whole(name)[:, stop - 1], rtol=1e-9, atol=1e-12, err_msg=f"{stop} bars"
        )


@every_series
def test_known_where_history_suffices(name, whole):
    assert np.isfinite(whole(name)[:2, -1]).all()


@every_series
def test_order_of_symbols_changes_nothing(name, panel, whole):
    order = [3, 5, 0, 6, 2, 4, 1]
    mixed = SERIES[name](panel.take([panel.symbols[row] for row in order]))
    np.testing.assert_array_equal(mixed, whole(name)[order])


@pytest.mark.parametrize("name", sorted(set(SERIES) - CROSS_SECTION))
def test_other_symbols_do_not_leak(name, panel, whole):
    alone = SERIES[name](panel.take([panel.symbols[1]]))
    np.testing.assert_array_equal(alone[0], whole(name)[1])


@pytest.mark.parametrize("name", sorted(set(SERIES) - CROSS_SECTION))
def test_readings_do_not_leak(name, panel):
    """Neither company nor its absence changes a byte of a symbol's readings."""
    together = compute_readings(panel, PARAMS)[name]
    for row in (0, 1, 2, 6):
        alone = compute_readings(panel.take([panel.symbols[row]]), PARAMS)[name]
        np.testing.assert_array_equal(alone[0], together[row])


@every_series
def test_unknown_symbol_stays_unknown(name, panel, whole, readings_at):
    row = panel.symbols.index("NANUSDT")
    assert np.isnan(whole(name)[row]).all()
    assert np.isnan(readings_at(BARS)[name][row])


@every_series
def test_gap_is_never_zero(name, panel, whole):
    """Inside a gap a value is unknown, or one that was known before it and still holds."""
    row, gap = panel.symbols.index("GAPUSDT"), BARS // 3 + 3
    value = whole(name)[row, gap]
    assert np.isnan(value) or value != 0.0


@every_series
def test_one_bar(name, panel):
    assert SERIES[name](panel.until(1)).shape == (len(panel.symbols), 1)
    assert compute_readings(panel.until(1), PARAMS)[name].shape == (len(panel.symbols),)


FLAT = {
    **dict.fromkeys(("poc", "vah", "val", "vwap", "prev_close"), 3.7),
    **{name: 3.7 for name in PRICES if "range_" in name and name != "true_range"},
    **dict.fromkeys(
        ("atr", "atr_prev", "atr_frac", "true_range", "realized_vol", "vwap_dev_frac", "band_frac_20"), 0.0
    ),
    **{f"volatility.max_{n}bar_{kind}": 0.0 for n in (5, 30, 60) for kind in ("move", "return")},
    **dict.fromkeys(("return_15", "return_60", "taker_imbalance", "beta_btc", "bullish_div", "bearish_div"), 0.0),
    "relative_strength": 0.0,
    "rsi": 50.0,
    "atr_percentile": 0.5,
    "relative_volume": 1.0,
}


@every_series
def test_flat_symbol(name, panel, whole, readings_at):
    """Nothing moves: RSI is 50, moves are 0, and what divides by a movement is unknown."""
    row = panel.symbols.index("FLATUSDT")
    if name == "relative_strength_rank":
        return
    for value in (whole(name)[row, -1], readings_at(BARS)[name][row]):
        np.testing.assert_allclose(value, FLAT.get(name, np.nan), rtol=1e-15, atol=0.0)


@every_series
def test_unit_of_price_and_volume_does_not_matter(name, panel, whole):
    """Prices times 1000 and volumes times 64: prices follow, everything else stays."""
    price, size = 1000.0, 64.0
    scaled = type(panel)(
        **{
            **{key: getattr(panel, key) for key in ("symbols", "open_time_ms", "valid")},
            **{key: price * getattr(panel, key) for key in ("open", "high", "low", "close")},
            **{key: size * getattr(panel, key) for key in ("volume", "taker_buy_volume", "trade_count")},
            "quote_volume": price * size * panel.quote_volume,
        }
    )
    rows = [0, 1, 2, 4]
    factor = price if name in PRICES else 1.0
    # pivots of equal highs, ranks of equal values and POC of equal bins hang on the last bit: not in random prices
    np.testing.assert_allclose(
        SERIES[name](scaled)[rows], factor * whole(name)[rows], rtol=1e-6, atol=1e-9 * factor, err_msg=name
    )


@pytest.mark.parametrize("name", sorted(set(SERIES) - REMEMBERS_ALL))
def test_longer_history_changes_nothing(name, panel, whole):
    """1500 bars say what 1800 bars say: byte for byte but for Wilder's averages, and those to 1e-9."""
    rows = [0, 1, 2, 4]
    short = compute_readings(panel.tail(1500), PARAMS)[name]
    np.testing.assert_allclose(short[rows], whole(name)[rows, -1], rtol=1e-9, atol=1e-12)
    if name not in WILDER and name not in {"vol_ratio", "vol_ratio_p95", "vol_ratio_prev"}:
        np.testing.assert_array_equal(short[rows], compute_readings(panel, PARAMS)[name][rows])
