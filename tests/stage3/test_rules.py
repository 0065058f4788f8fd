"""What threshold rules do to an open trade."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione.panel import MINUTE_MS
from aione.stage3.machine import Event
from aione.stage3.manage import Leader, Multipliers
from aione.stage3.trade import Trade
from config.models import Stage3Params

from .conftest import open_trade


def leader(**over) -> Leader:
    return Leader(open_trade(**over), Stage3Params(), 0.01, [])


def follow(one: Leader, close, tp=1.0, sl=1.0, rules=()):
    one.follow_rules(Multipliers(tp, sl, tuple(rules)), close, one.trade.managed_ms + MINUTE_MS)
    return one.trade


@pytest.fixture(params=[1, -1])
def side(request):
    return request.param


def test_a_smaller_stop_multiplier_draws_the_stop_closer_and_never_back(side):
    one = leader(side=side) if side > 0 else leader(**short())
    start = one.trade
    moved = follow(one, start.entry + side * 0.2 * start.r_quote, sl=0.5)
    assert moved.stop == pytest.approx(start.entry - side * 0.5 * start.r_quote, abs=0.01)
    assert moved.stop_kind == "rules"
    assert moved.r_quote == start.r_quote, "R never changes"
    again = follow(one, start.entry, sl=0.5)
    assert len(one.events) == 1, "the same once more moves nothing"
    looser = follow(one, start.entry, sl=2.0)
    assert looser.stop == again.stop == moved.stop
    assert follow(one, start.entry).stop == moved.stop


def short():
    plan = open_trade()
    mirror = 2 * plan.entry
    return {
        "side": -1,
        "stop_initial": mirror - plan.stop_initial,
        "targets": [mirror - target for target in plan.targets],
    }


def test_a_stop_is_not_moved_beyond_the_price(side):
    one = leader(**({} if side > 0 else short()))
    start = one.trade
    assert follow(one, start.entry - side * 0.6 * start.r_quote, sl=0.5).stop == start.stop
    assert one.events == []


def test_targets_stand_at_so_many_times_their_planned_distance_and_come_back(side):
    one = leader(**({} if side > 0 else short()))
    start = one.trade
    moved = follow(one, start.entry, tp=1.5)
    for before, after in zip(start.targets, moved.targets, strict=True):
        assert after - start.entry == pytest.approx(1.5 * (before - start.entry), abs=0.011)
    assert moved.targets_planned == start.targets
    assert one.events[0].kind is Event.RULES_MOVED
    assert one.events[0].payload["tp_mult_factor"] == 1.5
    assert follow(one, start.entry).targets == start.targets


def test_a_target_that_the_price_has_passed_or_that_was_taken_stays(side):
    one = leader(**({} if side > 0 else short()))
    start = one.trade
    close = start.entry + side * 0.9 * abs(start.targets[0] - start.entry)
    moved = follow(one, close, tp=0.5)
    assert moved.targets[0] == start.targets[0], "half of the way is behind the price"
    assert side * (moved.targets[1] - close) > 0


def test_a_target_is_not_moved_behind_a_stop_that_trailing_drew_past_the_price(side):
    one = leader(**({} if side > 0 else short()))
    start = one.trade
    stop = start.entry + side * 1.2 * start.r_quote
    one.emit(Event.STOP_MOVED, one.trade.managed_ms + MINUTE_MS, {"stop": stop, "stop_kind": "trail"})
    moved = follow(one, start.entry + side * 1.05 * start.r_quote, tp=0.55)
    assert moved.targets == start.targets, "1.1 R is before the price but behind the stop; 1.65 R alone is no ladder"
    moved = follow(one, start.entry + side * 1.05 * start.r_quote, tp=0.7)
    expected = (start.targets[0], *(start.entry + side * r * start.r_quote for r in (1.4, 2.1)))
    assert moved.targets == pytest.approx(expected, abs=0.011)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([1, -1]),
    st.lists(
        st.tuples(st.floats(-0.9, 2.9), st.sampled_from([0.1, 0.5, 0.8, 1.0, 1.3, 4.0]), st.floats(0.1, 3.0)),
        min_size=1,
        max_size=6,
    ),
)
def test_whatever_rules_ask_the_stop_never_loosens_and_targets_stay_in_front(side, asked):
    """Closes in R from the entry, with two multipliers each."""
    one = leader(**({} if side > 0 else short()))
    start = one.trade
    for distance, tp, sl in asked:
        before, close = one.trade, start.entry + side * distance * start.r_quote
        if side * (close - before.stop) <= 0:
            break  # the stop is hit
        after = follow(one, close, tp, sl)
        told = len(one.events)
        assert follow(one, close, tp, sl) == after
        assert len(one.events) == told, "the same again moves nothing"
        assert side * (after.stop - before.stop) >= 0
        assert side * (close - after.stop) > 0
        ladder = [after.entry, *after.targets]
        assert all(side * (far - near) > 0 for near, far in pairwise(ladder))
        for old, new in zip(before.targets, after.targets, strict=True):
            assert new == old or side * (new - max(side * close, side * after.stop) * side) > 0


def test_the_event_names_the_rules_and_an_old_one_without_them_is_read():
    one = leader()
    follow(one, one.trade.entry, tp=2.0, rules=["btc_breaks_loose"])
    (event,) = one.events
    assert event.payload["rules"] == ["btc_breaks_loose"]
    bare = replace(event, payload={key: value for key, value in event.payload.items() if key != "rules"})
    assert open_trade().applied(bare) == one.trade


def test_a_trade_comes_back_from_json_with_what_rules_made_of_it():
    one = leader()
    moved = follow(one, one.trade.entry, tp=2.0, sl=0.5)
    assert Trade.from_dict(moved.to_dict()) == moved
    old = {key: value for key, value in open_trade().to_dict().items() if key != "targets_planned"}
    assert Trade.from_dict(old).targets_planned == open_trade().targets
