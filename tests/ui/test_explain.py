"""An explanation answers first and proves it below, in both languages, with no number that is not published."""

from __future__ import annotations

import re

import msgspec
import pytest

from aione.publish.payload import asset_of
from aione.stage2.anomalies import ANOMALIES
from aione.stage2.confidence import QUALITIES
from aione.stage2.factors import FACTORS
from aione.stage2.level_kinds import LEVEL_KINDS
from aione.stage2.recommend import GATES
from aione.stage2.risk import RISK_CLASSES
from aione.ui.columns_text import number, table
from aione.ui.explain import Explained, Refusal, answers, explain_text
from aione.ui.explain_parts import level_lines, plan_text, trigger_lines
from aione.ui.explain_words import _WORDS, term

from .explained import BAR_MS, FIRED, META, analysed, dropped, quiet, stage1, trigger

QUARANTINE = {
    "rule": "price_jump", "detail": "too far: 9", "bar_ms": BAR_MS, "since_ms": BAR_MS, "by": "guard",
}  # fmt: skip


def text_of(asset, locale="en", **more):
    return explain_text(Explained(asset.symbol, META, asset), locale, **more)


# ── The answer ──


def test_why_this_names_the_evidence_and_what_fired() -> None:
    assert answers(analysed(), META, "en")[0] == "On alert: evidence 0.71 ≥ 0.6 (breakout↑)"


def test_an_alert_that_is_only_held_is_compared_with_what_ends_it() -> None:
    held = analysed(stage1=stage1(evidence=0.45, silence="held"))
    assert answers(held, META, "en")[0].startswith("On alert: evidence 0.45 ≥ 0.4")
    stays = analysed(stage1=stage1(evidence=0.1, silence="min_hold"))
    assert answers(stays, META, "en")[0].startswith("On alert: evidence 0.1 < 0.4")
    assert "no: held for the shortest stay" in text_of(stays)


def test_a_recommendation_that_a_gate_holds_back_names_gate_value_and_threshold() -> None:
    assert "BUY DIPS is held back: reward to risk 0.66, needed 1.5" in answers(analysed(), META, "en")
    assert "No trade: the recommendation is held back" in answers(analysed(), META, "en")


def test_why_nothing_names_the_missing_evidence_and_the_triggers_nearest_to_fire() -> None:
    found = answers(quiet(), META, "en")
    assert found[0] == "No alert: evidence 0.12 < 0.6"
    assert found[1] == "Nearest to fire: VWAP -1.9 → 2, RSI low 41.5 → 30"
    assert found[2] == "No trade: the symbol is not on alert"


def test_a_closed_gate_is_told() -> None:
    why = stage1(
        alert=False, evidence=0.0, gated=True, low_gate={"value": 0.0002, "threshold": 0.0003, "layer": "symbol"},
        triggers=[trigger("volume_spike", 3.0, 2.5, fired=True, strength=0.7)],
    )  # fmt: skip
    text = text_of(analysed(state="normal", stage1=why, trigger_reasons=["volume_spike"]))
    assert "The low-volatility gate blocks a trigger that fired" in text
    assert "closed: ATR 0.020 % < 0.030 % [symbol], blocked by the gate" in text
    assert re.search(r"● +volume +3 +≥ 2.5 +global +– +blocked by the gate", text)


@pytest.mark.parametrize(
    ("asset", "answer"),
    [
        (dropped("depth", 12_000.0, 20_000.0), "Not screened, dropped by: order book depth 12000 < 20000"),
        (dropped("spread", 0.004, 0.0015), "Not screened, dropped by: spread 0.004 > 0.0015"),
        (dropped("open_interest_unknown", None, 1e6), "dropped by: open interest unknown (threshold 1.0M)"),
        (
            dropped("contract", "status SETTLING", "status TRADING"),
            "dropped by: contract status SETTLING, needed status TRADING",
        ),
        (asset_of({"symbol": "X", "state": "no_trade"}), "Not screened"),
        (asset_of({"symbol": "X", "state": "no_data"}), "The last bar could not be had"),
        (asset_of({"symbol": "X", "state": "syncing"}), "Bars are missing inside the history"),
        (
            asset_of({"symbol": "X", "state": "error", "quarantine": QUARANTINE}),
            "Its data is not to be trusted, in quarantine since 2025-05-20 12:00 UTC: price_jump, too far: 9",
        ),
        (asset_of({"symbol": "X", "state": "error"}), "The analysis failed"),
    ],
)
def test_why_dropped_names_the_filter_its_value_and_its_threshold(asset, answer) -> None:
    assert answer in text_of(asset)


def test_a_symbol_that_the_universe_refuses_says_why() -> None:
    refused = Explained("TSLAUSDT", META, refusal=Refusal("underlying_type", "EQUITY"))
    assert "The exchange lists it, but: underlying = EQUITY" in explain_text(refused, "en")
    assert "does not hold it yet" in explain_text(Explained("NEWUSDT", META), "en")


def test_an_open_trade_and_a_signal_without_one() -> None:
    trade = {
        "trade_id": "t", "side": "long", "state": "open", "entry": 1.0, "sl": 0.9, "tp": [], "opened_ms": 1,
        "unrealised_r": -0.35,
    }  # fmt: skip
    assert "Paper trade LONG open, -0.35 R" in answers(analysed(trade=trade), META, "en")
    free = analysed(signal="ALERT_BUY", reco_gate_reason=None, recommendation="BUY_IN_DIPS")
    assert any(line.startswith("A signal without a trade") for line in answers(free, META, "en"))


# ── The proof ──


def test_triggers_stand_fired_first_then_the_nearest_with_threshold_and_layer() -> None:
    lines = trigger_lines(analysed(), "en")
    assert [line.split()[1] for line in lines[1:]] == ["breakout↑", "volume", "VWAP", "RSI", "thin"]
    assert re.search(r"▲ +breakout↑ +0.4 +≥ 0.1 +global +0.40$", lines[1])
    assert re.search(r"volume +3.25 +≥ 2.75 +rules +– +reached, but another condition is not$", lines[2])
    assert re.search(r"VWAP +-1.9 +± ≥ 2 +global", lines[3])
    assert re.search(r"RSI low +41.5 +≤ 30 +global", lines[4])
    assert lines[5].endswith("unknown")


def test_contributions_stand_largest_first_and_sum_to_the_direction() -> None:
    text = text_of(analysed())
    rows = re.findall(r"^  (breakout|location|open interest) .*?([+-][\d.]+|–)$", text, re.MULTILINE)
    assert [name for name, _ in rows] == ["breakout", "location", "open interest"]
    total = sum(float(value) for _, value in rows if value != "–")
    assert re.search(rf"direction +\{total:+.3f}$", text, re.MULTILINE)


def test_the_plan_is_told_in_r() -> None:
    assert plan_text(analysed(), "en") == [
        "  entry  100.00",
        "  SL      99.00  -1.00 R",
        "  TP1    100.50  +0.50 R",
        "  TP2    102.00  +2.00 R",
        "  LONG, reward to risk 0.66",
    ]


def test_levels_stand_from_high_to_low_around_the_price() -> None:
    head, above, price, below = level_lines(analysed(), "en")
    assert head.split()[:3] == ["price", "level", "tier"]
    assert above.split() == ["101.50", "prev", "day", "high", "macro", "2", "0", "–", "0.70", "+3.0", "resistance"]
    assert price.split() == ["100.00", "◄"]
    assert below.split() == ["99.00", "1h", "low", "meso", "3", "1", "2h", "0.62", "-2.0", "support"]


def test_ages_and_finality_are_told() -> None:
    text = text_of(analysed(), now_ms=BAR_MS + 65_000)
    assert "ages: bar 2.0s  book 0.2s  mark –  depth 0.9s  open interest 4m" in text
    assert "last bar: final, by the stream" in text
    assert "bar closed 2025-05-20 12:01 UTC, published 3s ago  (screening, seq 7)" in text


@pytest.mark.parametrize("locale", ["en", "uk"])
@pytest.mark.parametrize("asset", [analysed(), quiet(), dropped("age", 1.25, 3.0)], ids=["alert", "quiet", "dropped"])
def test_no_number_is_told_that_is_not_published(asset, locale) -> None:
    """Every number of the text rounds from one of the asset or of the meta, or from two of them by a stated rule."""
    known = numbers_of(msgspec.to_builtins(asset)) | {META.seq}
    plan, atr = asset.risk_parameters, asset.stats.get("atr")
    derived = {one["weight"] * one["strength"] for one in (trigger("", 0, 0, **FIRED),)}
    derived |= {100 * value for value in known}  # percent
    if plan is not None:
        derived |= {(price - plan.entry) / abs(plan.entry - plan.sl) for price in (plan.sl, *plan.tp)}
    if atr and asset.market_context:
        derived |= {(level.price - asset.price) / atr for level in asset.market_context.key_levels_meta}
    text = re.sub(
        r"\d{4}-\d\d-\d\d \d\d:\d\d|\d+(\.\d+)?[smhd]\b|TP\d|1[mhd] |1[хгд]\w* |24[hг]|№ \d+",
        " ",
        text_of(asset, locale),
    )
    for shown in re.findall(r"(?<![\w.])[+-]?\d+(?:\.\d+)?", text):
        digits = len(shown.partition(".")[2])
        assert any(round(value, digits) == float(shown) for value in known | derived), shown


def numbers_of(value) -> set[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return {number for item in value for number in numbers_of(item)}
    return {float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else set()


# ── Words ──


@pytest.mark.parametrize(
    "name",
    [
        *LEVEL_KINDS,
        *FACTORS,
        *QUALITIES,
        *(f"gate.{name}" for name in GATES),
        *(f"anomaly.{name}" for name in ANOMALIES),
        *(f"risk.{name}" for name in RISK_CLASSES),
    ],
)
def test_every_word_of_the_engine_is_translated(name) -> None:
    assert name in _WORDS


def test_no_translation_is_empty_and_the_languages_differ() -> None:
    assert all(text.strip() for texts in _WORDS.values() for text in texts)
    english = text_of(analysed(), "en")
    ukrainian = text_of(analysed(), "uk")
    assert "пробій угору" in ukrainian
    assert not re.search(r"[а-яіїє]", english.lower())


def test_what_has_no_word_reads_as_itself() -> None:
    assert term("anomaly.my_own", "en") == "my own"


def test_columns_are_aligned() -> None:
    lines = table([("a", "1"), ("bbb", "22")], "<>")
    assert lines == ["  a     1", "  bbb  22"]
    assert table([], "<>") == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-0.00004, "-0.00004"), (1e-9, "1e-09"), (999.96, "1000"), (105_131.5, "105132"), (2e9, "2.0B")],
)
def test_numbers_keep_four_digits(value, text) -> None:
    assert number(value) == text
