-- A clock that never goes back, in seconds, to the nanosecond. nginx's own times have milliseconds, and stand still within an event.
local ffi = require "ffi"

ffi.cdef [[
struct slipway_timespec { long seconds; long nanoseconds; };
int clock_gettime(int clock, struct slipway_timespec *now);
]]

local MONOTONIC = 1
local C, tonumber = ffi.C, tonumber
local now = ffi.new("struct slipway_timespec")

return function()
    C.clock_gettime(MONOTONIC, now)
    return tonumber(now.seconds) + tonumber(now.nanoseconds) * 1e-9
end
