-- KEYS[1]: the key of a row. ARGV[1]: its new blob. ARGV[2]: when it expires, in milliseconds since 1970; 0 is never. Answers 1 when it was written.
--
-- The row with the later event stays; of the same event, the one created later; of the same creation, the one written last. A row of another version or
-- schema is nobody's and gives way. Times are compared by halves of 32 bits, for a number of Lua has 53.

local HEADER = 25

local function times(blob)
  local event_low, event_high, created_low, created_high = struct.unpack('<I4i4I4i4', blob, 10)
  return {event_high, event_low, created_high, created_low}
end

local new = ARGV[1]
local old = redis.call('GETRANGE', KEYS[1], 0, HEADER - 1)
if #old == HEADER and string.sub(old, 1, 9) == string.sub(new, 1, 9) then
  local was, is = times(old), times(new)
  for part = 1, 4 do
    if is[part] > was[part] then break end
    if is[part] < was[part] then return 0 end
  end
end
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], new)
else
  redis.call('SET', KEYS[1], new, 'PXAT', ARGV[2])
end
return 1
