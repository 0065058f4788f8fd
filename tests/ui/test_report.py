"""The report on a history: text and plots."""

from __future__ import annotations

import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.panel import MINUTE_MS
from aione.run.report import ReportRequest, make_report
from config.settings import load_settings

PNG = b"\x89PNG\r\n\x1a\n"


def write_bars(folder, bars):
    rng = np.random.default_rng(2)
    for symbol in ("BTCUSDT", "AUSDT"):
        close = 100.0 * np.exp(np.cumsum(1e-3 * rng.standard_t(3, bars)))
        opened = np.concatenate([[100.0], close[:-1]])
        rows = []
        for at in range(bars):
            high, low = max(opened[at], close[at]) * 1.0003, min(opened[at], close[at]) * 0.9997
            volume = float(rng.lognormal(3.0, 1.0))
            prices = f"{opened[at]!r},{high!r},{low!r},{close[at]!r}".replace("np.float64(", "").replace(")", "")
            time_ms = 1_747_742_400_000 + MINUTE_MS * at
            rows.append(f"{time_ms},{prices},{volume},{time_ms + 59_999},{volume * 100},9,{volume / 2},{volume * 50},0")
        (folder / f"{symbol}-1m-2025-05.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture
def settings():
    return load_settings(environ={}, overrides={"SCREENING_LOOKBACK": 520})


def test_a_report_is_text_with_its_plots_beside_it(tmp_path, settings):
    write_bars(tmp_path, 600)
    path, wrong = make_report(ReportRequest(tmp_path, tmp_path / "out"), settings, tell=False)
    text = path.read_text()
    assert "2 symbols, 80 minutes (0.1 days) from 2025-05-20 20:40 to 2025-05-20 21:59 UTC: 160 symbol-bars" in text
    for name in ("triggers.png", "scenarios.png", "alerts.png", "holds.png"):
        assert f"]({name})" in text
        assert (path.parent / name).read_bytes().startswith(PNG)
    for one in wrong:
        assert one in text
    shares = [float(line.split("|")[2].strip(" %")) for line in text.splitlines() if line.startswith("| BULLISH_")]
    assert len(shares) == 3


def test_only_the_last_days_are_walked_where_a_number_is_given(tmp_path, settings):
    write_bars(tmp_path, 600)
    path, _ = make_report(ReportRequest(tmp_path, tmp_path / "out", days=0.02), settings, tell=False)
    assert "29 minutes" in path.read_text()


def test_too_short_a_recording_is_refused(tmp_path, settings):
    write_bars(tmp_path, 520)
    with pytest.raises(InvalidInput, match="520 minutes are recorded, a report needs more than 520"):
        make_report(ReportRequest(tmp_path, tmp_path / "out"), settings, tell=False)
