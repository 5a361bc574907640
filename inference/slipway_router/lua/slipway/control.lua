-- The control socket: the agent gives tables and takes counts. docs/design/20261125-router.md has the shapes.
local cjson = require "cjson.safe"

local counts = require "slipway.counts"
local exposures = require "slipway.exposures"
local request = require "slipway.request"
local tables = require "slipway.tables"
local underway = require "slipway.underway"

local control = {}

local function answer(status, body)
    ngx.status = status
    ngx.header["content-type"] = "application/json"
    ngx.print(body)
    return ngx.exit(200)
end

-- An object of JSON whose values are JSON already. lua-cjson cannot tell an empty list from an empty object, so lists are written here.
local function object(values)
    local members = {}
    for name, value in pairs(values) do
        members[#members + 1] = cjson.encode(name) .. ":" .. value
    end
    return "{" .. table.concat(members, ",") .. "}"
end

local function list_of_texts(values)
    local quoted = {}
    for index, value in ipairs(values) do
        quoted[index] = cjson.encode(value)
    end
    return "[" .. table.concat(quoted, ",") .. "]"
end

local function body()
    ngx.req.read_body()
    local path = ngx.req.get_body_file()
    if not path then
        return ngx.req.get_body_data() or ""
    end
    local file = assert(io.open(path, "rb"))
    local text = file:read("*a")
    file:close()
    return text
end

local function put_tables()
    local taken, wrong, callers = tables.take(body())
    if taken then
        ngx.status = 204
        return ngx.exit(204)
    end
    return answer(callers and 400 or 507, cjson.encode { error = wrong })
end

local function get_tables()
    local live = tables.live()
    local digests, addresses = {}, {}
    for model, digest in pairs(live.digests) do
        digests[model] = cjson.encode(digest)
    end
    for revision, list in pairs(live.pods) do
        addresses[revision] = list_of_texts(list)
    end
    return answer(200, object { digests = object(digests), pods = object(addresses) })
end

local function pending()
    local found = {}
    for _, model in pairs(tables.live().models) do
        for _, revision in ipairs(model.revisions) do
            found[revision.name] = tostring(underway.get(revision.pending))
        end
        if model.fallback then
            found[model.fallback.name] = tostring(underway.get(model.fallback.pending))
        end
    end
    return object(found)
end

local function taken()
    local cells, totals = counts.take(function()
        ngx.sleep(0)
    end)
    local told, number, lost = exposures.take(tonumber(ngx.var.arg_kept))
    return answer(200, object {
        cells = cells,
        totals = totals,
        pending = pending(),
        exposures = told,
        answer = string.format("%.0f", number),
        lost = tostring(lost),
    })
end

local HANDLERS = {
    ["PUT /tables"] = put_tables,
    ["GET /tables"] = get_tables,
    ["POST /taken"] = taken,
}

function control.serve()
    local handler = HANDLERS[ngx.req.get_method() .. " " .. ngx.var.uri]
    if handler then
        return handler()
    end
    if ngx.var.uri == "/healthz" then
        return answer(200, cjson.encode { underway = request.underway() })
    end
    return answer(404, cjson.encode { error = "ask for PUT /tables, GET /tables, POST /taken or GET /healthz" })
end

return control
