"""The script that writes bars into rings inside Redis: it decides record by record, as `MemoryRings` does in RAM."""

from __future__ import annotations

from typing import Final

# The runs arrive as (first slot, records) pairs. A record is 72 bytes; counted from 1, as Lua does, its open time is
# the first 8, its numbers end at the 68th, the 69th is its source, the 70th its finality, the 71st its flags. A slot
# that was never written holds open time 0.
WRITE_LUA: Final = """
local changed, corrected, arg = 0, 0, 3

local function put(key, symbol, start, run)
  local held = redis.call('GETRANGE', key, start, start + #run - 1)
  local from = nil
  for at = 1, run == held and 0 or #run, 72 do
    local wins, flags = true, 0
    if at + 71 <= #held then
      local new, old = struct.unpack('<i8', run, at), struct.unpack('<i8', held, at)
      if new < old then
        wins = false
      elseif new == old then
        local surer, sure = run:byte(at + 69), held:byte(at + 69)
        local differs = run:sub(at + 8, at + 67) ~= held:sub(at + 8, at + 67)
        local tells = differs or run:byte(at + 68) ~= held:byte(at + 68)
        wins = surer > sure or (surer == sure and tells)
        local was_corrected = bit.band(held:byte(at + 70), 2) > 0
        if wins and sure >= 2 and differs then
          corrected = corrected + 1
          redis.call('XADD', KEYS[1], 'MAXLEN', '~', 10000, '*', 'symbol', symbol, 'timeframe', ARGV[2],
            'before', held:sub(at, at + 71), 'after', run:sub(at, at + 71))
          was_corrected = true
        end
        if was_corrected then flags = 2 end
      end
    end
    if wins then changed = changed + 1 end
    if (not wins or flags > 0) and from then
      redis.call('SETRANGE', key, start + from - 1, run:sub(from, at - 1))
      from = nil
    end
    if wins and flags > 0 then
      local flagged = string.char(bit.bor(run:byte(at + 70), flags))
      redis.call('SETRANGE', key, start + at - 1, run:sub(at, at + 69) .. flagged .. run:sub(at + 71, at + 71))
    elseif wins then
      from = from or at
    end
  end
  if from then
    redis.call('SETRANGE', key, start + from - 1, run:sub(from))
  end
end

for ring = 2, #KEYS do
  local symbol, runs = ARGV[arg], tonumber(ARGV[arg + 1])
  arg = arg + 2
  for _ = 1, runs do
    put(KEYS[ring], symbol, tonumber(ARGV[arg]) * 72, ARGV[arg + 1])
    arg = arg + 2
  end
  redis.call('EXPIRE', KEYS[ring], ARGV[1])
end
return {changed, corrected}
"""

__all__ = ["WRITE_LUA"]
