"""The audits' commands: what they print, and their exit status."""

from __future__ import annotations

from collections import Counter
from importlib import import_module

import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from aione.errors import InvalidInput
from aione.evaluate.compare import Difference, Tally
from aione.evaluate.lookahead import LookaheadReport
from aione.panel import BAR_RECORD, MINUTE_MS, BarPanel
from aione.run.agreement import longest_known
from aione.run.lookahead import LookaheadRequest, last_days, run_lookahead
from aione.ui.audits import lookahead_facts, lookahead_page, lookahead_text
from config.settings import load_settings

audits = import_module("aione.run.audits")
SEEN = Difference("future", "indicator", "rsi", "ETHUSDT", 1_748_649_540_000, float("nan"), 61.5)


def report_of(*differences: Difference) -> LookaheadReport:
    tally = Tally("future", Counter(indicator=640, trigger=320), Counter(indicator=600, trigger=320))
    tally.differences, tally.shown = len(differences), list(differences)
    return LookaheadReport(
        symbols=("BTCUSDT", "ETHUSDT"),
        bars=8,
        first_ms=1_748_649_540_000,
        last_ms=1_748_649_960_000,
        checks=(tally,),
        never_known=("indicator trade_count",),
        columns={"indicator": 40, "trigger": 20},
        seconds=1.5,
    )


@pytest.fixture
def asked(monkeypatch):
    """Requests that the command has made, and the report that it gets."""
    requests = []
    answer = [report_of()]

    def instead(request, *_, **__):
        requests.append(request)
        return answer[0]

    monkeypatch.setattr(audits, "run_lookahead", instead)
    return requests, answer


def test_no_difference_is_status_zero_and_any_is_one(asked, tmp_path):
    requests, answer = asked
    arguments = ["lookahead", str(tmp_path), "--days", "0.5", "--symbols", "BTCUSDT,ETHUSDT", "--jobs", "2"]
    result = CliRunner().invoke(audits.app, arguments)
    assert result.exit_code == 0
    assert requests == [LookaheadRequest(tmp_path, 0.5, ("BTCUSDT", "ETHUSDT"), 2)]
    answer[0] = report_of(SEEN)
    assert CliRunner().invoke(audits.app, arguments).exit_code == 1


def test_a_difference_is_told_with_what_whose_when_and_both_values(asked, tmp_path):
    asked[1][0] = report_of(SEEN)
    text = CliRunner().invoke(audits.app, ["lookahead", str(tmp_path)]).stdout
    assert "future: indicator rsi of ETHUSDT at 2025-05-30 23:59: nan without the future, 61.5 with it" in text
    assert "1 differences: THE FUTURE IS SEEN" in text
    assert "960 values (920 known)" in text


def test_the_facts_are_json_without_nan(asked, tmp_path):
    asked[1][0] = report_of(SEEN)
    facts = orjson.loads(CliRunner().invoke(audits.app, ["lookahead", str(tmp_path), "--json"]).stdout)
    assert facts == orjson.loads(orjson.dumps(lookahead_facts(report_of(SEEN))))
    assert facts["differences"] == 1
    assert facts["shown"][0]["expected"] is None
    assert facts["checks"]["future"]["values"] == {"indicator": 640, "trigger": 320}


def test_the_page_says_how_much_was_compared_and_what_was_never_known():
    page = lookahead_page(report_of())
    assert "| `future` |" in page
    assert "| indicator | 40 | 640 | 600 |" in page
    assert "`indicator trade_count`" in page
    assert "These differ" not in page
    assert "- future: indicator rsi of ETHUSDT at 2025-05-30 23:59" in lookahead_page(report_of(SEEN))
    assert "nothing that was said depends on the future" in lookahead_text(report_of())


def panel_of(bars: int, missing: slice | None = None) -> BarPanel:
    rows = np.zeros(bars, dtype=BAR_RECORD)
    rows["open_time_ms"], rows["close"] = MINUTE_MS * np.arange(bars), 1.0
    kept = np.delete(rows, missing) if missing is not None else rows
    return BarPanel.from_records({"BTCUSDT": kept}, end_ms=MINUTE_MS * (bars - 1), bars=bars)


def test_the_longest_stretch_without_a_gap_is_taken():
    panel = longest_known(panel_of(100, slice(30, 33)))
    assert (panel.open_time_ms[0] // MINUTE_MS, panel.shape[1]) == (33, 67)
    assert longest_known(panel_of(100)).shape[1] == 100
    with pytest.raises(InvalidInput, match="no minute"):
        longest_known(panel_of(3, slice(0, 3)))


def test_the_last_days_keep_bars_behind_them():
    settings = load_settings(environ={}, overrides={"SCREENING_LOOKBACK": 600})
    stretch = last_days(panel_of(3_000), 0.5, settings)
    assert (stretch.start, stretch.stop) == (3_000 - 240 - 720, 3_000 - 240)
    assert last_days(panel_of(3_000), 90.0, settings).start == 600
    with pytest.raises(InvalidInput, match="needs more than"):
        last_days(panel_of(700), 1.0, settings)


@pytest.mark.recorded
@pytest.mark.timeout(600)
def test_sixty_recorded_bars_of_sixteen_symbols_do_not_see_the_future(recordings):
    request = LookaheadRequest(recordings / "usdm-2025-05", days=60 / 1440)
    report = run_lookahead(request, load_settings(environ={}))
    assert report.differences == 0, report.shown[:3]
    assert (len(report.symbols), report.bars) == (16, 60)
    assert set(report.never_known) <= {"indicator trade_count", "quality confidence_calibrated"}
    assert min(tally.values["indicator"] for tally in report.checks) >= 60 * 16 * 5
