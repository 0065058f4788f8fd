"""Stage3: paper trades as an event-sourced state machine. Pure: no I/O, no clock."""

from aione.stage3.book import TradeBook
from aione.stage3.machine import TRANSITIONS, Event, ExitReason, State, step
from aione.stage3.step import step_trades, why_not_opened
from aione.stage3.trade import Trade, TradeEvent

__all__ = [
    "TRANSITIONS",
    "Event",
    "ExitReason",
    "State",
    "Trade",
    "TradeBook",
    "TradeEvent",
    "step",
    "step_trades",
    "why_not_opened",
]
