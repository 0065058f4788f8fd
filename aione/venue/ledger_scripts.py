"""What `aione.venue.ledger_redis` runs inside Redis: each script is one step that no other process sees half done."""

from __future__ import annotations

from typing import Final

# KEYS: hold, count, and for request weight the places of this window, those of the next, the total, and where the
# waiter has its place, if it has one.
# ARGV: weight, limit, TTL in ms, priority, the count that the caller knows of (Redis may have lost its own).
# Returns {1, 0, count} when booked, {0, ms of hold, 0} when on hold, {0, 0, count} when the window is full.
BOOK_LUA: Final = """
local held = redis.call('PTTL', KEYS[1])
if held > 0 then return {0, held, 0} end
local weight, priority, ahead = tonumber(ARGV[1]), tonumber(ARGV[4]), 0
local used = math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[5]))
local function leave()
  if KEYS[6] then
    local kept = tonumber(redis.call('HGET', KEYS[6], priority) or '0')
    if kept > 0 then redis.call('HINCRBY', KEYS[6], priority, -math.min(kept, weight)) end
  end
end
if KEYS[3] then
  for p = 0, priority - 1 do ahead = ahead + tonumber(redis.call('HGET', KEYS[3], p) or '0') end
end
if used + ahead + weight > tonumber(ARGV[2]) then
  if KEYS[4] then
    leave()
    redis.call('HINCRBY', KEYS[4], priority, weight)
    redis.call('PEXPIRE', KEYS[4], ARGV[3])
  end
  return {0, 0, used}
end
leave()
redis.call('SET', KEYS[2], string.format('%d', used + weight), 'PX', ARGV[3])
if KEYS[5] then redis.call('INCRBY', KEYS[5], weight) end
return {1, 0, used + weight}
"""

# KEYS: places of a window. ARGV: priority, weight.
LEAVE_LUA: Final = """
local kept = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if kept > 0 then redis.call('HINCRBY', KEYS[1], ARGV[1], -math.min(kept, tonumber(ARGV[2]))) end
"""

# KEYS: count. ARGV: the exchange's count, TTL in ms.
RAISE_LUA: Final = """
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
"""

# KEYS: hold. ARGV: its length in ms.
HOLD_LUA: Final = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
end
"""


__all__ = ["BOOK_LUA", "HOLD_LUA", "LEAVE_LUA", "RAISE_LUA"]
