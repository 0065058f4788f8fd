"""A trade is nothing but its events."""

from __future__ import annotations

import dataclasses

import orjson
import pytest

from aione.errors import IllegalTransition, InvalidInput
from aione.stage3.machine import Event, ExitReason, State
from aione.stage3.trade import Trade, TradeEvent

from .conftest import T0, open_trade, plan_events


def event(trade: Trade, kind: Event, **payload) -> TradeEvent:
    return TradeEvent(trade.trade_id, trade.number + 1, T0, kind, payload)


def test_a_plan_that_is_filled_is_open():
    trade = open_trade()
    assert (trade.state, trade.number, trade.quantity_open, trade.entry_fill) == (State.OPEN, 2, 3.0, 100.0)
    assert trade.r_quote == 2.0


def test_events_and_trades_survive_json():
    for one in plan_events():
        assert TradeEvent.from_dict(orjson.loads(orjson.dumps(one.to_dict()))) == one
    trade = open_trade()
    assert Trade.from_dict(orjson.loads(orjson.dumps(trade.to_dict()))) == trade
    closed = trade.applied(event(trade, Event.STOP_HIT, price=98.0, quantity=3.0, fee_quote=0.1))
    assert Trade.from_dict(orjson.loads(orjson.dumps(closed.to_dict()))) == closed


def test_a_stop_that_would_loosen_is_refused_on_both_sides():
    for side in (1, -1):
        trade = open_trade(side=side)
        with pytest.raises(InvalidInput, match="never loosens"):
            trade.applied(event(trade, Event.STOP_MOVED, stop=trade.stop - 0.5 * side, stop_kind="trail"))


def test_r_stays_whatever_happens_to_the_stop():
    trade = open_trade()
    moved = trade.applied(event(trade, Event.STOP_MOVED, stop=99.5, stop_kind="trail"))
    assert (moved.stop, moved.r_quote, moved.stop_initial) == (99.5, 2.0, 98.0)


def test_an_event_out_of_turn_or_of_another_trade_is_refused():
    trade = open_trade()
    later = dataclasses.replace(event(trade, Event.MANAGED), number=5)
    with pytest.raises(InvalidInput, match=r"expected event 3 .* was 5"):
        trade.applied(later)
    with pytest.raises(InvalidInput, match="was 3 of YUSDT"):
        trade.applied(dataclasses.replace(event(trade, Event.MANAGED), trade_id="YUSDT-1-long"))


def test_a_trade_begins_with_its_plan():
    with pytest.raises(InvalidInput, match="must begin with planned 1, was entry_filled 2"):
        Trade.planned(plan_events()[1])


def test_a_plan_that_was_never_filled_can_be_given_up():
    planned = Trade.planned(plan_events()[0])
    given_up = planned.applied(event(planned, Event.CLOSED_BY_HAND))
    assert (given_up.exit_reason, given_up.r_multiple) == (ExitReason.MANUAL, 0.0)
    with pytest.raises(InvalidInput, match="must be filled, is planned"):
        _ = planned.filled_at


def test_a_closed_trade_takes_no_event():
    trade = open_trade()
    closed = trade.applied(event(trade, Event.CLOSED_BY_HAND, price=101.0, quantity=3.0, fee_quote=0.0))
    with pytest.raises(IllegalTransition):
        closed.applied(event(closed, Event.MANAGED))


def test_the_result_in_r_is_net_of_fees():
    trade = open_trade()
    closed = trade.applied(event(trade, Event.CLOSED_BY_HAND, price=104.0, quantity=3.0, fee_quote=0.6))
    assert closed.r_multiple == pytest.approx((4.0 * 3.0 - 0.6) / (3.0 * 2.0))
