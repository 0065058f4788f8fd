"""The words between a weight ledger and who asks it: how urgent, who waits, one try, its outcome, the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from aione.venue.errors_map import LONGEST_BAN_S
from aione.venue.weights import Budget


class Priority(IntEnum):
    """How urgent a request is; the smaller number goes first."""

    HEAL = 0
    """Bars that are missing."""
    SCREEN = 1
    """What a cycle or a person waits for."""
    REFRESH = 2
    """Universe, context, verification: what may come a minute later."""


@dataclass(frozen=True, slots=True)
class BudgetState:
    """The request weight of the current minute, for people.

    Attributes
    ----------
    used, limit : int
        Booked, and up to where this process may book; alone, as far as it knows.
    waiting : mapping Priority -> int
        Weight that waits for the next minute.
    hold_s : float
        How long every request is still on hold; 0 is not at all.
    is_alone : bool
        The shared ledger does not answer, and this process keeps to a small budget of its own.
    """

    used: int
    limit: int
    waiting: Mapping[Priority, int] = field(default_factory=dict)
    hold_s: float = 0.0
    is_alone: bool = False


@dataclass(slots=True, eq=False)
class Waiter:
    """Who wants to book, from its first try to its last.

    Attributes
    ----------
    place : int or None
        The minute in which a place is kept for it.
    keeper : object or None
        The ledger that keeps the place; only that one can take it back.
    """

    weight: int
    priority: Priority
    place: int | None = None
    keeper: object | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One try to book in one window; ``limit`` is that of the window, for the waiter's priority."""

    budget: Budget
    window: int
    limit: int
    waiter: Waiter

    @property
    def weight(self) -> int:
        """Return what is to be booked."""
        return self.waiter.weight


@dataclass(frozen=True, slots=True)
class Booking:
    """The outcome of one try: booked, or how long there is a hold, or neither: the window is full."""

    is_booked: bool
    hold_s: float = 0.0


def hold_length_s(seconds: float) -> float:
    """Return a hold that makes sense: 0 for what is no length of time, and never more than `LONGEST_BAN_S`."""
    return min(seconds, LONGEST_BAN_S) if seconds > 0 else 0.0


__all__ = ["Booking", "BudgetState", "Priority", "Request", "Waiter", "hold_length_s"]
