-- Which unit was given which revision: told once, as long as the router remembers it, and kept until the agent takes it.
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

-- `unit` was given `revision` of `model`.
function exposures.tell(model, revision, unit, unix_s)
    local experiment = model.exposures.experiment
    local new = seen:add(experiment .. " " .. revision.name .. " " .. unit, true)
    if not new then
        return
    end
    local waiting = queue:llen("waiting") or 0
    local kept = waiting < MOST_WAITING and queue:rpush("waiting", cjson.encode {
        time = unix_s,
        experiment = experiment,
        namespace = model.route.namespace,
        model = model.name,
        epoch = model.route.epoch,
        revision = revision.name,
        role = revision.role,
        stratum = model.exposures.stratum,
        unit = exposures.text(unit),
    })
    if not kept then
        queue:incr("lost", 1, 0)
    end
end

-- The exposures that wait, as a JSON list, and how many were lost since the last time.
function exposures.take()
    local taken = {}
    for index = 1, math.min(queue:llen("waiting") or 0, MOST_TAKEN) do
        taken[index] = queue:lpop("waiting")
    end
    local lost = queue:get("lost") or 0
    if lost > 0 then
        queue:incr("lost", -lost)
    end
    return "[" .. table.concat(taken, ",") .. "]", lost
end

return exposures
