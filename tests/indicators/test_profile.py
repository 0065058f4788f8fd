from __future__ import annotations

import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.indicators.profile import rolling_profile, volume_profile


def by_hand(high, low, volume, bins, wanted):
    """The definition in plain NumPy: sixteenths of bins, then the value area grown from the POC."""
    known = ~np.isnan(volume)
    high, low, volume = high[known], low[known], volume[known]
    bottom, top = low.min(), high.max()
    width = (top - bottom) / bins
    fine = np.zeros(16 * bins)
    for h, x, v in zip(high, low, volume, strict=True):
        first = min(int((x - bottom) * (16 * bins / (top - bottom))), 16 * bins - 1)
        last = min(int((h - bottom) * (16 * bins / (top - bottom))), 16 * bins - 1)
        fine[first : last + 1] += v / (last - first + 1)
    coarse = fine.reshape(bins, 16).sum(axis=1)
    poc = low_bin = high_bin = int(coarse.argmax())
    while coarse[low_bin : high_bin + 1].sum() < wanted * coarse.sum():
        above = coarse[high_bin + 1] if high_bin + 1 < bins else -1.0
        below = coarse[low_bin - 1] if low_bin > 0 else -1.0
        if above >= below:
            high_bin += 1
        else:
            low_bin -= 1
    return bottom + (poc + 0.5) * width, bottom + (high_bin + 1) * width, bottom + low_bin * width


@pytest.fixture(scope="module", params=["random", "recorded"])
def panel(request, make_panel):
    if request.param == "recorded":
        return request.getfixturevalue("recorded_panel")
    return make_panel(1600, seed=41, symbols=("BTCUSDT", "AUSDT", "GAPUSDT"))


@pytest.mark.parametrize(("bars", "bins", "frac"), [(1440, 48, 0.7), (333, 10, 0.5), (7, 3, 1.0), (60, 48, 0.0)])
def test_agrees_with_the_definition(panel, bars, bins, frac):
    ours = np.array(volume_profile(panel, bars, bins, frac))
    for row in range(len(panel.symbols)):
        window = (x[row, -bars:] for x in (panel.high, panel.low, panel.volume))
        np.testing.assert_allclose(ours[:, row], by_hand(*window, bins, frac), rtol=1e-12)


def test_last_column_of_the_rolling_profile(panel):
    last = np.array(rolling_profile(panel.high, panel.low, panel.volume, 300, 20))[:, :, -1]
    np.testing.assert_array_equal(np.array(volume_profile(panel, 300, 20)), last)


def test_all_volume_is_in_the_profile(panel):
    """An area of everything reaches from the lowest low to the highest high."""
    _, upper, lower = volume_profile(panel, 200, 20, 1.0)
    for row in range(2):
        assert upper[row] == panel.high[row, -200:].max()
        np.testing.assert_allclose(lower[row], panel.low[row, -200:].min(), rtol=1e-12)


def test_close_to_a_profile_of_exact_overlaps(panel):
    """Sixteenths stand for the exact spread of each bar's volume: the POC is the same bin or one as full."""
    for row in range(2):
        high, low, volume = (x[row, -1440:] for x in (panel.high, panel.low, panel.volume))
        edges = np.linspace(low.min(), high.max(), 49)
        width = np.maximum(high - low, 1e-9)[:, None]
        overlap = (np.minimum(low[:, None] + width, edges[1:]) - np.maximum(low[:, None], edges[:-1])).clip(0.0)
        exact = (overlap / width * volume[:, None]).sum(axis=0)
        poc = volume_profile(panel)[0][row]
        assert exact[np.searchsorted(edges, poc) - 1] > 0.99 * exact.max()


def test_one_price_and_no_trade():
    price = np.full((1, 10), 4.0)
    assert [x[0, -1] for x in rolling_profile(price, price, price, 10)] == [4.0, 4.0, 4.0]
    assert np.isnan(rolling_profile(price, price, 0.0 * price, 10)).all()
    moving = np.arange(10.0)[None, :]
    assert np.isnan(rolling_profile(moving + 1.0, moving, 0.0 * price, 10)).all()


def test_equal_bins_are_taken_upwards():
    """Four bins of the same volume: the POC is the lowest, and half of the volume lies in it and the one above."""
    price = np.array([[0.0, 10.0, 20.0, 30.0]])
    found = (x[0, -1] for x in rolling_profile(price, price, np.ones((1, 4)), 4, 4, 0.5))
    assert tuple(found) == (3.75, 15.0, 0.0)


def test_needs_nine_tenths_of_its_window_and_the_last_bar():
    high = np.arange(20.0)[None, :] + 2.0
    volume = np.ones((1, 20))
    volume[0, :2] = np.nan
    assert np.isfinite(rolling_profile(high, high - 1.0, volume, 20)[0][0, -1])
    volume[0, 2] = np.nan
    assert np.isnan(rolling_profile(high, high - 1.0, volume, 20)[0][0, -1])
    volume[0, :3], volume[0, -1] = 1.0, np.nan
    assert np.isnan(rolling_profile(high, high - 1.0, volume, 20)[0][0, -1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 48, 0.7), "bars must be at least 1"), ((9, 0, 0.7), "bins must be"), ((9, 9, 1.1), r"in \[0, 1\], was 1.1")],
)
def test_refusals(panel, arguments, message):
    with pytest.raises(InvalidInput, match=message):
        volume_profile(panel, *arguments)
