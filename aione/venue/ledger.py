"""The weight ledger: nobody sends before the exchange's budget has room, everybody holds when it says so.

1. A request reserves its weight in the current window of its budget; a window is a whole UTC minute (five for the
   budgets counted in requests). A share of the budget is never used, for what others at this address send.
2. A full window makes the caller wait for the next one.
3. The exchange's own count, from a reply's header, can only raise ours, and only in the window it was made for.
4. A hold stops every caller until it is over; one longer than anybody should wait is raised as `RateLimited`.

`LocalLedger` is for one process alone; `aione.venue.ledger_redis.RedisLedger` is shared by all processes of a host.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from aione.errors import InvalidInput, RateLimited
from aione.venue.clock import ServerClock
from aione.venue.weights import Budget
from config.models import VenueParams

MINUTE_MS: Final = 60_000
LONGEST_HOLD_S: Final = 90.0
WAKE_SPREAD_S: Final = 0.25


class WeightLedger(Protocol):
    """Who may send, and when; implemented by `LocalLedger` and `RedisLedger`."""

    clock: ServerClock
    """The clock that the exchange counts its windows by; the client sets it right."""

    async def reserve(self, weight: int, budget: Budget | None = None) -> int:
        """Wait until ``weight`` fits, book it, and return the number of the window it was booked in.

        Parameters
        ----------
        weight : int
            Request weight, or 1 for a budget that counts requests.
        budget : Budget, optional
            The request weight of a minute by default.

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
        ``weight_per_minute`` and ``weight_reserve_frac``.
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
        self._sleep = sleep

    def limit(self, budget: Budget | None = None) -> int:
        """Return how much of a budget may be used in one window."""
        return int((budget or self._weight).limit * self._usable_frac)

    async def reserve(self, weight: int, budget: Budget | None = None) -> int:
        """Wait until ``weight`` fits and book it; see `WeightLedger.reserve`."""
        budget = budget or self._weight
        limit = self.limit(budget)
        if not 1 <= weight <= limit:
            raise InvalidInput(f"weight must be in 1..{limit}, what {budget.name} has in a window, was {weight}")
        while True:
            now_ms = self.clock.now_ms()
            window = now_ms // budget.window_ms
            booking = await self._book(budget, window, weight, limit)
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
    async def _book(self, budget: Budget, window: int, weight: int, limit: int) -> Booking: ...

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
        self._held_until_s = 0.0

    async def hold(self, seconds: float) -> None:
        """Stop every caller for so long; see `WeightLedger.hold`."""
        self._held_until_s = max(self._held_until_s, self.clock.monotonic_s() + seconds)

    async def used(self) -> int:
        """Return the weight booked in the current minute."""
        return self._count(self._weight.name, self.clock.now_ms() // MINUTE_MS)

    async def _book(self, budget: Budget, window: int, weight: int, limit: int) -> Booking:
        hold_s = self._held_until_s - self.clock.monotonic_s()
        if hold_s > 0:
            return Booking(is_booked=False, hold_s=hold_s)
        count = self._count(budget.name, window)
        if count + weight > limit:
            return Booking(is_booked=False)
        self._counts[budget.name] = (window, count + weight)
        return Booking(is_booked=True)

    async def _raise_to(self, window: int, used: int) -> None:
        self._counts[self._weight.name] = (window, max(used, self._count(self._weight.name, window)))

    def _count(self, name: str, window: int) -> int:
        held, count = self._counts.get(name, (window, 0))
        return count if held == window else 0


__all__ = ["LONGEST_HOLD_S", "Booking", "LedgerBase", "LocalLedger", "WeightLedger"]
