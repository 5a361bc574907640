-- What is counted: first attempts in cells, and totals. Rows are written as JSON when they are taken.
--
-- Workers count in shared memory, and one of them is asked for it all. A key there is a row without its number; it is put into a queue when
-- its number leaves 0, and taken from there, so that taking costs what was counted since the last time. Numbers are taken by subtraction,
-- never by setting them: a worker that counts meanwhile loses nothing. A lone worker counts in tables of its own, which is far quicker.
local bit = require "bit"

local LATENCY_BINS = 480
local WITHIN = 2 * LATENCY_BINS
local FIRST_BIN_S = 0.0005
local BIN_GROWTH = math.log(1.025)
local BLOCK_S = 4

local floor, log = math.floor, math.log

local counts = {}

local numbers = ngx and ngx.shared.slipway_counts
local queue = ngx and ngx.shared.slipway_queue

-- revision -> what a lone worker counted of it since the last time
local counted = {}
local alone = true

function counts.start(is_alone)
    alone = is_alone
end

-- floor(ln(t / 0.5 ms) / ln 1.025), 0 to 479. bin(0.0005) = 0, bin(0.001) = 28, bin(70) = 479.
function counts.bin(seconds)
    if seconds <= FIRST_BIN_S then
        return 0
    end
    local bin = floor(log(seconds / FIRST_BIN_S) / BIN_GROWTH)
    return bin < LATENCY_BINS and bin or LATENCY_BINS - 1
end

-- place is a bucket or a block, within is bin * 2 + bad.
local function cell(revision, kind, place, within)
    local bad = within % 2
    return "[" .. revision.cell .. ',"' .. kind .. '",' .. place .. "," .. (within - bad) / 2 .. "," .. bad
end

local function total(revision, what)
    return "[" .. revision.total .. "," .. what
end

local function add_shared(key)
    local number = numbers:incr(key, 1, 0)
    if number == 1 and not queue:rpush("changed", key) then
        numbers:incr(key, -1)
    end
end

local function of(revision)
    local found = counted[revision]
    if not found then
        found = { b = {}, t = {}, totals = {} }
        counted[revision] = found
    end
    return found
end

local function add_cell(revision, kind, place, within)
    if alone then
        local cells, index = of(revision)[kind], place * WITHIN + within
        cells[index] = (cells[index] or 0) + 1
        return
    end
    local keys = revision.keys
    if kind == "t" then
        if keys.block ~= place then
            keys.block, keys.in_block = place, {}
        end
        keys = keys.in_block
    end
    local index = kind == "t" and within or place * WITHIN + within
    local key = keys[index]
    if not key then
        key = "c" .. cell(revision, kind, place, within)
        keys[index] = key
    end
    add_shared(key)
end

-- One first attempt of `revision`, in its bucket and in the time block of `unix_s`; `bad` is 0 or 1.
function counts.attempt(revision, bucket, bin, bad, unix_s)
    local within = bin * 2 + bad
    add_cell(revision, "t", floor(unix_s / BLOCK_S), within)
    add_cell(revision, "b", bucket, within)
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
        key = '"' .. protocol .. '","' .. what .. '"'
        totals[what] = key
    end
    if alone then
        local own = of(revision).totals
        own[key] = (own[key] or 0) + 1
    else
        add_shared("t" .. total(revision, key))
    end
end

local function take_own(note)
    local taken = counted
    counted = {}
    for revision, found in pairs(taken) do
        for _, kind in ipairs { "b", "t" } do
            for index, number in pairs(found[kind]) do
                local within = index % WITHIN
                note("c", cell(revision, kind, (index - within) / WITHIN, within), number)
            end
        end
        for key, number in pairs(found.totals) do
            note("t", total(revision, key), number)
        end
    end
end

local function take_shared(note)
    for _ = 1, queue:llen("changed") or 0 do
        local key = queue:lpop("changed")
        local number = key and numbers:get(key)
        if number and number > 0 then
            local left = numbers:incr(key, -number)
            if left and left > 0 then
                queue:rpush("changed", key)
            end
            note(key:sub(1, 1), key:sub(2), number)
        end
    end
end

-- Everything since the last time: two lists of rows as JSON. `pause` is called now and then, so that requests are served meanwhile.
function counts.take(pause)
    local rows, noted = { c = {}, t = {} }, 0
    local take = alone and take_own or take_shared
    take(function(kind, row, number)
        local list = rows[kind]
        list[#list + 1] = row .. "," .. number .. "]"
        noted = noted + 1
        if bit.band(noted, 127) == 0 then
            pause()
        end
    end)
    return "[" .. table.concat(rows.c, ",") .. "]", "[" .. table.concat(rows.t, ",") .. "]"
end

return counts
