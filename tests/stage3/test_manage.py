"""Leading a trade through bars."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione.stage3.machine import Event, ExitReason, State
from aione.stage3.manage import Leader, TradeBar
from aione.stage3.trade import Trade
from config.models import Stage3Params

from .conftest import MINUTE, T0, open_trade, plan_events

QUIET = (100.0, 100.5, 99.5, 100.0)


def mirrored(bar):
    o, h, low, c = bar
    return (200 - o, 200 - low, 200 - h, 200 - c)


def test_a_bar_that_touches_stop_and_target_counts_as_the_stop(lead):
    trade = lead(open_trade(), (100.0, 110.0, 97.0, 105.0)).trade
    assert (trade.exit_reason, trade.exit_price, trade.r_multiple) == (ExitReason.SL, 98.0, -1.0)
    assert trade.mfe_r == 0.0  # whether the high came first is unknown


def test_a_gap_through_the_stop_fills_at_the_open(lead):
    trade = lead(open_trade(), (95.0, 96.0, 94.0, 95.5)).trade
    assert (trade.exit_price, trade.r_multiple, trade.mae_r) == (95.0, -2.5, 2.5)


def test_the_first_target_takes_a_third_and_moves_the_stop_to_break_even(lead):
    leader = lead(open_trade(), (100.0, 102.5, 99.0, 102.0))
    trade = leader.trade
    assert (trade.state, trade.stop, trade.stop_kind) == (State.PROTECTED, 100.0, "break_even")
    assert trade.quantity_open == pytest.approx(2.0)
    assert trade.realised_quote == pytest.approx(2.0)
    assert [event.kind for event in leader.events] == [Event.FIRST_TARGET_HIT, Event.MANAGED]


def test_break_even_is_not_in_force_on_the_bar_that_reached_the_target(lead):
    trade = lead(open_trade(), (100.0, 102.5, 98.5, 102.0)).trade
    assert trade.state is State.PROTECTED
    closed = lead(trade, (102.0, 102.2, 99.9, 100.0)).trade
    assert (closed.exit_reason, closed.exit_price) == (ExitReason.SL, 100.0)
    assert closed.r_multiple == pytest.approx(1.0 / 3.0)


def test_one_bar_may_reach_every_target(lead):
    leader = lead(open_trade(), (100.0, 120.0, 99.0, 119.0))
    trade = leader.trade
    assert [event.kind for event in leader.events] == [
        Event.FIRST_TARGET_HIT,
        Event.NEXT_TARGET_HIT,
        Event.LAST_TARGET_HIT,
    ]
    assert (trade.exit_reason, trade.quantity_open) == (ExitReason.TP, 0.0)
    assert trade.r_multiple == pytest.approx(2.0)  # the mean of 1, 2 and 3 R
    assert trade.mfe_r == pytest.approx(3.0)  # what came after the last exit is not the trade's


def test_a_single_target_closes_the_trade(lead):
    trade = lead(open_trade(targets=[102.0]), (100.0, 103.0, 99.0, 102.0)).trade
    assert (trade.state, trade.r_multiple) == (State.CLOSED, 1.0)


def test_trailing_starts_after_one_r_and_follows_the_best_price(lead):
    trade = open_trade(targets=[120.0])
    assert lead(trade, (100.0, 101.9, 99.9, 101.0), atr=0.5).trade.stop == 98.0
    moved = lead(trade, (100.0, 102.0, 99.9, 101.8), atr=0.5)
    assert (moved.trade.stop, moved.trade.stop_kind) == (101.5, "trail")
    held = lead(moved.trade, (101.8, 101.9, 101.6, 101.7), atr=5.0)
    assert held.trade.stop == 101.5
    out = lead(held.trade, (101.7, 101.8, 101.0, 101.2), atr=0.5).trade
    assert (out.exit_reason, out.exit_price) == (ExitReason.TRAIL, 101.5)


def test_an_unknown_atr_moves_nothing(lead):
    assert lead(open_trade(targets=[120.0]), (100.0, 105.0, 99.9, 104.0), atr=math.nan).trade.stop == 98.0


def test_a_trade_is_closed_at_the_close_when_its_time_is_over(lead):
    trade = lead(open_trade(), QUIET, QUIET, (100.0, 100.9, 99.9, 100.8), QUIET, timeout_bars=3).trade
    assert (trade.exit_reason, trade.exit_price, trade.bars_held) == (ExitReason.TIMEOUT, 100.8, 3)
    assert trade.closed_ms == T0 + 4 * MINUTE


def test_missing_bars_count_towards_the_timeout():
    leader = Leader(open_trade(), Stage3Params(timeout_bars=3), 0.01, [])
    leader.lead([TradeBar(T0 + 9 * MINUTE, *QUIET, math.nan)])
    assert leader.trade.exit_reason is ExitReason.TIMEOUT


def test_costs_come_off_the_result(lead):
    trade = open_trade(spread_frac=0.002, slippage_frac=0.001, fee_frac=0.001)
    closed = lead(trade, (100.0, 100.5, 97.0, 97.5)).trade
    fill = 98.0 * (1 - 0.002)
    assert closed.exit_price == pytest.approx(fill)
    assert closed.r_multiple == pytest.approx(((fill - 100.0) * 3 - 0.001 * 3 * fill) / 6.0)


def test_a_plan_that_was_never_filled_is_given_up_at_the_next_bar():
    leader = Leader(Trade.planned(plan_events()[0]), Stage3Params(), 0.01, [])
    leader.lead([TradeBar(T0 + MINUTE, *QUIET, math.nan)])
    assert (leader.trade.exit_reason, leader.trade.quantity_open) == (ExitReason.TIMEOUT, 0.0)


def test_a_short_is_the_mirror_image_of_a_long(lead):
    bars = [(100.0, 101.0, 99.0, 100.5), (100.5, 102.4, 100.1, 102.0), (102.0, 104.5, 101.5, 104.0), (104, 104, 99, 99)]
    up = lead(open_trade(), *bars, atr=0.7).trade
    down = lead(open_trade(side=-1), *map(mirrored, bars), atr=0.7).trade
    assert up.state is State.CLOSED
    for name in ("r_multiple", "mae_r", "mfe_r", "bars_held", "targets_hit", "exit_reason", "stop_kind", "number"):
        assert getattr(down, name) == pytest.approx(getattr(up, name)) if name.endswith("_r") else True
        assert str(getattr(down, name))[:6] == str(getattr(up, name))[:6]


# ── Whatever the market does ──

steps = st.lists(st.tuples(st.floats(-1.5, 1.5), st.floats(0.0, 1.0), st.floats(0.0, 1.0)), min_size=1, max_size=40)


def path(moves):
    """Bars that follow each other with small gaps."""
    close, bars = 100.0, []
    for move, up, down in moves:
        start, close = close + 0.2 * move, close + move
        bars.append((start, max(start, close) + up, min(start, close) - down, close))
    return [(float(o), float(h), float(low), float(c)) for o, h, low, c in bars]


@given(steps, st.sampled_from([1, -1]), st.floats(0.1, 3.0))
def test_minute_by_minute_leads_where_a_catch_up_leads(moves, side, atr):
    bars = [TradeBar(T0 + (at + 1) * MINUTE, *bar, atr) for at, bar in enumerate(path(moves))]
    at_once = Leader(open_trade(side=side), Stage3Params(timeout_bars=30), 0.01, [])
    at_once.lead(bars)
    trade = open_trade(side=side)
    for bar in bars:
        if trade.state is not State.CLOSED:
            each = Leader(trade, Stage3Params(timeout_bars=30), 0.01, [])
            each.lead([bar])
            trade = each.trade
    facts = at_once.trade.to_dict() | {"number": 0}
    assert trade.to_dict() | {"number": 0} == facts


@given(steps, st.sampled_from([1, -1]), st.floats(0.1, 3.0), st.floats(0.0, 0.002))
def test_r_is_conserved_and_the_stop_never_loosens(moves, side, atr, cost):
    bars = [TradeBar(T0 + (at + 1) * MINUTE, *bar, atr) for at, bar in enumerate(path(moves))]
    planned = open_trade(side=side, fee_frac=cost, spread_frac=cost)
    leader = Leader(planned, Stage3Params(), 0.01, [])
    leader.lead(bars)
    trade, stops, sold, cash, fees = planned, [planned.stop], 0.0, 0.0, planned.fees_quote
    for event in leader.events:
        trade = trade.applied(event)
        stops.append(trade.stop)
        if "quantity" in event.payload:
            sold += event.payload["quantity"]
            cash += side * (event.payload["price"] - planned.entry_fill) * event.payload["quantity"]
            fees += event.payload["fee_quote"]
    assert trade.to_dict() == leader.trade.to_dict()
    assert all(side * (later - earlier) >= 0 for earlier, later in pairwise(stops))
    assert trade.r_quote == planned.r_quote == 2.0
    assert trade.mae_r >= 0
    assert trade.mfe_r >= 0
    assert trade.r_multiple == pytest.approx((cash - fees) / (planned.quantity * 2.0))
    assert sold + trade.quantity_open == pytest.approx(planned.quantity)
    if trade.state is State.CLOSED:
        assert trade.quantity_open == 0.0
