from __future__ import annotations

import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.panel import BAR_RECORD, VALUE_FIELDS, BarPanel


def records(minutes, offset=0.0):
    rows = np.zeros(len(minutes), dtype=BAR_RECORD)
    rows["open_time_ms"] = 60_000 * np.asarray(minutes)
    for name in VALUE_FIELDS:
        rows[name] = np.asarray(minutes) + offset
    return rows


@pytest.fixture
def panel():
    return BarPanel.from_records(
        {"AUSDT": records([5, 3, 4, 9]), "BUSDT": records([2, 5], offset=100.0)}, end_ms=5 * 60_000, bars=4
    )


def test_records_are_laid_on_the_grid_in_any_order(panel):
    assert panel.shape == (2, 4)
    np.testing.assert_array_equal(panel.open_time_ms, 60_000 * np.array([2, 3, 4, 5]))
    np.testing.assert_array_equal(panel.close, [[np.nan, 3, 4, 5], [102, np.nan, np.nan, 105]])
    np.testing.assert_array_equal(panel.valid, [[False, True, True, True], [True, False, False, True]])


def test_a_record_off_the_grid_is_ignored():
    rows = records([3, 4])
    rows["open_time_ms"][0] += 1
    panel = BarPanel.from_records({"AUSDT": rows}, end_ms=4 * 60_000, bars=2)
    np.testing.assert_array_equal(panel.close, [[np.nan, 4]])


def test_a_foreign_record_type_is_refused():
    with pytest.raises(InvalidInput, match="records of AUSDT must be BAR_RECORD"):
        BarPanel.from_records({"AUSDT": np.zeros(2)}, end_ms=0, bars=2)


def test_no_symbol_and_no_bar_are_panels():
    assert BarPanel.from_records({}, end_ms=0, bars=3).shape == (0, 3)
    assert BarPanel.from_records({"AUSDT": records([])}, end_ms=0, bars=1).until(0).shape == (1, 0)


def test_until_and_tail_are_copies(panel):
    early, late = panel.until(2), panel.tail(2)
    assert early.shape == late.shape == (2, 2)
    assert not np.shares_memory(early.close, panel.close)
    assert early.close.flags.c_contiguous
    np.testing.assert_array_equal(np.hstack([early.close, late.close]), panel.close)
    assert panel.tail(99).shape == panel.shape


def test_take_orders_symbols_and_names_a_missing_one(panel):
    assert panel.take(["BUSDT", "AUSDT"]).symbols == ("BUSDT", "AUSDT")
    np.testing.assert_array_equal(panel.take(["BUSDT"]).close[0], panel.close[1])
    with pytest.raises(InvalidInput, match="holds 2 symbols, but not CUSDT"):
        panel.take(["AUSDT", "CUSDT"])


def test_a_wrong_shape_and_an_uneven_grid_are_refused(panel):
    arrays = {name: getattr(panel, name) for name in (*VALUE_FIELDS, "valid")}
    with pytest.raises(InvalidInput, match=r"close must have shape \(2, 4\), was \(2, 3\)"):
        BarPanel(panel.symbols, panel.open_time_ms, **{**arrays, "close": panel.close[:, 1:]})
    uneven = panel.open_time_ms.copy()
    uneven[-1] += 60_000
    with pytest.raises(InvalidInput, match="must step by 60000 ms"):
        BarPanel(panel.symbols, uneven, **arrays)
