"""The paragraph: true to its view, whole in both languages, for every scenario with every word of advice."""

from __future__ import annotations

import re
from itertools import product

import pytest

from aione.evaluate.walk import walk
from aione.prices import format_price
from aione.stage2.narrative import _FACTOR, _RECOMMENDATION, _SCENARIO, narrative
from aione.stage2.scenarios import SCENARIOS
from config.settings import RECOMMENDATIONS
from tests.properties.stories import LEAD, daily_of, market_of, panel_of

from .conftest import numbers

TICK = 2.0**-10


@pytest.fixture(scope="module")
def views(settings):
    """Views of the stories: symbol and view."""
    panel = panel_of(4)
    found = []
    for step in walk(panel, daily_of(4, panel), settings, start=LEAD + 20, market_at=market_of(panel)):
        if step.at % 5 == 0:
            found += [(symbol, step.stage2.view(row, TICK)) for row, symbol in enumerate(panel.symbols)]
    return found


def test_every_number_is_one_of_the_view(views):
    """Read out of the text by a pattern that knows nothing of how it was put in."""
    said = 0
    for symbol, view in views:
        known = numbers({name: value for name, value in view.items() if name != "narrative"})
        words = {str(number) for number in known} | {format_price(number, TICK) for number in known}
        for text in view["narrative"].values():
            for number in re.findall(r"-?\d+(?:[.,]\d+)*(?:e-?\d+)?", text.replace(symbol, "")):
                assert number in words, (number, text)
                said += 1
    assert said > 2_000


def test_the_stories_bring_most_pairs_of_scenario_and_advice(views):
    pairs = {(view["market_context"]["scenario"], view["recommendation"]) for _, view in views}
    assert {scenario for scenario, _ in pairs} >= set(SCENARIOS) - {
        "BULLISH_REVERSAL",
        "BEARISH_REVERSAL",
        "MANIPULATED",
    }
    assert len(pairs) >= 15


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_with_every_advice_makes_whole_sentences(views, scenario):
    symbol, view = views[0]
    for advice, direction in product(RECOMMENDATIONS, (0.4, -0.4, 0.0, None)):
        changed = {
            "market_context": view["market_context"] | {"scenario": scenario},
            "confidence_metrics": view["confidence_metrics"] | {"direction": direction},
            "contributions": dict.fromkeys(view["contributions"], direction),
            "recommendation": advice,
        }
        made = narrative(view | changed, symbol, TICK)
        for lang, text in enumerate(made.values()):
            assert text.startswith(f"{symbol}: {_SCENARIO[scenario][lang]}")
            assert _RECOMMENDATION[advice][lang] in text
            assert text.endswith(".")
            assert not re.search(r"[{}]|None|nan|  |\.\.| ,| \.", text)
        assert not re.search(r"[А-яІіЇїЄєҐґ]", made["en"])
        assert not re.search(r"\b(and|the|of|Risk|Support)\b", made["uk"])


def test_factors_are_the_reason_of_a_scenario_of_their_side_alone(views):
    """A range is none because of its trend, and buyers are not in control because of a bearish divergence."""
    seen = set()
    for _, view in views:
        scenario, direction = view["market_context"]["scenario"], view["confidence_metrics"]["direction"]
        side = {"BULLISH": 1, "BEARISH": -1}.get(scenario.split("_")[0], 0)
        agrees = side * direction > 0
        text = view["narrative"]["en"]
        assert ("mostly because of" in text) == agrees
        if not agrees and "leans" in text:
            assert f"the sum leans {'up' if direction > 0 else 'down'} through" in text
        seen.add((side, agrees))
    assert {(1, True), (-1, True), (0, False)} <= seen


def test_the_factors_named_are_those_that_add_most(views):
    for _, view in views[::7]:
        direction = view["confidence_metrics"]["direction"]
        parts = {name: part * direction for name, part in view["contributions"].items() if part is not None}
        best = max(parts, key=lambda name: parts[name])
        if parts[best] > 0:
            assert _FACTOR[best][0] in view["narrative"]["en"]
            assert _FACTOR[best][1] in view["narrative"]["uk"]


def test_a_confidence_that_nothing_has_measured_is_said_to_be_that(views):
    symbol, view = views[0]
    assert "(not calibrated)" in view["narrative"]["en"]
    assert "(не калібрована)" in view["narrative"]["uk"]
    metrics = view["confidence_metrics"] | {"calibrated": 0.61, "calibration": "calibrated"}
    made = narrative(view | {"confidence_metrics": metrics}, symbol, TICK)
    assert "confidence 0.61." in made["en"]
    assert "впевненість 0.61." in made["uk"]
