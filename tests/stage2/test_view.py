"""The payload's part: JSON-able, finite, on the tick, and a text that invents nothing."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import orjson
import pytest

from aione.errors import InvalidInput
from aione.prices import format_price, price_decimals, round_to_tick
from aione.stage2 import run_stage2
from aione.stage2.level_kinds import FIRST_MACRO, FIRST_MESO, LEVEL_KINDS
from aione.stage2.levels import TIERS
from aione.stage2.narrative import _FACTOR, _GATE, _RECOMMENDATION, _RISK, _SCENARIO, _TEXTS, narrative
from aione.stage2.recommend import GATES
from aione.stage2.risk import RISK_CLASSES
from aione.stage2.scenarios import SCENARIOS
from config.settings import RECOMMENDATIONS, load_settings

from .conftest import SYMBOLS, alerted, daily_panel, inputs, numbers, random_panel

FIELDS = {
    "status",
    "recommendation",
    "reco_original",
    "reco_gate_reason",
    "market_context",
    "confidence_metrics",
    "contributions",
    "risk_parameters",
    "anomaly_detection",
    "narrative",
}
TICK = 0.01


@pytest.fixture(scope="module")
def views():
    """Views of many symbols, with and without plans."""
    easy = load_settings(environ={"AIONE_STAGE2_CONFIG__risk__min_rr": "0.5"})
    found = []
    for seed in range(8):
        given = inputs(easy, random_panel(seed), daily_panel(seed), tick_size=np.full(6, TICK))
        result = run_stage2(*given[:4], alerted(given[4]), easy)
        found += [result.view(row, TICK) for row in range(len(SYMBOLS))]
    assert {view["risk_parameters"] is None for view in found} == {True, False}
    return found


def test_the_view_has_the_payloads_fields_and_survives_json(views):
    for view in views:
        assert set(view) == FIELDS
        assert orjson.loads(orjson.dumps(view)) == view
        assert all(math.isfinite(number) for number in numbers(view))


def test_prices_are_on_the_tick(views):
    for view in views:
        context, plan = view["market_context"], view["risk_parameters"]
        prices = [level["price"] for level in context["key_levels_meta"]]
        prices += [value for name, value in context["key_levels"].items() if name.endswith(("support", "resistance"))]
        prices += [] if plan is None else [plan["entry"], plan["sl"], *plan["tp"]]
        for price in prices:
            assert price is None or price == round_to_tick(price, TICK)


def test_every_level_of_the_view_is_a_level_of_the_result(settings):
    result = run_stage2(*inputs(settings, random_panel(2), daily_panel(3)), settings)
    for row in range(len(SYMBOLS)):
        found = result.view(row, TICK)["market_context"]["key_levels_meta"]
        assert len(found) == np.count_nonzero(result.levels.kind[row] >= 0) > 0
        for at, level in enumerate(found):
            kind = int(result.levels.kind[row, at])
            assert level["kind"] == LEVEL_KINDS[kind]
            assert level["tier"] == TIERS[(kind >= FIRST_MESO) + (kind >= FIRST_MACRO)]
            assert level["price"] == round_to_tick(result.levels.price[row, at], TICK)
            assert (level["touches"], level["breaks"]) == (
                result.levels.touches[row, at],
                result.levels.breaks[row, at],
            )
            assert level["strength"] == pytest.approx(result.levels.strength[row, at], abs=5e-4)


def test_a_plan_in_the_view_is_in_order(views):
    for plan in (view["risk_parameters"] for view in views if view["risk_parameters"]):
        ladder = [plan["sl"], plan["entry"], *plan["tp"]]
        assert ladder == sorted(ladder, reverse=plan["side"] == "short")
        assert len(set(ladder)) == len(ladder)


def test_contributions_in_the_view_sum_to_the_direction(views):
    for view in views:
        total = sum(value for value in view["contributions"].values() if value is not None)
        assert total == pytest.approx(view["confidence_metrics"]["direction"], abs=1e-5)


def test_no_number_of_the_narrative_is_missing_from_the_payload(views):
    for view in views:
        rest = {name: value for name, value in view.items() if name != "narrative"}
        known = {str(number) for number in numbers(rest)} | {format_price(number, TICK) for number in numbers(rest)}
        for text in view["narrative"].values():
            words = re.sub(r"\b[A-Z]*USDT\b|VWAP|RSI", "", text)
            for number in re.findall(r"-?\d+(?:\.\d+)?", words):
                assert number in known, (number, text)


def test_the_narrative_names_scenario_plan_and_risk_in_both_languages(views):
    for view in views:
        for lang, locale in enumerate(("en", "uk")):
            text = view["narrative"][locale]
            assert _SCENARIO[view["market_context"]["scenario"]][lang] in text
            assert _RECOMMENDATION[view["recommendation"]][lang] in text
            assert _RISK[view["confidence_metrics"]["risk_class"]][lang] in text
            if view["risk_parameters"]:
                assert format_price(view["risk_parameters"]["sl"], TICK) in text
            if view["reco_gate_reason"]:
                assert _GATE[view["reco_gate_reason"]][lang] in text
            assert "None" not in text
            assert text.endswith(".")
        assert not re.search(r"[а-яіїєґ]", view["narrative"]["en"])
        assert re.search(r"[а-яіїєґ]", view["narrative"]["uk"])


def test_every_word_has_a_text():
    assert set(_SCENARIO) == set(SCENARIOS)
    assert set(_RECOMMENDATION) == set(RECOMMENDATIONS)
    assert set(_GATE) == set(GATES)
    assert set(_RISK) == set(RISK_CLASSES)
    assert set(_TEXTS[0]) == set(_TEXTS[1])
    assert all(
        len(pair) == 2 for words in (_SCENARIO, _RECOMMENDATION, _GATE, _RISK, _FACTOR) for pair in words.values()
    )


def test_unknown_levels_and_confidence_leave_their_sentences_out(views):
    view = dict(views[0])
    view["market_context"] = view["market_context"] | {"key_levels": {}}
    view["confidence_metrics"] = view["confidence_metrics"] | {"raw": None, "direction": None}
    text = narrative(view, "XUSDT", TICK)["en"]
    assert "Support" not in text
    assert "confidence" not in text


def test_a_calibrated_confidence_is_said_to_be_one(settings):
    result = run_stage2(*inputs(settings, random_panel(1)), settings)
    calibrated = replace(result, confidence_calibrated=np.full(6, 0.61))
    metrics = calibrated.view(0, TICK)["confidence_metrics"]
    assert (metrics["calibrated"], metrics["calibration"]) == (0.61, "calibrated")
    assert "0.61" in calibrated.view(0, TICK)["narrative"]["en"]
    assert result.view(0, TICK)["confidence_metrics"]["calibration"] == "uncalibrated"
    np.testing.assert_array_equal(calibrated.confidence, 0.61)


def test_a_swap_and_a_signal_are_tagged(settings):
    result = run_stage2(*inputs(settings, random_panel(1)), settings)
    size = len(SYMBOLS)
    yes, one = np.ones(size, dtype=np.bool_), np.ones(size, dtype=np.int8)
    plan = {"entry": np.full(size, 100.0), "sl": np.full(size, 99.0), "tp": np.tile([101.0, 102.0, 103.0], (size, 1))}
    tagged = replace(result, swapped=yes, is_signal=yes, plan_side=one, **plan)
    assert tagged.view(0, TICK)["risk_parameters"]["tags"] == ["tp_sl_swapped_long", "signal_generated"]
    short = replace(tagged, plan_side=-one, is_signal=~yes)
    assert short.view(0, TICK)["risk_parameters"]["tags"] == ["tp_sl_swapped_short"]


def test_a_tick_size_must_be_positive(settings):
    result = run_stage2(*inputs(settings, random_panel(1)), settings)
    with pytest.raises(InvalidInput, match="tick_size must be above 0"):
        result.view(0, float("nan"))
    assert price_decimals(TICK) == 2
