-- The tables that are live: what the agent gave last, in shared memory as text and in every worker as Lua values.
--
-- Taking new ones is two steps: everything is read and checked, then the text is stored and the version moves. A worker compares the
-- version with its own at every request, and decodes again only what has changed.
local cjson = require "cjson.safe"

local digest = require "slipway.digest"
local exposures = require "slipway.exposures"
local pods = require "slipway.pods"
local routes = require "slipway.routes"
local underway = require "slipway.underway"

local MOST_PODS = 10000
local OCTET = "(%d%d?%d?)"
local IPV4 = "^" .. OCTET .. "%." .. OCTET .. "%." .. OCTET .. "%." .. OCTET .. "$"

local tables = {}

local shared = ngx and ngx.shared.slipway_tables
local alone = false
local live = { version = 0, models = {}, hosts = {}, digests = {}, pods = {} }

-- text of a route table -> what was read from it, for the tables that are live
local read_before = {}

local function is_address(value)
    if type(value) ~= "string" then
        return false
    end
    local octets = { value:match(IPV4) }
    for _, octet in ipairs(octets) do
        if tonumber(octet) > 255 then
            return false
        end
    end
    return #octets == 4 or (#value <= 45 and value:find("^[%x:]+$") ~= nil and value:find(":.*:") ~= nil)
end

local function read_pods(value)
    if type(value) ~= "table" then
        return nil, "pods must be an object: a revision's name, and a list of addresses"
    end
    local addresses = {}
    for revision, list in pairs(value) do
        if type(revision) ~= "string" or type(list) ~= "table" or #list > MOST_PODS then
            return nil, "pods must be an object: a revision's name, and a list of addresses"
        end
        local entries = 0
        for _, address in pairs(list) do
            entries = entries + 1
            if not is_address(address) then
                return nil, "the pods of " .. revision .. " must be IP addresses, and " .. tostring(address) .. " is none"
            end
        end
        if entries ~= #list then
            return nil, "the pods of " .. revision .. " must be a list"
        end
        addresses[revision] = list
    end
    return addresses
end

local function read_routes(value)
    if type(value) ~= "table" then
        return nil, "routes must be an object: a model's name, and the text of its route table"
    end
    local read = {}
    for model, source in pairs(value) do
        if type(model) ~= "string" or type(source) ~= "string" then
            return nil, "routes must be an object: a model's name, and the text of its route table"
        end
        local route, failure = read_before[source], nil
        if not route or route.model ~= model then
            route, failure = routes.read(model, source)
            if not route then
                return nil, failure
            end
            route.source, route.digest = source, digest.short(source)
        end
        read[model] = route
    end
    return read
end

-- Everything that is in `body`, checked; or nil and a sentence that says what is wrong with it.
function tables.read(body)
    local value, failure = cjson.decode(body)
    if type(value) ~= "table" then
        return nil, "the tables are not a JSON object: " .. tostring(failure or "another value")
    end
    local read, wrong = read_routes(value.routes)
    if not read then
        return nil, wrong
    end
    local addresses
    addresses, wrong = read_pods(value.pods)
    if not addresses then
        return nil, wrong
    end
    return { routes = read, pods = addresses }
end

local function revision_of(route, addresses, revision_name, role)
    local list = {}
    for index, address in ipairs(addresses[revision_name] or {}) do
        list[index] = pods.at(address)
    end
    local quoted = cjson.encode(route.model) .. "," .. string.format("%.0f", route.epoch) .. "," .. cjson.encode(revision_name)
    return {
        name = revision_name,
        role = role,
        http_only = route.http_only[revision_name] or false,
        pods = list,
        pending = underway.tally("revision " .. revision_name),
        pending_most = route.limits.pending_per_pod * #list,
        cell = quoted,
        total = quoted .. "," .. cjson.encode(role),
        keys = {},
        totals = {},
    }
end

-- share -> what is told of a unit that is given it, false for one without an arm
local function told_of(route)
    local told = {}
    for share, pair in ipairs(route.slots.shares) do
        told[share] = pair.arm ~= nil and exposures.of(route.exposures, route.exposures.arms[pair.arm])
    end
    return told
end

local function model_of(route, addresses)
    local revisions, owners = {}, {}
    for index, revision in ipairs(route.revisions) do
        revisions[index] = revision_of(route, addresses, revision.name, revision.role)
    end
    for share, pair in ipairs(route.slots.shares) do
        owners[share] = revisions[pair.revision]
    end
    local fallback = route.fallback
    return {
        name = route.model,
        route = route,
        unit = route.unit,
        slots = route.slots,
        slot_seed = route.seed .. ":",
        bucket_seed = "bucket:" .. route.seed .. ":",
        places = {},
        places_began = -1,
        revisions = revisions,
        owners = owners,
        told = told_of(route),
        stable = revisions[route.stable],
        timeout_s = route.timeout_s,
        connect_s = math.min(1, route.timeout_s),
        body_bytes = route.limits.body_bytes,
        tokens = route.tokens,
        shadow = route.shadow,
        fallback = fallback and fallback.revision and revision_of(route, addresses, fallback.revision, "Fallback"),
        response = fallback and fallback.response,
    }
end

-- What workers use, of what was read: values that answer a request's questions by one look.
function tables.built(read, version)
    local built = { version = version, models = {}, hosts = {}, digests = {}, pods = read.pods }
    local last, count = nil, 0
    for name, route in pairs(read.routes) do
        local model = model_of(route, read.pods)
        built.models[name], built.digests[name] = model, route.digest
        local scoped = name .. "." .. route.namespace
        for _, host in ipairs { name, scoped, scoped .. ".svc", scoped .. ".svc.cluster.local" } do
            built.hosts[host] = model
        end
        last, count = model, count + 1
    end
    built.only = count == 1 and last or nil
    return built
end

-- A text that is gone was replaced between two looks: the next request finds its successor.
local function load(version)
    local text = shared:get("text " .. version)
    if not text then
        return
    end
    local read = tables.read(text)
    live = tables.built(read, version)
    read_before = {}
    for _, route in pairs(read.routes) do
        read_before[route.source] = route
    end
end

-- A lone worker need not look whether another one took tables; whoever starts finds those that are there.
function tables.start(is_alone)
    local version = shared:get("version")
    if version then
        load(version)
    end
    alone = is_alone
end

-- The tables for a request that begins now.
function tables.live()
    if not alone then
        local version = shared:get("version")
        if version and version ~= live.version then
            load(version)
        end
    end
    return live
end

-- Make the tables in `body` live in every worker; or nil, a sentence and whether the caller is to blame.
function tables.take(body)
    local read, wrong = tables.read(body)
    if not read then
        return nil, wrong, true
    end
    local version = shared:incr("versions", 1, 0)
    local stored, failure = shared:safe_set("text " .. version, body)
    if not stored then
        return nil, "the tables do not fit into shared memory (" .. failure .. "): ask for fewer models in one router", false
    end
    shared:set("version", version)
    shared:delete("text " .. version - 2)
    if alone then
        load(version)
    end
    return true
end

-- The model that a host (lower case, without a port) is for: by its name, or the only one that there is.
function tables.model_at(now_live, host)
    return now_live.hosts[host] or now_live.only
end

return tables
