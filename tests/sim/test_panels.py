"""Recorded bars as panels: nothing made up."""

from __future__ import annotations

import numpy as np
import pytest

from aione.panel import DAY_MS
from aione.sim.panels import recorded_panels

CSV = """1747742400000,10,12,9,11,100,1747742459999,1050,7,40,420,0
1747742460000,11,12,10,10,50,1747742519999,525,3,20,210,0
"""


def test_a_files_own_fields_are_kept(tmp_path):
    (tmp_path / "AUSDT-1m-2025-05-20.csv").write_text(CSV)
    minutes, days = recorded_panels(tmp_path)
    assert minutes.symbols == ("AUSDT",)
    np.testing.assert_array_equal(minutes.close, [[11.0, 10.0]])
    np.testing.assert_array_equal(minutes.quote_volume, [[1050.0, 525.0]])
    np.testing.assert_array_equal(minutes.trade_count, [[7.0, 3.0]])
    assert not days.valid.any()


@pytest.mark.recorded
def test_what_the_recordings_lack_is_unknown(recordings):
    minutes, days = recorded_panels(recordings / "usdm-2025-05")
    assert minutes.shape == (16, 35_834)
    assert minutes.valid.all()
    assert np.isnan(minutes.taker_buy_volume).all()
    assert np.isnan(minutes.trade_count).all()
    np.testing.assert_array_equal(minutes.quote_volume, minutes.close * minutes.volume)
    assert days.interval_ms == DAY_MS
    assert days.valid.any(axis=1).sum() == 14
