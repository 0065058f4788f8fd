"""The weight ledger: nobody sends before the exchange's budget has room, everybody holds when it says so.

1. A request reserves its weight in the current window of its budget; a window is a whole UTC minute (five for the
   budgets counted in requests). A share of the budget is never used, for what others at this address send.
2. A full window makes the caller wait for the next one. Whoever waits for request weight books its place there, and
   what is less urgent leaves it free (`Priority`). Refreshes never take a minute whole, so healing finds room at once.
3. The exchange's own count, from a reply's header, can only raise ours, and only in the window it was made for.
4. A hold stops every caller until it is over; one longer than anybody should wait is raised as `RateLimited`.

`LocalLedger` is for one process alone; `aione.venue.ledger_redis.RedisLedger` is shared by all processes of a host.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Protocol

from aione.errors import InvalidInput, RateLimited
from aione.venue.clock import ServerClock
from aione.venue.weights import Budget
from config.models import VenueParams

MINUTE_MS: Final = 60_000
LONGEST_HOLD_S: Final = 90.0
WAKE_SPREAD_S: Final = 0.25


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
        Booked, and what may be booked at the most.
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


class WeightLedger(Protocol):
    """Who may send, and when; implemented by `LocalLedger` and `RedisLedger`."""

    clock: ServerClock
    """The clock that the exchange counts its windows by; the client sets it right."""

    async def reserve(self, weight: int, budget: Budget | None = None, *, priority: Priority = Priority.SCREEN) -> int:
        """Wait until ``weight`` fits, book it, and return the number of the window it was booked in.

        Parameters
        ----------
        weight : int
            Request weight, or 1 for a budget that counts requests.
        budget : Budget, optional
            The request weight of a minute by default.
        priority : Priority
            Only the request weight has an order; the other budgets are first come, first served.

        Raises
        ------
        RateLimited
            A hold that lasts longer than `LONGEST_HOLD_S`.
        InvalidInput
            A weight below 1, or above what the budget ever has.
        """

    async def observe(self, used: int, window: int | None = None) -> None:
        """Take the exchange's own count of the minute's weight; ``window`` is what `reserve` returned."""

    async def hold(self, seconds: float) -> None:
        """Stop every caller for so long; a hold is never shortened."""

    async def used(self) -> int:
        """Return the weight booked in the current minute."""

    async def state(self) -> BudgetState:
        """Return the current minute's budget."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be booked in one window.

    Attributes
    ----------
    limit : int
        Of the window, for this priority.
    has_place : bool
        A place in this window was booked ahead when the one before was full.
    """

    budget: Budget
    window: int
    weight: int
    limit: int
    priority: Priority
    has_place: bool = False


@dataclass(frozen=True, slots=True)
class Booking:
    """The outcome of one try: booked, or how long there is a hold, or neither: the window is full."""

    is_booked: bool
    hold_s: float = 0.0


class LedgerBase(ABC):
    """The waiting, the same for every ledger; where the counts live is the subclass's.

    Parameters
    ----------
    params : VenueParams
        ``weight_per_minute``, ``weight_reserve_frac`` and ``refresh_share_frac``.
    clock : ServerClock, optional
    sleep : async callable
        Replaced in tests.
    """

    def __init__(
        self,
        params: VenueParams,
        *,
        clock: ServerClock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.clock = clock or ServerClock()
        self._weight = Budget("weight", params.weight_per_minute, MINUTE_MS)
        self._usable_frac = 1.0 - params.weight_reserve_frac
        self._refresh_share = params.refresh_share_frac
        self._sleep = sleep

    def limit(self, budget: Budget | None = None, priority: Priority = Priority.HEAL) -> int:
        """Return how much of a budget may be used in one window by requests of a priority."""
        share = self._refresh_share if budget is None and priority is Priority.REFRESH else 1.0
        return int((budget or self._weight).limit * self._usable_frac * share)

    async def reserve(self, weight: int, budget: Budget | None = None, *, priority: Priority = Priority.SCREEN) -> int:
        """Wait until ``weight`` fits and book it; see `WeightLedger.reserve`."""
        limit = self.limit(budget, priority)
        budget = budget or self._weight
        if not 1 <= weight <= limit:
            raise InvalidInput(f"weight must be in 1..{limit}, what {budget.name} has in a window, was {weight}")
        full_window = -1
        while True:
            now_ms = self.clock.now_ms()
            window = now_ms // budget.window_ms
            booking = await self._book(Request(budget, window, weight, limit, priority, window == full_window + 1))
            if booking.is_booked:
                return window
            if booking.hold_s > LONGEST_HOLD_S:
                raise RateLimited(
                    f"every request is on hold for another {booking.hold_s:.0f} s, as the exchange asked",
                    booking.hold_s,
                )
            if not booking.hold_s:
                full_window = window
            wait_s = booking.hold_s or (budget.window_ms - now_ms % budget.window_ms) / 1000
            await self._sleep(wait_s + random.uniform(0, WAKE_SPREAD_S))  # noqa: S311  # spreads the wake-up

    async def observe(self, used: int, window: int | None = None) -> None:
        """Raise the minute's count to the exchange's; see `WeightLedger.observe`."""
        current = self.clock.now_ms() // MINUTE_MS
        if window is None or window == current:
            await self._raise_to(current, used)

    @abstractmethod
    async def _book(self, request: Request) -> Booking: ...

    @abstractmethod
    async def _raise_to(self, window: int, used: int) -> None: ...


class LocalLedger(LedgerBase):
    """A ledger of this process alone, for where there is no Redis.

    Examples
    --------
    >>> ledger = LocalLedger(VenueParams())
    >>> async def spend():
    ...     await ledger.reserve(5)
    ...     await ledger.reserve(40)
    ...     return await ledger.used()
    >>> asyncio.run(spend())
    45
    """

    def __init__(
        self,
        params: VenueParams,
        *,
        clock: ServerClock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(params, clock=clock, sleep=sleep)
        self._counts: dict[str, tuple[int, int]] = {}
        self._places: dict[int, Counter[Priority]] = {}
        self._held_until_s = 0.0

    async def hold(self, seconds: float) -> None:
        """Stop every caller for so long; see `WeightLedger.hold`."""
        self._held_until_s = max(self._held_until_s, self.clock.monotonic_s() + seconds)

    @property
    def hold_s(self) -> float:
        """Return how long a hold still lasts; 0 without one."""
        return max(0.0, self._held_until_s - self.clock.monotonic_s())

    async def used(self) -> int:
        """Return the weight booked in the current minute."""
        return self.count(self._weight, self.clock.now_ms() // MINUTE_MS)

    async def state(self) -> BudgetState:
        """Return the current minute's budget."""
        waiting = self._places.get(self.clock.now_ms() // MINUTE_MS + 1, Counter())
        return BudgetState(await self.used(), self.limit(), dict(waiting), self.hold_s)

    async def _book(self, request: Request) -> Booking:
        return self.book(request)

    def book(self, request: Request) -> Booking:
        """Try to book; at once, without waiting."""
        if self.hold_s > 0:
            return Booking(is_booked=False, hold_s=self.hold_s)
        is_weight = request.budget == self._weight
        places = self._places.get(request.window, Counter()) if is_weight else Counter()
        ahead = sum(weight for priority, weight in places.items() if priority < request.priority)
        count = self.count(request.budget, request.window)
        if count + ahead + request.weight > request.limit:
            if is_weight:
                for window in [window for window in self._places if window < request.window]:
                    del self._places[window]
                self._places.setdefault(request.window + 1, Counter())[request.priority] += request.weight
            return Booking(is_booked=False)
        if request.has_place:
            places[request.priority] -= request.weight
        self._counts[request.budget.name] = (request.window, count + request.weight)
        return Booking(is_booked=True)

    async def _raise_to(self, window: int, used: int) -> None:
        self._counts[self._weight.name] = (window, max(used, self.count(self._weight, window)))

    def count(self, budget: Budget, window: int) -> int:
        """Return what was booked of a budget in a window, if it is the last one that was booked in."""
        held, count = self._counts.get(budget.name, (window, 0))
        return count if held == window else 0


__all__ = [
    "LONGEST_HOLD_S",
    "Booking",
    "BudgetState",
    "LedgerBase",
    "LocalLedger",
    "Priority",
    "Request",
    "WeightLedger",
]
