"""The weight ledger: nobody sends before the exchange's budget has room, everybody holds when it says so.

1. A request reserves its weight in the current window of its budget; a window is a whole UTC minute (five for the
   budgets counted in requests). A share of the budget is never used, for what others at this address send.
2. A full window makes the caller wait for the next one. Whoever waits for request weight has a place there, and what
   is less urgent leaves it free (`Priority`); who stops waiting gives it back. Refreshes never take a minute whole, so
   healing finds room at once.
3. The exchange's own count, from a reply's header, can only raise ours, and only in the window it was made for.
4. A hold stops every caller until it is over; one longer than anybody should wait is raised as `RateLimited`.

`LocalLedger` is for one process alone; `aione.venue.ledger_redis.RedisLedger` is shared by all processes of a host.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from aione.errors import InvalidInput, RateLimited
from aione.venue.clock import ServerClock
from aione.venue.ledger_parts import Booking, BudgetState, Priority, Request, Waiter, hold_length_s
from aione.venue.weights import Budget
from config.models import VenueParams

MINUTE_MS: Final = 60_000
LONGEST_HOLD_S: Final = 90.0
WAKE_SPREAD_S: Final = 0.25


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
        waiter = Waiter(weight, priority)
        try:
            return await self._wait(waiter, budget, limit)
        except (asyncio.CancelledError, Exception):
            if waiter.place is not None:
                await self._leave(waiter)
            raise

    async def _wait(self, waiter: Waiter, budget: Budget, limit: int) -> int:
        while True:
            now_ms = self.clock.now_ms()
            window = now_ms // budget.window_ms
            booking = await self._book(Request(budget, window, limit, waiter))
            if booking.is_booked:
                return window
            if booking.hold_s > LONGEST_HOLD_S:
                raise RateLimited(
                    f"every request is on hold for another {booking.hold_s:.0f} s, as the exchange asked",
                    booking.hold_s,
                )
            wait_s = booking.hold_s or (budget.window_ms - now_ms % budget.window_ms) / 1000
            await self._sleep(wait_s + random.uniform(0, WAKE_SPREAD_S))  # noqa: S311  # spreads the wake-up

    async def observe(self, used: int, window: int | None = None) -> None:
        """Raise the minute's count to the exchange's; see `WeightLedger.observe`."""
        current = self.clock.now_ms() // MINUTE_MS
        if window is None or window == current:
            await self._raise_to(current, used)

    @abstractmethod
    async def _book(self, request: Request) -> Booking:
        """Try to book, and keep the waiter's place up to date: none once booked, the next minute where this is full."""

    @abstractmethod
    async def _leave(self, waiter: Waiter) -> None:
        """Give a place back, soon and without an error: its waiter has been cancelled or failed."""

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
        self._counts: dict[str, Counter[int]] = {}
        self._places: dict[int, Counter[Priority]] = {}
        self._held_until_s = 0.0

    async def hold(self, seconds: float) -> None:
        """Stop every caller for so long; see `WeightLedger.hold`."""
        self.hold_for(seconds)

    def hold_for(self, seconds: float) -> None:
        """Stop every caller for so long, at once."""
        self._held_until_s = max(self._held_until_s, self.clock.monotonic_s() + hold_length_s(seconds))

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
        return BudgetState(await self.used(), self.limit(), dict(+waiting), self.hold_s)

    async def _book(self, request: Request) -> Booking:
        return self.book(request)

    def book(self, request: Request) -> Booking:
        """Try to book; at once, without waiting."""
        if self.hold_s > 0:
            return Booking(is_booked=False, hold_s=self.hold_s)
        is_weight = request.budget == self._weight
        places = self._places.get(request.window, Counter()) if is_weight else Counter()
        ahead = sum(weight for priority, weight in places.items() if priority < request.waiter.priority)
        count = self.count(request.budget, request.window)
        if count + ahead + request.weight > request.limit:
            if is_weight:
                self._keep_place(request.waiter, request.window + 1)
            return Booking(is_booked=False)
        self.leave(request.waiter)
        self.raise_count(request.budget, request.window, count + request.weight)
        return Booking(is_booked=True)

    def _keep_place(self, waiter: Waiter, window: int) -> None:
        """Give a waiter its one place in a window; those of windows far from it are forgotten."""
        self.leave(waiter)
        for number in [number for number in self._places if abs(number - window) > 1]:
            del self._places[number]
        self._places.setdefault(window, Counter())[waiter.priority] += waiter.weight
        waiter.place, waiter.keeper = window, self

    async def _leave(self, waiter: Waiter) -> None:
        self.leave(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Take a waiter's place back, if it is one of this ledger's."""
        if waiter.keeper is self and waiter.place is not None:
            if waiter.place in self._places:
                self._places[waiter.place][waiter.priority] -= waiter.weight
            waiter.place = waiter.keeper = None

    async def _raise_to(self, window: int, used: int) -> None:
        self.raise_count(self._weight, window, used)

    def raise_count(self, budget: Budget, window: int, used: int) -> None:
        """Take it that so much of a window is used; a count never falls, and is kept while its window is near."""
        counts = self._counts.get(budget.name, Counter())
        near = Counter({number: count for number, count in counts.items() if abs(number - window) <= 1})
        near[window] = max(near[window], used)
        self._counts[budget.name] = near

    def count(self, budget: Budget, window: int) -> int:
        """Return what is known to be used of a budget in a window near the current one."""
        return self._counts.get(budget.name, Counter())[window]


__all__ = [
    "LONGEST_HOLD_S",
    "BudgetState",
    "LedgerBase",
    "LocalLedger",
    "Priority",
    "WeightLedger",
]
