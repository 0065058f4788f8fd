"""The engine in the mirror: bars, readings, Stage1, Stage2; long and short exchanged, nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from aione.evaluate.walk import walk
from aione.stage2 import FACTORS, SCENARIOS
from config.settings import load_settings

from .mirror import TRIGGERS, WORDS, market_in_mirror, panel_in_mirror
from .stories import CENTRE, LEAD, daily_of, market_of, panel_of

START = LEAD + 40
PURE = {
    "STAGE1_MONITOR_PARAMS": {"thresholds": {"low_gate": 0.0}, "class_thresholds": {}},
    "STAGE2_CONFIG": {"risk": {"fee_frac": 0.0, "unknown_spread_frac": 0.0}},
}
"""Without what is a fraction of the price by its nature: the low-volatility gate and the costs."""

EXACT = 2.0**-20
"""Amplitude at which an hour moves about one part in 10,000: there, logarithms and fractions have no curve."""

TICK = EXACT * CENTRE / 2.0**14
"""A price that lies between two ticks but for the last bit may be rounded to either."""

ORDINARY = 2.0**-10
"""That of an ordinary altcoin; the stories move up to 6 %."""


def both(settings, seed, amplitude):
    """Each bar's step, and the step in the mirror."""
    panel = panel_of(seed, amplitude=amplitude)
    daily, market = daily_of(seed, panel, amplitude), market_of(panel, amplitude)
    there = panel_in_mirror(panel, CENTRE), panel_in_mirror(daily, CENTRE)
    yield from zip(
        walk(panel, daily, settings, start=START, market_at=market),
        walk(*there, settings, start=START, market_at=market_in_mirror(market)),
        strict=True,
    )


def turned(word):
    return WORDS.get(word, word)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_mirror_exchanges_long_and_short_and_changes_nothing_else(seed):
    """Also the proof that the mirror is complete: all ten scenarios, alerts, plans and most triggers occur in it."""
    settings = load_settings(environ={}, overrides=PURE)
    seen, fired, plans = set(), set(), 0
    for one, other in both(settings, seed, EXACT):
        assert one.stage1.alert.tolist() == other.stage1.alert.tolist()
        assert one.stage1.announced.tolist() == other.stage1.announced.tolist()
        assert (one.stage1.side == -other.stage1.side).all()
        for name, trigger in one.stage1.triggers.items():
            image = other.stage1.triggers[TRIGGERS.get(name, name)]
            assert trigger.fired.tolist() == image.fired.tolist(), name
            assert (trigger.side == -image.side).all(), name
            np.testing.assert_allclose(trigger.strength, image.strength, atol=1e-4, err_msg=name)
            fired |= {name} if trigger.fired.any() else set()
        here, there = one.stage2, other.stage2
        for row, symbol in enumerate(here.symbols):
            seen.add(here.scenario_name(row))
            assert turned(here.scenario_name(row)) == there.scenario_name(row), (one.at, symbol)
            assert turned(here.recommendation_name(row)) == there.recommendation_name(row), (one.at, symbol)
        for name in ("gate_reason", "risk_class", "status", "swapped"):
            np.testing.assert_array_equal(getattr(here, name), getattr(there, name), err_msg=name)
        for name in FACTORS:
            np.testing.assert_allclose(here.factors[name], -there.factors[name], atol=1e-5, err_msg=name)
            np.testing.assert_allclose(here.contributions[name], -there.contributions[name], atol=1e-5, err_msg=name)
        for name in ("liquidity", "levels", "data"):
            np.testing.assert_allclose(here.qualities[name], there.qualities[name], atol=1e-9, err_msg=name)
        np.testing.assert_allclose(here.confidence_raw, there.confidence_raw, atol=0.005)
        np.testing.assert_array_equal(here.plan_side, -there.plan_side)
        np.testing.assert_allclose(here.entry, 2 * CENTRE - there.entry, rtol=1e-12)
        np.testing.assert_allclose(here.sl, 2 * CENTRE - there.sl, rtol=0, atol=1.01 * TICK)
        np.testing.assert_allclose(here.tp, 2 * CENTRE - there.tp, rtol=0, atol=4.01 * TICK)
        for name, column in here.anomalies.items():
            assert column.tolist() == there.anomalies[name].tolist(), name
        plans += np.count_nonzero(here.plan_side)
    assert seen == set(SCENARIOS)
    assert len(fired) >= 14
    assert plans > 100


def test_at_ordinary_amplitude_the_mirror_differs_where_fractions_of_the_price_decide(settings):
    """ATR as a fraction of the price, its rank, volatility in logarithms: these bend, and what hangs on them."""
    asked, kept, apart = 0, {"scenario": 0, "recommendation": 0, "alert": 0}, dict.fromkeys(FACTORS, 0.0)
    for one, other in both(settings, 0, ORDINARY):
        here, there = one.stage2, other.stage2
        asked += len(here.symbols)
        kept["alert"] += np.count_nonzero(one.stage1.alert == other.stage1.alert)
        for row in range(len(here.symbols)):
            kept["scenario"] += turned(here.scenario_name(row)) == there.scenario_name(row)
            kept["recommendation"] += turned(here.recommendation_name(row)) == there.recommendation_name(row)
        for name in FACTORS:
            apart[name] = max(apart[name], np.nanmax(np.abs(here.factors[name] + there.factors[name])))
    assert all(number >= 0.97 * asked for number in kept.values()), (kept, asked)
    bent = {name: size for name, size in apart.items() if size > 1e-9}
    assert set(bent) == {"trend", "market"}
    assert bent["trend"] < 0.005
    assert bent["market"] < 0.15  # beta is of logarithms, the rank of strength with it
