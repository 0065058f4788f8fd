"""Audits in words: what is the same is said in a word, what is not with how far."""

from __future__ import annotations

from aione.evaluate.agreement import Agreement, ProfileShare
from aione.evaluate.warmup import WarmupReport, WarmupRow
from aione.ui.audits import agreement_table, profile_table, warmup_page

NAN = float("nan")


def test_an_agreement_is_told_with_where_it_is_worst():
    row = Agreement("rsi", "TA-Lib", "may", 1_000, 0, 14, 7e-14, 1.3e-15, "ETHUSDT 2025-05-17T03:08", 0)
    table = agreement_table([row])
    assert "| `rsi` | may | 1,000 | 14 | 0 | 7.0e-14 | 1.3e-15 | ETHUSDT 2025-05-17T03:08 | yes |" in table
    assert "**no**" in agreement_table([Agreement("rsi", "TA-Lib", "may", 10, 1, 14, 0.0, 0.0, "", None)])


def test_a_profile_is_told_in_shares():
    assert "| `poc` | may | 800 | 99.88% | 96.5% | 22 |" in profile_table(
        [ProfileShare("poc", "may", 800, 0.99875, 0.965, 22.0)]
    )


def test_history_that_changes_nothing_is_the_same_and_any_other_is_measured():
    rows = (
        WarmupRow("indicator", "rsi", 393, 300, 0.0, 0.0, 1e-15, 0.0, 0.0),
        WarmupRow("indicator", "poc", 1440, 1440, 1.0, 0.0, NAN, 0.0, 0.0),
        WarmupRow("scenario", "scenario", None, None, 0.0, 0.053, NAN, 0.061, NAN),
        WarmupRow("trigger", "volume_spike.fired", None, 51, 0.0, 0.0, NAN, 0.0, NAN),
    )
    page = warmup_page(WarmupReport(rows, 200, 16, 500, 1500, 10_000, ()))
    assert "| `rsi` | 393 | 300 | same | same |" in page
    assert "| `poc` | 1,440 | 1,440 | unknown 100.0% | same |" in page
    assert "| scenario | `scenario` | differs 5.3% | differs 6.1% |" in page
    assert "1 columns are the same with 500 bars" in page
    assert "volume_spike" not in page
    assert "than a short array for: nothing." in page
