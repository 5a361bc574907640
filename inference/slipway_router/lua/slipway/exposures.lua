-- Which unit met which arm of an experiment: told once, as long as the router remembers it, and kept until the agent has it on its disk.
local cjson = require "cjson.safe"

local MOST_WAITING = 20000
local MOST_TAKEN = 5000

local exposures = {}

local seen = ngx and ngx.shared.slipway_seen
local queue = ngx and ngx.shared.slipway_exposures

local function continued(text, at, count)
    for offset = 1, count do
        local byte = text:byte(at + offset)
        if not byte or byte < 0x80 or byte > 0xbf then
            return false
        end
    end
    return true
end

local function is_utf8(text)
    local at = 1
    while at <= #text do
        local lead, second = text:byte(at, at + 1)
        local more = lead < 0x80 and 0 or lead >= 0xc2 and lead <= 0xdf and 1 or lead >= 0xe0 and lead <= 0xef and 2
            or lead >= 0xf0 and lead <= 0xf4 and 3
        if not more or not continued(text, at, more) then
            return false
        end
        -- overlong forms, surrogates, and what is beyond U+10FFFF
        if lead == 0xe0 and second < 0xa0 or lead == 0xed and second > 0x9f or lead == 0xf0 and second < 0x90 or lead == 0xf4 and second > 0x8f then
            return false
        end
        at = at + 1 + more
    end
    return true
end

-- JSON is UTF-8 and a unit is any bytes: those that are not UTF-8 are read as Latin-1.
function exposures.text(unit)
    if not unit:find("[\128-\255]") or is_utf8(unit) then
        return unit
    end
    return (unit:gsub("[\128-\255]", function(character)
        local byte = character:byte()
        return string.char(0xc0 + math.floor(byte / 64), 0x80 + byte % 64)
    end))
end

-- Unix seconds as RFC 3339 with microseconds: moment(0.25) = 1970-01-01T00:00:00.250000Z.
function exposures.moment(unix_s)
    local microseconds = math.floor(unix_s * 1e6 + 0.5)
    local within = microseconds % 1e6
    return os.date("!%Y-%m-%dT%H:%M:%S", (microseconds - within) / 1e6) .. string.format(".%06dZ", within)
end

-- What is told of every unit of an arm, and by what it is remembered. The stratum is no part of that: the ledger keeps a unit's first exposure.
function exposures.of(told, arm)
    local names = { cjson.encode(told.experiment), cjson.encode(arm), cjson.encode(told.stratum) }
    return {
        key = told.experiment .. " " .. arm .. " ",
        record = string.format('{"experiment":%s,"arm":%s,"stratum":%s,"unit":', unpack(names)),
    }
end

-- `unit` met an arm with a request that began at `unix_s`.
function exposures.tell(told, unit, unix_s)
    local new = seen:add(told.key .. unit, true)
    if not new then
        return
    end
    local waiting = queue:llen("waiting") or 0
    local record = told.record .. cjson.encode(exposures.text(unit)) .. ',"time":"' .. exposures.moment(unix_s) .. '"}'
    local kept = waiting < MOST_WAITING and queue:rpush("waiting", record)
    if not kept then
        queue:incr("lost", 1, 0)
    end
end

-- The first exposures of a list, which go to the end of "taken". A list of shared memory can be read from its ends only: what is told again, from
-- "taken" itself, goes once around.
local function taken_from(list, count)
    local taken = {}
    for index = 1, count do
        taken[index] = queue:lpop(list)
        queue:rpush("taken", taken[index])
    end
    return taken
end

-- The exposures that wait, as a JSON list; the number of this answer; and how many were lost since the last time. The answer before is given
-- again, under its number, unless `kept` is that number: who took it may have ended before it was on the disk. Numbers begin with the time, so
-- that an nginx that began anew has none of its predecessor's.
function exposures.take(kept)
    local answer = queue:get("answer") or 0
    local taken
    if kept == answer then
        queue:delete("taken")
    end
    local again = queue:llen("taken") or 0
    if again > 0 then
        taken = taken_from("taken", again)
    else
        taken = taken_from("waiting", math.min(queue:llen("waiting") or 0, MOST_TAKEN))
        answer = queue:incr("answer", 1, math.floor(ngx.now() * 1000))
    end
    local lost = queue:get("lost") or 0
    if lost > 0 then
        queue:incr("lost", -lost)
    end
    return "[" .. table.concat(taken, ",") .. "]", answer, lost
end

return exposures
