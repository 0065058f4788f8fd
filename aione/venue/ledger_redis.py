"""`RedisLedger`: one budget for every process of the host, kept in Redis and booked by one script."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import redis.asyncio as aioredis

from aione.store import keys
from aione.store.connect import redis_errors
from aione.venue.clock import ServerClock
from aione.venue.ledger import MINUTE_MS, Booking, LedgerBase
from aione.venue.weights import Budget
from config.models import VenueParams

# Returns {1, 0} when booked, {0, ms of hold} when on hold, {0, 0} when the window is full.
_BOOK_LUA: Final = """
local held = redis.call('PTTL', KEYS[2])
if held > 0 then return {0, held} end
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
local weight = tonumber(ARGV[1])
if used + weight > tonumber(ARGV[2]) then return {0, 0} end
redis.call('INCRBY', KEYS[1], weight)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if KEYS[3] then redis.call('INCRBY', KEYS[3], weight) end
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


class RedisLedger(LedgerBase):
    """The ledger that all processes share; see `aione.venue.ledger`.

    Parameters
    ----------
    redis : redis.asyncio.Redis
    params : VenueParams
    clock, sleep : optional
        As `LedgerBase`.

    Notes
    -----
    Every method raises `ServiceUnavailable` when Redis does not answer: without the ledger nothing is sent.
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
        self._redis = redis
        self._book_script = redis.register_script(_BOOK_LUA)
        self._raise_script = redis.register_script(_RAISE_LUA)
        self._hold_script = redis.register_script(_HOLD_LUA)

    async def hold(self, seconds: float) -> None:
        """Stop every process for so long; see `WeightLedger.hold`."""
        if seconds > 0:
            with redis_errors("holding every request"):
                await self._hold_script(keys=[keys.venue_hold()], args=[max(1, int(1000 * seconds))])

    async def used(self) -> int:
        """Return the weight booked in the current minute by all processes."""
        with redis_errors("reading the weight ledger"):
            return int(await self._redis.get(keys.weight(self.clock.now_ms() // MINUTE_MS)) or 0)

    async def _book(self, budget: Budget, window: int, weight: int, limit: int) -> Booking:
        is_weight = budget == self._weight
        names = [keys.weight(window) if is_weight else keys.request_budget(budget.name, window), keys.venue_hold()]
        if is_weight:
            names.append(keys.weight_total())
        with redis_errors("reserving request weight"):
            booked, held_ms = await self._book_script(keys=names, args=[weight, limit, 2 * budget.window_ms])
        return Booking(is_booked=bool(booked), hold_s=held_ms / 1000)

    async def _raise_to(self, window: int, used: int) -> None:
        with redis_errors("correcting the weight ledger"):
            await self._raise_script(keys=[keys.weight(window)], args=[used, 2 * MINUTE_MS])


__all__ = ["RedisLedger"]
