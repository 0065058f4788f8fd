"""The book: rebuilt from events, deaf to repetition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione.errors import InvalidInput
from aione.stage3.book import TradeBook
from aione.stage3.machine import Event
from aione.stage3.trade import TradeEvent

from .conftest import T0, plan_events


def life(symbol: str, planned_ms: int = T0, *, close: bool = True) -> list[TradeEvent]:
    events = plan_events(symbol, planned_ms=planned_ms)
    trade_id = events[0].trade_id
    events.append(TradeEvent(trade_id, 3, planned_ms + 120_000, Event.STOP_MOVED, {"stop": 99.0, "stop_kind": "trail"}))
    if close:
        facts = {"price": 99.0, "quantity": 3.0, "fee_quote": 0.0}
        events.append(TradeEvent(trade_id, 4, planned_ms + 180_000, Event.TRAIL_HIT, facts))
    return events


def state(book: TradeBook) -> list[dict]:
    return [trade.to_dict() for trade in (*book.closed, *book.open.values())]


def test_a_replay_rebuilds_the_book():
    events = [*life("AUSDT"), *life("BUSDT", close=False)]
    book = TradeBook.from_events(events)
    assert list(book.open) == ["BUSDT"]
    assert [trade.symbol for trade in book.closed] == ["AUSDT"]
    assert book.last_closed_ms("AUSDT") == T0 + 180_000
    assert book.last_closed_ms("BUSDT") is None
    assert book.has(f"AUSDT-{T0}-long")
    assert not book.has("nobody")


@given(st.lists(st.integers(0, 8), max_size=20))
def test_events_seen_before_change_nothing(again):
    events = [*life("AUSDT"), *life("BUSDT"), life("CUSDT")[0]]
    book = TradeBook.from_events(events)
    before = state(book)
    for at in again:
        assert book.apply(events[at]) is False
    assert state(book) == before


def test_a_missing_event_is_refused():
    events = life("AUSDT")
    with pytest.raises(InvalidInput, match=r"expected event 2 .* was 3"):
        TradeBook.from_events([events[0], events[2]])
    with pytest.raises(InvalidInput, match="must begin with planned"):
        TradeBook.from_events(events[1:])


def test_a_symbol_has_one_open_trade():
    with pytest.raises(InvalidInput, match="AUSDT may have one open trade"):
        TradeBook.from_events([*life("AUSDT", close=False), *life("AUSDT", T0 + 60_000)])


def test_a_copy_lives_on_its_own():
    book = TradeBook.from_events(life("AUSDT", close=False))
    copy = book.copy()
    copy.apply(life("AUSDT")[3])
    assert list(book.open) == ["AUSDT"]
    assert not copy.open
    assert state(TradeBook.from_events(life("AUSDT"))) == state(copy)
