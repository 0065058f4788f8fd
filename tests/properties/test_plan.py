"""Every plan of the stories: in order, on the tick, paid for, and shown as what it is."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from aione.evaluate.walk import walk
from config.settings import load_settings

from .stories import CENTRE, LEAD, daily_of, market_of, panel_of

TICK = 2.0**-10 * CENTRE / 2.0**14


@pytest.fixture(scope="module")
def plans(settings):
    """Each step with the market it saw."""
    found = []
    for seed in (3, 4):
        panel = panel_of(seed)
        market = market_of(panel)
        steps = walk(panel, daily_of(seed, panel), settings, start=LEAD + 20, market_at=market)
        found += [(step, market(step.window)) for step in steps]
    return found


def planned(plans):
    for step, market in plans:
        for row in np.flatnonzero(step.stage2.plan_side):
            yield step, market, int(row)


def test_a_long_has_its_stop_below_and_its_targets_above_and_a_short_the_other_way(plans):
    sides = set()
    for step, _, row in planned(plans):
        result = step.stage2
        side = int(result.plan_side[row])
        ladder = [result.sl[row], result.entry[row], *result.tp[row]]
        assert all(side * (b - a) > 0 for a, b in pairwise(ladder))
        assert result.entry[row] == step.readings["close"][row]
        assert not result.swapped[row]
        sides.add(side)
    assert sides == {1, -1}


def test_every_price_is_on_the_tick(plans):
    for step, _, row in planned(plans):
        for price in (step.stage2.entry[row], step.stage2.sl[row], *step.stage2.tp[row]):
            assert math.remainder(price, TICK) == 0.0


def test_reward_to_risk_is_what_is_left_after_two_fees_and_a_spread(plans, settings):
    """By hand, for one unit bought at the entry and sold at the last target or the stop."""
    fee = settings.STAGE2_CONFIG.risk.fee_frac
    for step, market, row in planned(plans):
        result = step.stage2
        entry, stop, last = float(result.entry[row]), float(result.sl[row]), float(result.tp[row, -1])
        cost = 2 * fee * entry + float(market.spread_frac[row]) * entry
        reward, risk = abs(last - entry) - cost, abs(entry - stop) + cost
        assert result.rr[row] == pytest.approx(reward / risk, rel=1e-12)
        assert result.rr_mean[row] <= result.rr[row]


def test_the_stop_is_outside_of_the_noise_and_no_further_than_its_multiple(plans, settings):
    params = settings.STAGE2_CONFIG.risk
    for step, _, row in planned(plans):
        distance = abs(step.stage2.entry[row] - step.stage2.sl[row]) / step.readings["atr"][row]
        slack = TICK / step.readings["atr"][row]
        assert params.noise_atr - 1e-9 <= distance <= params.stop_atr + slack


def test_only_a_plan_that_pays_is_a_signal(plans, settings):
    signals = 0
    for step, _ in plans:
        result = step.stage2
        for row in np.flatnonzero(result.is_signal):
            signals += 1
            assert step.stage1.alert[row]
            assert result.side[row] == result.plan_side[row]
            assert result.rr[row] >= settings.STAGE2_CONFIG.risk.min_rr
            assert result.confidence[row] >= settings.STAGE2_CONFIG.thresholds.entry_confidence
            assert all(gate["passed"] for gate in result.explain(int(row))["gates"])
    assert signals > 10


def test_a_dynamic_multiplier_beyond_reason_still_makes_no_plan_out_of_order():
    wild = load_settings(environ={}, overrides={"STAGE2_CONFIG": {"risk": {"sl_mult": 200.0, "tp_mult": 0.01}}})
    panel = panel_of(3)
    count = 0
    for step in walk(panel, daily_of(3, panel), wild, start=LEAD + 100, market_at=market_of(panel)):
        result = step.stage2
        for row in np.flatnonzero(result.plan_side):
            ladder = [result.sl[row], result.entry[row], *result.tp[row]]
            assert all(result.plan_side[row] * (b - a) > 0 for a, b in pairwise(ladder))
            assert min(ladder) > 0
            count += 1
    assert count > 0
