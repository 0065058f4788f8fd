"""Which signal becomes a trade, and how large."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione.errors import InvalidInput
from aione.stage3.book import TradeBook
from aione.stage3.machine import Event
from aione.stage3.plan import REFUSALS, Candidate, is_ordered, refusal, same_move, size_by_risk
from aione.stage3.trade import TradeEvent
from config.models import Stage3Params

from .conftest import MINUTE, T0, plan_events

GOOD = Candidate(
    symbol="XUSDT",
    side=1,
    bar_ms=T0,
    entry=100.0,
    stop=98.0,
    targets=(102.0, 104.0, 106.0),
    confidence=0.5,
    min_confidence=0.35,
    age_ms=5_000.0,
    corr_btc=0.5,
    step_size=0.01,
    min_notional=5.0,
)
NAN = float("nan")


def book_of(*symbols: str, closed: bool = False, **over) -> TradeBook:
    book = TradeBook()
    for symbol in symbols:
        events = plan_events(symbol, **over)
        if closed:
            facts = {"price": 100.0, "quantity": 3.0, "fee_quote": 0.0}
            trade_id = events[0].trade_id
            events.append(TradeEvent(trade_id, 3, T0 + 2 * MINUTE, Event.CLOSED_BY_HAND, facts))
        for event in events:
            book.apply(event)
    return book


def test_a_good_signal_may_enter():
    assert refusal(GOOD, TradeBook(), Stage3Params()) is None


@pytest.mark.parametrize(
    ("change", "book", "reason"),
    [
        ({}, book_of("XUSDT"), "already_traded"),
        ({"bar_ms": T0 + MINUTE}, book_of("XUSDT"), "open_trade_of_symbol"),
        ({"confidence": 0.34}, TradeBook(), "low_confidence"),
        ({"confidence": NAN}, TradeBook(), "low_confidence"),
        ({"age_ms": 180_001.0}, TradeBook(), "stale_data"),
        ({"age_ms": NAN}, TradeBook(), "stale_data"),
        ({"bar_ms": T0 + 20 * MINUTE}, book_of("XUSDT", closed=True), "cooldown"),
        ({"bar_ms": T0 + 32 * MINUTE}, book_of("XUSDT", closed=True), None),
        ({}, book_of(*(f"{at}USDT" for at in range(8)), corr_btc=0.0), "max_open"),
        ({"corr_btc": 0.9}, book_of("AUSDT", "BUSDT", "CUSDT"), "correlation_cap"),
        ({"corr_btc": 0.9}, book_of("AUSDT", "BUSDT"), None),
        ({"corr_btc": 0.5}, book_of("AUSDT", "BUSDT", "CUSDT"), None),
        ({"stop": 101.0}, TradeBook(), "bad_plan"),
        ({"targets": (102.0, NAN, 106.0)}, TradeBook(), "bad_plan"),
        ({"targets": ()}, TradeBook(), "bad_plan"),
        ({"min_notional": 5_000.0}, TradeBook(), "below_min_notional"),
        ({"step_size": 1_000.0}, TradeBook(), "below_min_notional"),
    ],
)
def test_a_signal_is_refused_for_a_reason(change, book, reason):
    assert refusal(replace(GOOD, **change), book, Stage3Params()) == reason


def test_every_reason_is_tested_above():
    mark = test_a_signal_is_refused_for_a_reason.pytestmark[0]
    assert {reason for _, _, reason in mark.args[1]} - {None} == set(REFUSALS)


def test_a_short_of_an_opposite_symbol_rides_the_same_move():
    book = book_of("AUSDT", "BUSDT", "CUSDT")
    assert same_move(replace(GOOD, side=-1, corr_btc=-0.9), book, Stage3Params()) == 3
    assert same_move(replace(GOOD, side=-1, corr_btc=0.9), book, Stage3Params()) == 0


def test_an_unknown_correlation_counts_as_full():
    assert same_move(replace(GOOD, corr_btc=NAN), book_of("AUSDT"), Stage3Params()) == 1
    assert same_move(replace(GOOD, corr_btc=0.9), book_of("AUSDT", corr_btc=None), Stage3Params()) == 1


@given(
    st.floats(0.001, 90_000),
    st.floats(0.001, 0.2),
    st.sampled_from([1, -1]),
    st.sampled_from([0.001, 0.1, 1.0, NAN]),
    st.floats(0, 100),
)
def test_the_risk_is_never_above_the_budget(entry, stop_frac, side, step, least):
    params = Stage3Params()
    stop = entry * (1 - side * stop_frac)
    quantity = size_by_risk(entry, stop, step, least, params)
    assert quantity * abs(entry - stop) <= params.risk_frac * params.equity_quote * (1 + 1e-8)
    assert quantity == 0 or quantity * entry >= least


@pytest.mark.parametrize(("entry", "stop"), [(100.0, 100.0), (NAN, 98.0), (100.0, -1.0)])
def test_a_size_needs_two_prices(entry, stop):
    with pytest.raises(InvalidInput, match="must be different positive prices"):
        size_by_risk(entry, stop, 0.1, 0.0, Stage3Params())


def test_order_is_of_the_side():
    assert is_ordered(1, 100.0, 99.0, (101.0, 102.0))
    assert is_ordered(-1, 100.0, 101.0, (99.0, 98.0))
    assert not is_ordered(-1, 100.0, 99.0, (101.0, 102.0))
    assert not is_ordered(1, 100.0, 99.0, (102.0, 101.0))


def test_the_same_signal_has_the_same_id():
    assert GOOD.trade_id == f"XUSDT-{T0}-long"
    assert replace(GOOD, side=-1).trade_id == f"XUSDT-{T0}-short"
