from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from aione.errors import InvalidInput
from aione.panel import VALUE_FIELDS, BarPanel
from aione.panel.resample import resample

FIRST_MS = 1_747_742_400_000 + 2 * 60_000


def walk(bars, gaps=(), first_ms=FIRST_MS):
    rng = np.random.default_rng(5)
    shape = (2, bars)
    values = {name: rng.lognormal(1.0, 0.2, shape) for name in VALUE_FIELDS}
    values["high"] = np.maximum(values["open"], values["close"]) + 0.1
    values["low"] = np.minimum(values["open"], values["close"]) - 0.1
    for row, bar in gaps:
        for value in values.values():
            value[row, bar] = np.nan
    times = first_ms + 60_000 * np.arange(bars)
    return BarPanel(("AUSDT", "BUSDT"), times, valid=~np.isnan(values["close"]), **values)


@pytest.mark.parametrize("minutes", [5, 15, 60, 240])
def test_agrees_with_pandas(minutes):
    panel = walk(1500)
    ours = resample(panel, minutes)
    how = {"open": "first", "high": "max", "low": "min", "close": "last"}
    for row in range(2):
        frame = pd.DataFrame(
            {name: getattr(panel, name)[row] for name in VALUE_FIELDS},
            index=pd.to_datetime(panel.open_time_ms, unit="ms"),
        )
        theirs = frame.resample(f"{minutes}min").agg({name: how.get(name, "sum") for name in VALUE_FIELDS})
        whole = frame["close"].resample(f"{minutes}min").count() == minutes
        theirs = theirs[whole]
        for name in VALUE_FIELDS:
            np.testing.assert_allclose(getattr(ours, name)[row], theirs[name].to_numpy(), rtol=1e-12)
        np.testing.assert_array_equal(ours.open_time_ms, theirs.index.as_unit("ms").astype("int64"))
    assert ours.interval_ms == minutes * 60_000
    assert (ours.open_time_ms % ours.interval_ms == 0).all()


def test_only_closed_bars():
    """A bar appears with its last minute and never changes after it."""
    panel = walk(33)
    whole = resample(panel, 5)
    for stop in range(34):
        part = resample(panel.until(stop), 5)
        assert part.shape[1] == max(0, (stop - 3) // 5)
        np.testing.assert_array_equal(part.close, whole.close[:, : part.shape[1]])


def test_a_gap_makes_the_longer_bar_unknown():
    longer = resample(walk(23, gaps=[(0, 9)]), 5)
    np.testing.assert_array_equal(longer.valid, [[True, False, True, True], [True] * 4])
    for name in VALUE_FIELDS:
        assert np.isnan(getattr(longer, name)[0, 1])
        assert np.isfinite(getattr(longer, name)[1]).all()


def test_resampling_twice_is_resampling_once():
    panel = walk(1500, gaps=[(1, 700)])
    twice, once = resample(resample(panel, 5), 60), resample(panel, 60)
    np.testing.assert_array_equal(twice.high, once.high)
    np.testing.assert_allclose(twice.volume, once.volume, rtol=1e-12)


@pytest.mark.parametrize("minutes", [0, -5])
def test_refuses_what_is_not_a_multiple(minutes):
    with pytest.raises(InvalidInput, match="must be a multiple of the panel's 60000 ms"):
        resample(walk(10), minutes)
    with pytest.raises(InvalidInput, match="must be a multiple of the panel's 300000 ms, was 7"):
        resample(resample(walk(30), 5), 7)
