"""`RedisLedger`: one budget for every process of the host, kept in Redis and booked by one script."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import redis.asyncio as aioredis

from aione.errors import ServiceUnavailable
from aione.store import keys
from aione.store.connect import redis_errors
from aione.venue.clock import ServerClock
from aione.venue.ledger import MINUTE_MS, Booking, BudgetState, LedgerBase, LocalLedger, Priority, Request
from config.models import VenueParams

log = logging.getLogger(__name__)

# KEYS: count, hold, and for request weight the places of this window, those of the next, the total.
# ARGV: weight, limit, TTL in ms, priority, whether a place was booked ahead.
# Returns {1, 0} when booked, {0, ms of hold} when on hold, {0, 0} when the window is full.
_BOOK_LUA: Final = """
local held = redis.call('PTTL', KEYS[2])
if held > 0 then return {0, held} end
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
local weight, priority, ahead = tonumber(ARGV[1]), tonumber(ARGV[4]), 0
if KEYS[3] then
  for p = 0, priority - 1 do ahead = ahead + tonumber(redis.call('HGET', KEYS[3], p) or '0') end
end
if used + ahead + weight > tonumber(ARGV[2]) then
  if KEYS[4] then
    redis.call('HINCRBY', KEYS[4], priority, weight)
    redis.call('PEXPIRE', KEYS[4], ARGV[3])
  end
  return {0, 0}
end
if KEYS[3] and ARGV[5] == '1' then redis.call('HINCRBY', KEYS[3], priority, -weight) end
redis.call('INCRBY', KEYS[1], weight)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if KEYS[5] then redis.call('INCRBY', KEYS[5], weight) end
return {1, 0}
"""

_RAISE_LUA: Final = """
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
"""

_HOLD_LUA: Final = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
end
"""


TRY_AGAIN_S: Final = 1.0
"""How long a ledger that found no Redis goes on alone before it looks again."""


class RedisLedger(LedgerBase):
    """The ledger that all processes share; see `aione.venue.ledger`.

    Parameters
    ----------
    redis : redis.asyncio.Redis
    params : VenueParams
        Besides those of `LedgerBase`, ``weight_without_redis_frac``.
    clock, sleep : optional
        As `LedgerBase`.

    Notes
    -----
    Where Redis does not answer, this process goes on alone with ``weight_without_redis_frac`` of the budget, keeps the
    holds that it knows of, and looks for Redis again every second; what it has booked meanwhile is added to the shared
    count when Redis is back. Nothing here raises `ServiceUnavailable`.
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
        self._params = params
        self._alone_frac = params.weight_without_redis_frac
        self._own = LocalLedger(params, clock=self.clock, sleep=sleep)
        self._look_at_s = -1.0
        self._redis = redis
        self._book_script = redis.register_script(_BOOK_LUA)
        self._raise_script = redis.register_script(_RAISE_LUA)
        self._hold_script = redis.register_script(_HOLD_LUA)

    async def hold(self, seconds: float) -> None:
        """Stop every process for so long; see `WeightLedger.hold`."""
        if seconds > 0:
            await self._mine().hold(seconds)
            with self._or_alone("holding every request"):
                await self._hold_script(keys=[keys.venue_hold()], args=[max(1, int(1000 * seconds))])

    async def used(self) -> int:
        """Return the weight booked in the current minute by all processes; alone, by this one."""
        return (await self.state()).used

    async def state(self) -> BudgetState:
        """Return the current minute's budget; alone, this process's."""
        window = self.clock.now_ms() // MINUTE_MS
        if not self._is_to_be_left_alone():
            with self._or_alone("reading the weight ledger"):
                async with self._redis.pipeline(transaction=True) as pipe:
                    pipe.get(keys.weight(window))
                    pipe.hgetall(keys.weight_wanted(window + 1))
                    pipe.pttl(keys.venue_hold())
                    used, waiting, hold_ms = await pipe.execute()
                places = {Priority(int(name)): int(weight) for name, weight in waiting.items() if int(weight) > 0}
                return BudgetState(int(used or 0), self.limit(), places, max(0, hold_ms) / 1000, self.is_alone)
        own = await self._mine().state()
        return replace(own, limit=int(own.limit * self._alone_frac), is_alone=True)

    async def _book(self, request: Request) -> Booking:
        if not self._is_to_be_left_alone():
            with self._or_alone("reserving request weight"):
                await self._come_back()
                booking = await self._book_shared(request)
                if booking.hold_s:
                    await self._mine().hold(booking.hold_s)  # still known should Redis go away
                return booking
        return self._book_alone(request)

    async def _book_shared(self, request: Request) -> Booking:
        budget, window = request.budget, request.window
        is_weight = budget == self._weight
        names = [keys.weight(window) if is_weight else keys.request_budget(budget.name, window), keys.venue_hold()]
        if is_weight:
            names += [keys.weight_wanted(window), keys.weight_wanted(window + 1), keys.weight_total()]
        booked, held_ms = await self._book_script(
            keys=names,
            args=[request.weight, request.limit, 2 * budget.window_ms, int(request.priority), int(request.has_place)],
        )
        return Booking(is_booked=bool(booked), hold_s=held_ms / 1000)

    def _book_alone(self, request: Request) -> Booking:
        """Book in this process's own small budget; the first request of a window always fits."""
        own = self._mine()
        limit = max(
            int(request.limit * self._alone_frac), own.count(request.budget, request.window) == 0 and request.weight
        )
        return own.book(replace(request, limit=limit))

    async def _come_back(self) -> None:
        """Add what was booked alone to the shared count, once Redis answers again."""
        if self.is_alone:
            window = self.clock.now_ms() // MINUTE_MS
            own = self._mine()
            spent = own.count(self._weight, window)
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.incrby(keys.weight(window), spent)
                pipe.pexpire(keys.weight(window), 2 * MINUTE_MS)
                await pipe.execute()
            if own.hold_s > 0:
                await self._hold_script(keys=[keys.venue_hold()], args=[max(1, int(1000 * own.hold_s))])
            self._own = LocalLedger(self._params, clock=self.clock)
            self.is_alone = False
            log.info("the shared request budget is back; %d weight was used alone this minute", spent)

    async def _raise_to(self, window: int, used: int) -> None:
        if not self._is_to_be_left_alone():
            with self._or_alone("correcting the weight ledger"):
                await self._raise_script(keys=[keys.weight(window)], args=[used, 2 * MINUTE_MS])

    # ── Alone ──

    def _mine(self) -> LocalLedger:
        self._own.clock = self.clock  # may have been replaced
        return self._own

    def _is_to_be_left_alone(self) -> bool:
        return self.is_alone and self.clock.monotonic_s() < self._look_at_s

    @contextmanager
    def _or_alone(self, doing: str) -> Iterator[None]:
        """Go on alone where Redis does not answer; what follows the block is then done alone."""
        try:
            with redis_errors(doing):
                yield
        except ServiceUnavailable as error:
            if not self.is_alone:
                log.warning("the request budget is this process's own for now: %s", error)
            self.is_alone = True
            self._look_at_s = self.clock.monotonic_s() + TRY_AGAIN_S


__all__ = ["RedisLedger"]
