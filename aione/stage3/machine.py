"""The life of a trade as a table: planned -> open -> protected -> closed.

A trade is *protected* once its first target was taken and its stop stands at break-even.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from aione.errors import IllegalTransition


class State(StrEnum):
    """Where a trade stands."""

    PLANNED = "planned"
    OPEN = "open"
    PROTECTED = "protected"
    CLOSED = "closed"


class Event(StrEnum):
    """What can happen to a trade; `PLANNED` creates it and is legal in no state."""

    PLANNED = "planned"
    ENTRY_FILLED = "entry_filled"
    MANAGED = "managed"
    STOP_MOVED = "stop_moved"
    RULES_MOVED = "rules_moved"
    FIRST_TARGET_HIT = "first_target_hit"
    NEXT_TARGET_HIT = "next_target_hit"
    LAST_TARGET_HIT = "last_target_hit"
    STOP_HIT = "stop_hit"
    TRAIL_HIT = "trail_hit"
    TIMED_OUT = "timed_out"
    INVALIDATED = "invalidated"
    DELISTED = "delisted"
    CLOSED_BY_HAND = "closed_by_hand"


class ExitReason(StrEnum):
    """Why a trade is closed.

    A stop at break-even is ``sl``; ``trail`` is a stop that trailing moved; ``delisted`` is a symbol that has left the
    universe, whose trade is closed at the last price there was.
    """

    TP = "tp"
    SL = "sl"
    TRAIL = "trail"
    TIMEOUT = "timeout"
    INVALIDATED = "invalidated"
    DELISTED = "delisted"
    MANUAL = "manual"


EXIT_REASONS: Final[Mapping[Event, ExitReason]] = {
    Event.LAST_TARGET_HIT: ExitReason.TP,
    Event.STOP_HIT: ExitReason.SL,
    Event.TRAIL_HIT: ExitReason.TRAIL,
    Event.TIMED_OUT: ExitReason.TIMEOUT,
    Event.INVALIDATED: ExitReason.INVALIDATED,
    Event.DELISTED: ExitReason.DELISTED,
    Event.CLOSED_BY_HAND: ExitReason.MANUAL,
}
"""The events that close a trade, and the reason that each leaves behind."""

TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = {
    (State.PLANNED, Event.ENTRY_FILLED): State.OPEN,
    (State.PLANNED, Event.TIMED_OUT): State.CLOSED,
    (State.PLANNED, Event.DELISTED): State.CLOSED,
    (State.PLANNED, Event.CLOSED_BY_HAND): State.CLOSED,
    (State.OPEN, Event.MANAGED): State.OPEN,
    (State.OPEN, Event.STOP_MOVED): State.OPEN,
    (State.OPEN, Event.RULES_MOVED): State.OPEN,
    (State.OPEN, Event.FIRST_TARGET_HIT): State.PROTECTED,
    (State.OPEN, Event.LAST_TARGET_HIT): State.CLOSED,
    (State.OPEN, Event.STOP_HIT): State.CLOSED,
    (State.OPEN, Event.TRAIL_HIT): State.CLOSED,
    (State.OPEN, Event.TIMED_OUT): State.CLOSED,
    (State.OPEN, Event.INVALIDATED): State.CLOSED,
    (State.OPEN, Event.DELISTED): State.CLOSED,
    (State.OPEN, Event.CLOSED_BY_HAND): State.CLOSED,
    (State.PROTECTED, Event.MANAGED): State.PROTECTED,
    (State.PROTECTED, Event.STOP_MOVED): State.PROTECTED,
    (State.PROTECTED, Event.RULES_MOVED): State.PROTECTED,
    (State.PROTECTED, Event.NEXT_TARGET_HIT): State.PROTECTED,
    (State.PROTECTED, Event.LAST_TARGET_HIT): State.CLOSED,
    (State.PROTECTED, Event.STOP_HIT): State.CLOSED,
    (State.PROTECTED, Event.TRAIL_HIT): State.CLOSED,
    (State.PROTECTED, Event.TIMED_OUT): State.CLOSED,
    (State.PROTECTED, Event.INVALIDATED): State.CLOSED,
    (State.PROTECTED, Event.DELISTED): State.CLOSED,
    (State.PROTECTED, Event.CLOSED_BY_HAND): State.CLOSED,
}
"""Every legal pair; a plan with a single target goes from open to closed at its last target."""


def step(state: State, event: Event) -> State:
    """Return the next state; raise `IllegalTransition` for any pair not in `TRANSITIONS`.

    Examples
    --------
    >>> step(State.OPEN, Event.FIRST_TARGET_HIT)
    <State.PROTECTED: 'protected'>
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        legal = sorted(known.value for at, known in TRANSITIONS if at is state)
        raise IllegalTransition(f"a trade that is {state} takes {legal or 'no event'}, was given {event}") from None


__all__ = ["EXIT_REASONS", "TRANSITIONS", "Event", "ExitReason", "State", "step"]
