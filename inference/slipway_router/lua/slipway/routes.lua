-- The route table of one ModelDeployment: its text is read and checked as a whole, or refused with the reason.
local cjson = require "cjson.safe"

local hash = require "slipway.hash"

local VERSION = 1
local SLOTS = 10000
local LONGEST_TIMEOUT_MS = 3600 * 1000
local LARGEST = 2 ^ 53
local MOST_ARMS = 100

local routes = {}

local function whole(value, least, most)
    return type(value) == "number" and value >= least and value <= most and value % 1 == 0
end

local function text(value, most)
    return type(value) == "string" and #value > 0 and #value <= most and not value:find("%c")
end

local function name(value)
    return text(value, 253) and value:find("^[%w%.%-]+$") ~= nil
end

-- What the ledger takes as the name of an arm or a stratum.
local function word(value)
    return text(value, 63) and value:find("^%w[%w%-_%.]*$") ~= nil
end

local function present(value)
    return value ~= nil and value ~= cjson.null
end

-- A list of at most `most` entries, and nothing that is not in the list.
local function list(value, most)
    if type(value) ~= "table" then
        return false
    end
    local entries = 0
    for key in pairs(value) do
        if type(key) ~= "number" then
            return false
        end
        entries = entries + 1
    end
    return entries == #value and entries <= most
end

local function read_unit(value)
    if not present(value) then
        return nil
    end
    if type(value) ~= "table" or not text(value.header, 128) or not value.header:find("^[%w%-]+$") then
        return nil, "unit.header must be the name of a header: letters, digits and hyphens"
    end
    if value.onMissing ~= "Random" and value.onMissing ~= "Stable" then
        return nil, "unit.onMissing must be Random or Stable"
    end
    return { variable = "http_" .. value.header:lower():gsub("%-", "_"), header = value.header:lower(), on_missing = value.onMissing }
end

local function read_revisions(value)
    if not list(value, 1000) then
        return nil, "revisions must be a list"
    end
    local seen, stable, revisions = {}, nil, {}
    for index, entry in ipairs(value) do
        if type(entry) ~= "table" or not name(entry.name) or not text(entry.role, 63) or not name(entry.role) then
            return nil, "every one of revisions needs a name and a role"
        end
        if seen[entry.name] then
            return nil, "revisions names " .. entry.name .. " twice"
        end
        seen[entry.name] = true
        if entry.role == "Stable" then
            if stable then
                return nil, "revisions has two of role Stable"
            end
            stable = index
        end
        revisions[index] = { name = entry.name, role = entry.role }
    end
    return revisions, nil, stable
end

-- What is wrong with a run after one that ended at `last`; nil if nothing is.
local function wrong_run(run, last, revisions, arms)
    if not list(run, 3) or #run < 2 or not whole(run[1], last + 1, SLOTS) then
        return "slots must rise: each run is [end, revision] or [end, revision, arm], and ends after the one before it and at most at 10000"
    end
    if not whole(run[2], 0, revisions - 1) then
        return "slots name a revision that is not there: they count from 0"
    end
    if run[3] ~= nil and not whole(run[3], 0, arms - 1) then
        return "slots name an arm that is not one of exposures.arms: they count from 0"
    end
    return nil
end

-- Runs of slots as thresholds of the hash: a hash below thresholds[i], and not below the one before it, belongs to owners[i], the number of
-- a share. A share is a revision and, of an experiment, one of its arms, both counted from 1.
local function read_slots(value, revisions, arms)
    if not list(value, SLOTS) then
        return nil, "slots must be a list"
    end
    local thresholds, owners, shares, known, last = {}, {}, {}, {}, 0
    for index, run in ipairs(value) do
        local wrong = wrong_run(run, last, revisions, arms)
        if wrong then
            return nil, wrong
        end
        last = run[1]
        thresholds[index] = hash.threshold(last, SLOTS)
        local arm = run[3] and run[3] + 1 or 0
        local pair = run[2] * (arms + 1) + arm
        if not known[pair] then
            shares[#shares + 1] = { revision = run[2] + 1, arm = arm > 0 and arm or nil }
            known[pair] = #shares
        end
        owners[index] = known[pair]
    end
    if last ~= SLOTS and last ~= 0 then
        return nil, "slots must end at 10000"
    end
    return { thresholds = thresholds, owners = owners, shares = shares }
end

local function read_limits(value)
    if type(value) ~= "table" or not whole(value.bodyBytes, 1, LARGEST) or not whole(value.pendingPerPod, 1, LARGEST) then
        return nil, "limits needs bodyBytes and pendingPerPod, whole numbers from 1"
    end
    return { body_bytes = value.bodyBytes, pending_per_pod = value.pendingPerPod }
end

local function read_exposures(value)
    if not present(value) then
        return nil
    end
    if type(value) ~= "table" or not text(value.experiment, 253) or not word(value.stratum) then
        return nil, "exposures needs an experiment, and a stratum of at most 63 letters, digits, '-', '_' and '.'"
    end
    if not list(value.arms, MOST_ARMS) or #value.arms == 0 then
        return nil, "exposures.arms must be a list of 1 to 100 names"
    end
    local seen = {}
    for _, arm in ipairs(value.arms) do
        if not word(arm) or seen[arm] then
            return nil, "exposures.arms must be names of at most 63 letters, digits, '-', '_' and '.', each of them once"
        end
        seen[arm] = true
    end
    return { experiment = value.experiment, stratum = value.stratum, arms = value.arms }
end

local function read_shadow(value)
    if not present(value) then
        return nil
    end
    local percent = type(value) == "table" and tonumber(value.percent)
    if not percent or not name(value.revision) or not (percent >= 0 and percent <= 100) then
        return nil, "shadow needs a revision and a percent from 0 to 100"
    end
    return { revision = value.revision, share = percent / 100 }
end

-- Revisions that are not asked over gRPC, as a set. Tables of operators that know of none have no such list.
local function read_http_only(value)
    local set = {}
    if not present(value) then
        return set
    end
    if not list(value, 1000) then
        return nil, "httpOnly must be a list of revisions"
    end
    for _, revision in ipairs(value) do
        if not name(revision) then
            return nil, "httpOnly must be a list of revisions"
        end
        set[revision] = true
    end
    return set
end

local function read_response(value)
    if type(value) ~= "table" or not whole(value.status, 200, 599) or not text(value.contentType, 256) or type(value.body) ~= "string" then
        return nil, "fallback.response needs a status from 200 to 599, a contentType and a body"
    end
    return { response = { status = value.status, content_type = value.contentType, body = value.body } }
end

local function read_fallback(value)
    if not present(value) then
        return nil
    end
    if type(value) == "table" and present(value.response) and not present(value.revision) then
        return read_response(value.response)
    end
    if type(value) ~= "table" or present(value.response) or not name(value.revision) then
        return nil, "fallback needs either a revision or a response"
    end
    return { revision = value.revision }
end

local function read_plain(value, model)
    if type(value) ~= "table" then
        return "is not a JSON object"
    end
    if value.version ~= VERSION then
        return "has version " .. tostring(value.version) .. ", and this router knows version 1"
    end
    if value.model ~= model or not name(model) then
        return "is for the model " .. tostring(value.model) .. ", which is not the name that it was given under"
    end
    if not name(value.namespace) or not text(value.seed, 512) then
        return "needs a namespace and a seed"
    end
    if not whole(value.epoch, 0, LARGEST) or not whole(value.timeoutMilliseconds, 1, LONGEST_TIMEOUT_MS) then
        return "needs an epoch, and timeoutMilliseconds from 1 to 3600000"
    end
    if type(value.tokens) ~= "boolean" then
        return "needs tokens, true or false"
    end
    return nil
end

-- The route table in `source`, which must be that of `model`; or nil and a sentence that says what is wrong with it.
function routes.read(model, source)
    local value, failure = cjson.decode(source)
    local wrong = failure and ("is not JSON: " .. failure) or read_plain(value, model)
    local route = {}
    local function take(field, part, reason)
        wrong = wrong or reason and ("is refused: " .. reason)
        route[field] = part
    end
    if not wrong then
        local revisions, reason, stable = read_revisions(value.revisions)
        take("revisions", revisions, reason)
        take("unit", read_unit(value.unit))
        take("limits", read_limits(value.limits))
        take("exposures", read_exposures(value.exposures))
        take("shadow", read_shadow(value.shadow))
        take("fallback", read_fallback(value.fallback))
        take("http_only", read_http_only(value.httpOnly))
        route.stable = stable
    end
    if not wrong then
        take("slots", read_slots(value.slots, #route.revisions, route.exposures and #route.exposures.arms or 0))
    end
    if not wrong and (route.stable ~= nil) ~= (#route.slots.owners > 0) then
        wrong = "is refused: a table with a Stable revision needs slots, and one without must have none"
    end
    if wrong then
        return nil, "the route table of " .. tostring(model) .. " " .. wrong
    end
    route.model, route.namespace, route.seed, route.epoch = model, value.namespace, value.seed, value.epoch
    route.timeout_s, route.tokens = value.timeoutMilliseconds / 1000, value.tokens
    return route
end

-- The share, counted from 1, that owns a hash.
function routes.owner(slots, hashed)
    local thresholds, owners = slots.thresholds, slots.owners
    local low, high = 1, #owners
    -- Nearly always; and a loop would keep the caller from being compiled.
    if high <= 3 then
        return hashed < thresholds[1] and owners[1] or (high < 3 or hashed < thresholds[2]) and owners[math.min(2, high)] or owners[high]
    end
    while low < high do
        local middle = math.floor((low + high) / 2)
        if hashed < thresholds[middle] then
            high = middle
        else
            low = middle + 1
        end
    end
    return owners[low]
end

return routes
