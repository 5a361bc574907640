-- What is counted, in shared memory. A key is the JSON of a row without its number, so that taking the counts is joining text.
--
-- A key is put into a queue when its number leaves 0, and taken from there: taking costs what was counted since the last time, whatever
-- was counted before. Numbers are taken by subtraction, never by setting them: a worker that counts meanwhile loses nothing.
local bit = require "bit"

local LATENCY_BINS = 480
local FIRST_BIN_S = 0.0005
local BIN_GROWTH = math.log(1.025)
local BLOCK_S = 4

local floor, log = math.floor, math.log

local counts = {}

local numbers = ngx and ngx.shared.slipway_counts
local queue = ngx and ngx.shared.slipway_queue

-- floor(ln(t / 0.5 ms) / ln 1.025), 0 to 479. bin(0.0005) = 0, bin(0.001) = 28, bin(70) = 479.
function counts.bin(seconds)
    if seconds <= FIRST_BIN_S then
        return 0
    end
    local bin = floor(log(seconds / FIRST_BIN_S) / BIN_GROWTH)
    return bin < LATENCY_BINS and bin or LATENCY_BINS - 1
end

local function add(key)
    local number = numbers:incr(key, 1, 0)
    if number == 1 and not queue:rpush("changed", key) then
        numbers:incr(key, -1)
    end
end

-- One first attempt of `revision`, in its bucket and in the time block of `unix_s`; `bad` is 0 or 1.
function counts.attempt(revision, bucket, bin, bad, unix_s)
    local cells = revision.cells
    local block = floor(unix_s / BLOCK_S)
    if cells.block ~= block then
        cells.block, cells.in_block = block, {}
    end
    local within = bin * 2 + bad
    local key = cells.in_block[within]
    if not key then
        key = "c[" .. revision.cell .. ',"t",' .. block .. "," .. bin .. "," .. bad
        cells.in_block[within] = key
    end
    add(key)
    local index = bucket * 2 * LATENCY_BINS + within
    key = cells[index]
    if not key then
        key = "c[" .. revision.cell .. ',"b",' .. bucket .. "," .. bin .. "," .. bad
        cells[index] = key
    end
    add(key)
end

-- One of `what` for `revision`, by `protocol`.
function counts.total(revision, protocol, what)
    local totals = revision.totals[protocol]
    if not totals then
        totals = {}
        revision.totals[protocol] = totals
    end
    local key = totals[what]
    if not key then
        key = "t[" .. revision.total .. ',"' .. protocol .. '","' .. what .. '"'
        totals[what] = key
    end
    add(key)
end

-- Everything since the last time: two lists of rows as JSON. `pause` is called now and then, so that requests are served meanwhile.
function counts.take(pause)
    local cells, totals = {}, {}
    for taken = 1, queue:llen("changed") or 0 do
        local key = queue:lpop("changed")
        local number = key and numbers:get(key)
        if number and number > 0 then
            local left = numbers:incr(key, -number)
            if left and left > 0 then
                queue:rpush("changed", key)
            end
            local rows = key:byte() == 99 and cells or totals
            rows[#rows + 1] = key:sub(2) .. "," .. number .. "]"
        end
        if bit.band(taken, 127) == 0 then
            pause()
        end
    end
    return "[" .. table.concat(cells, ",") .. "]", "[" .. table.concat(totals, ",") .. "]"
end

return counts
