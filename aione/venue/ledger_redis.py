"""`RedisLedger`: one budget for every process of the host, kept in Redis and booked by one script.

1. Whatever this process learns of a window, from Redis or from the exchange's header, its own `LocalLedger` knows too,
   and every hold. A hold is asked for there first: Redis may have lost it, and is told of it again.
2. Where Redis does not answer in time, or answers with an error, the process goes on alone for a second. Of what Redis
   last said was left of the window it takes ``weight_without_redis_frac`` and no more, and nothing beyond the limit as
   far as it knows. Of a window in which Redis said nothing the first request may be heavier than that share.
3. Then it looks again. What was booked alone is added to the shared count, once, before anything is booked there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

import redis.asyncio as aioredis
from redis import exceptions

from aione.store import keys
from aione.store.connect import ANSWER_WITHIN_S
from aione.venue.clock import ServerClock
from aione.venue.ledger import MINUTE_MS, LedgerBase, LocalLedger
from aione.venue.ledger_parts import Booking, BudgetState, Priority, Request, Waiter, hold_length_s
from aione.venue.ledger_scripts import BOOK_LUA, HOLD_LUA, LEAVE_LUA, RAISE_LUA
from aione.venue.weights import Budget
from config.models import VenueParams

log = logging.getLogger(__name__)

TRY_AGAIN_S: Final = 1.0
"""How long a ledger that found no Redis goes on alone before it looks again."""
LEAVE_WITHIN_S: Final = 1.0
"""How long who was cancelled stays to give its place back."""


class RedisLedger(LedgerBase):
    """The ledger that all processes share; see `aione.venue.ledger`, and above for where Redis does not serve.

    Parameters
    ----------
    redis : redis.asyncio.Redis
    params : VenueParams
        Besides those of `LedgerBase`, ``weight_without_redis_frac``.
    clock, sleep : optional
        As `LedgerBase`.

    Notes
    -----
    No error of Redis leaves this class.
    """

    def __init__(
        self,
        redis: aioredis.Redis,
        params: VenueParams,
        *,
        clock: ServerClock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(params, clock=clock, sleep=sleep)
        self.is_alone = False
        self._alone_frac = params.weight_without_redis_frac
        self._own = LocalLedger(params, clock=self.clock, sleep=sleep)
        self._shared: dict[str, tuple[int, int]] = {}  # budget -> window, the last count that Redis gave
        self._spent: dict[Budget, tuple[int, int]] = {}  # budget -> window, booked alone there and not yet handed in
        self._handing_in = asyncio.Lock()
        self._look_at_s = -1.0
        self._redis = redis
        self._book_script = redis.register_script(BOOK_LUA)
        self._leave_script = redis.register_script(LEAVE_LUA)
        self._raise_script = redis.register_script(RAISE_LUA)
        self._hold_script = redis.register_script(HOLD_LUA)

    async def hold(self, seconds: float) -> None:
        """Stop every process for so long; see `WeightLedger.hold`."""
        length_s = hold_length_s(seconds)
        if length_s > 0:
            self._mine().hold_for(length_s)
            await self._share_hold(length_s)

    async def _share_hold(self, seconds: float) -> None:
        async with self._or_alone("holding every request"):
            await self._hold_script(keys=[keys.venue_hold()], args=[max(1, int(1000 * seconds))])

    async def used(self) -> int:
        """Return the weight booked in the current minute by all processes; alone, as far as this one knows."""
        return (await self.state()).used

    async def state(self) -> BudgetState:
        """Return the current minute's budget; alone, what this process knows of it and may book."""
        window = self.clock.now_ms() // MINUTE_MS
        own = self._mine()
        if not self.is_alone:
            async with self._or_alone("reading the weight ledger"):
                async with self._redis.pipeline(transaction=True) as pipe:
                    pipe.get(keys.weight(window))
                    pipe.hgetall(keys.weight_wanted(window + 1))
                    pipe.pttl(keys.venue_hold())
                    used, waiting, hold_ms = await pipe.execute()
                self._learn(self._weight, window, int(used or 0))
                places = {Priority(int(name)): int(weight) for name, weight in waiting.items() if int(weight) > 0}
                hold_s = max(0, hold_ms) / 1000
                return BudgetState(own.count(self._weight, window), self.limit(), places, max(hold_s, own.hold_s))
        return replace(await own.state(), limit=self._limit_alone(self._weight, window, self.limit()), is_alone=True)

    # ── Together ──

    async def _book(self, request: Request) -> Booking:
        own = self._mine()
        is_to_be_left_alone = self.is_alone and self.clock.monotonic_s() < self._look_at_s
        if own.hold_s > 0:
            if not is_to_be_left_alone:
                await self._share_hold(own.hold_s)
            return Booking(is_booked=False, hold_s=own.hold_s)
        if not is_to_be_left_alone:
            async with self._or_alone("reserving request weight"):
                await self._hand_in()
                booking = await self._book_shared(request)
                if self.is_alone:
                    self.is_alone = False
                    log.info("the shared request budget is back")
                return booking
        return self._book_alone(request)

    async def _book_shared(self, request: Request) -> Booking:
        """Ask Redis; who is cancelled meanwhile stays for the answer, which says whether there is a place to leave."""
        asked = asyncio.ensure_future(self._ask(request))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            with suppress(Exception):  # whatever came of it, the caller was cancelled
                async with asyncio.timeout(LEAVE_WITHIN_S):
                    await asked
            raise

    async def _ask(self, request: Request) -> Booking:
        budget, window, waiter, own = request.budget, request.window, request.waiter, self._mine()
        is_weight = budget == self._weight
        names = [keys.venue_hold(), self._count_key(budget, window)]
        if is_weight:
            names += [keys.weight_wanted(window), keys.weight_wanted(window + 1), keys.weight_total()]
            if waiter.keeper is self and waiter.place is not None:
                names.append(keys.weight_wanted(waiter.place))
        known = own.count(budget, window)
        booked, held_ms, used = await self._book_script(
            keys=names, args=[request.weight, request.limit, 2 * budget.window_ms, int(waiter.priority), known]
        )
        if held_ms:
            own.hold_for(held_ms / 1000)
            return Booking(is_booked=False, hold_s=held_ms / 1000)
        self._learn(budget, window, used)
        own.leave(waiter)
        waiter.place, waiter.keeper = (window + 1, self) if is_weight and not booked else (None, None)
        return Booking(is_booked=bool(booked))

    async def _leave(self, waiter: Waiter) -> None:
        self._own.leave(waiter)
        place, is_mine = waiter.place, waiter.keeper is self
        waiter.place = waiter.keeper = None
        if is_mine and place is not None and not self.is_alone:
            async with self._or_alone("giving a place back", LEAVE_WITHIN_S):
                await self._leave_script(keys=[keys.weight_wanted(place)], args=[int(waiter.priority), waiter.weight])

    async def _raise_to(self, window: int, used: int) -> None:
        self._mine().raise_count(self._weight, window, used)
        if not self.is_alone:
            async with self._or_alone("correcting the weight ledger"):
                await self._raise_script(keys=[keys.weight(window)], args=[used, 2 * MINUTE_MS])

    def _learn(self, budget: Budget, window: int, used: int) -> None:
        """Remember what Redis says is used, for when it does not."""
        held, count = self._shared.get(budget.name, (window, 0))
        self._shared[budget.name] = (window, max(used, count) if held == window else used)
        self._mine().raise_count(budget, window, used)

    def _count_key(self, budget: Budget, window: int) -> str:
        return keys.weight(window) if budget == self._weight else keys.request_budget(budget.name, window)

    # ── Alone ──

    def _book_alone(self, request: Request) -> Booking:
        """Book in this process's own small share; see `_limit_alone`."""
        budget, window = request.budget, request.window
        limit = self._limit_alone(budget, window, request.limit, first=request.weight)
        booking = self._mine().book(replace(request, limit=limit))
        if booking.is_booked:
            self._add_spent({budget: (window, request.weight)})
        return booking

    def _limit_alone(self, budget: Budget, window: int, limit: int, *, first: int = 0) -> int:
        """Return up to which count this process may book alone: what others have used, and its share of the rest.

        In a window of which Redis said nothing that is at least the ``first`` request, or it might never be sent.
        """
        told_in, told = self._shared.get(budget.name, (-1, 0))
        booked_in, spent = self._spent.get(budget, (-1, 0))
        spent = spent if booked_in == window else 0
        if told_in == window:
            share = int(self._alone_frac * (limit - told))
        else:
            share = max(int(self._alone_frac * limit), 0 if spent else first)
        return min(limit, self._mine().count(budget, window) - spent + share)

    def _add_spent(self, spent: Mapping[Budget, tuple[int, int]]) -> None:
        for budget, (window, weight) in spent.items():
            held, before = self._spent.get(budget, (window, 0))
            if held <= window:
                self._spent[budget] = (window, weight + (before if held == window else 0))

    async def _hand_in(self) -> None:
        """Add what was booked alone to the shared counts: once, however many callers come back together."""
        async with self._handing_in:
            spent, self._spent = self._spent, {}
            try:
                await self._add_to_shared(spent)
            except BaseException:  # cancelled or refused: it is still to be handed in, rather twice than never
                self._add_spent(spent)
                raise

    async def _add_to_shared(self, spent: Mapping[Budget, tuple[int, int]]) -> None:
        now_ms = self.clock.now_ms()
        counted = {one: weight for one, (window, weight) in spent.items() if window == now_ms // one.window_ms}
        if counted:
            async with self._redis.pipeline(transaction=True) as pipe:
                for budget, weight in counted.items():
                    key = self._count_key(budget, now_ms // budget.window_ms)
                    pipe.incrby(key, weight)
                    pipe.pexpire(key, 2 * budget.window_ms)
                await pipe.execute()
            log.info("used alone, and added to the shared request budget: %s", {b.name: w for b, w in counted.items()})

    def _mine(self) -> LocalLedger:
        self._own.clock = self.clock  # may have been replaced
        return self._own

    @asynccontextmanager
    async def _or_alone(self, doing: str, within_s: float = ANSWER_WITHIN_S) -> AsyncIterator[None]:
        """Go on alone where Redis does not serve, for whatever reason; what follows the block is then done alone."""
        try:
            async with asyncio.timeout(within_s):
                yield
        except (exceptions.RedisError, OSError) as error:
            if not self.is_alone:
                why = str(error) or f"no answer within {within_s:g} s"
                log.warning("the request budget is this process's own for now: Redis, while %s: %s", doing, why)
            self.is_alone = True
            self._look_at_s = self.clock.monotonic_s() + TRY_AGAIN_S


__all__ = ["RedisLedger"]
