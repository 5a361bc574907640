-- A request from its arrival to its last byte: the phases that nginx calls, in their order. What is known of a request lies in `live`, by
-- its address: nginx empties ngx.ctx when it redirects internally, and a request must be counted whatever becomes of it.
local balancer = require "ngx.balancer"
local base = require "resty.core.base"
local bit = require "bit"
local ffi = require "ffi"

local answers = require "slipway.answers"
local clock = require "slipway.clock"
local counts = require "slipway.counts"
local exposures = require "slipway.exposures"
local hash = require "slipway.hash"
local heads = require "slipway.heads"
local inferences = require "slipway.inferences"
local paths = require "slipway.paths"
local pods = require "slipway.pods"
local routes = require "slipway.routes"
local shadow = require "slipway.shadow"
local tables = require "slipway.tables"
local tokens = require "slipway.tokens"
local underway = require "slipway.underway"

local SLOW_DOWN = { ["retry-after"] = "1" }
local LONGEST_UNIT = 256
local LARGEST_HASH = 0xffffffff
local BUCKETS = 64
-- Of all models together.
local MOST_PLACES = 50000
-- As proxy_read_timeout and its like say in the configuration.
local USUAL_TIMEOUT_S = 60
-- UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS
local BAD_CODES = { ["2"] = true, ["4"] = true, ["13"] = true, ["14"] = true, ["15"] = true }
-- What a pod may answer that another pod may do better.
local WORTH_A_RETRY = { [502] = true, [503] = true }

local band, rshift = bit.band, bit.rshift
local random = math.random

local request = {}

local state = ngx.shared.slipway_state
local draining = false
local live = {}
local spare, spares = {}, 0
local places_known, places_began = 0, 0

local pointer = ffi.typeof("uintptr_t")

local function address()
    return tonumber(ffi.cast(pointer, base.get_request()))
end

-- How many requests this worker is at.
function request.underway()
    local count = 0
    for _ in pairs(live) do
        count = count + 1
    end
    return count
end

-- Where a unit belongs, as one number: (share * 64 + bucket) * 2, + 1 if there is no exposure to tell, or none any more. The latest units are
-- remembered, for most come again.
local function place_of(model, unit)
    local place = model.places[unit]
    if not place then
        places_known = places_known + 1
        if places_known > MOST_PLACES then
            places_known, places_began = 1, places_began + 1
        end
        if model.places_began ~= places_began then
            model.places, model.places_began = {}, places_began
        end
        local bucket = hash.part(hash.murmur2(model.bucket_seed .. unit), BUCKETS)
        local share = routes.owner(model.slots, hash.murmur2(model.slot_seed .. unit))
        place = (share * BUCKETS + bucket) * 2 + (model.told[share] and 0 or 1)
        model.places[unit] = place
    end
    return place
end

-- Reads the unit and with it the revision; true, or the answer to a unit that cannot be one.
local function assign(r, model)
    local unit = model.unit and ngx.var[model.unit.variable]
    if unit and unit ~= "" then
        if #unit > LONGEST_UNIT then
            return answers.refuse(r, 400, "the header " .. model.unit.header .. " has more than 256 bytes: send a shorter unit")
        end
        local place = place_of(model, unit)
        r.unit, r.place, r.countable = unit, place, r.infer
        r.revision, r.bucket = model.owners[rshift(place, 7)], band(rshift(place, 1), BUCKETS - 1)
    elseif model.unit and model.unit.on_missing == "Stable" then
        r.revision = model.stable
    else
        r.revision = model.owners[routes.owner(model.slots, random(0, LARGEST_HASH))]
        r.bucket, r.countable = random(0, BUCKETS - 1), r.infer and not model.unit
    end
    return true
end

-- Refuses what is wrong with a request for a known model, whatever its revision; true where nothing is.
local function check_http(r, model, head)
    local kind, method = head.path.kind, head.method
    if kind ~= "infer" then
        if method ~= "GET" and method ~= "HEAD" then
            return answers.refuse(r, 405, method .. " is not allowed here: use GET", { allow = "GET, HEAD" })
        end
        return true
    end
    if method ~= "POST" then
        return answers.refuse(r, 405, method .. " is not allowed here: POST the request for " .. model.name, { allow = "POST" })
    end
    if not head.type_fits then
        return answers.refuse(r, 415, model.name .. " takes application/json, or application/octet-stream with the header "
            .. "inference-header-content-length: set content-type to one of them")
    end
    local length = head.length
    if not length then
        ngx.req.read_body()
        length = tonumber(ngx.var.content_length) or 0
    end
    if length > model.body_bytes then
        return answers.refuse(r, 413, string.format("%s takes bodies of at most %.0f bytes: send fewer rows at once", model.name, model.body_bytes))
    end
    return true
end

-- A token is for this router: the pods do not get to see it.
local function check_token(r, model)
    if not model.tokens then
        return true
    end
    if tokens.accept(ngx.var.http_authorization, clock()) then
        ngx.req.clear_header("authorization")
        return true
    end
    return answers.refuse(r, 401, model.name .. " needs a token: send the header authorization: Bearer <token>", { ["www-authenticate"] = "Bearer" })
end

-- The location that has what a request needs; nil where the one that it is in has it.
local function location(r, model)
    local named
    if r.fallback then
        named = "revision"
    elseif model.response and r.protocol == "http" then
        named = "response"
    elseif r.sampled then
        named = "plain"
    end
    if draining and r.protocol == "http" then
        return "@closing_" .. (named or "plain")
    end
    return named and "@" .. named
end

-- From here on a pod is asked, or the request refused because none can be.
local function send(r, model)
    local revision = r.revision
    if not revision then
        return answers.refuse(r, 503, model.name .. " has no revision that was ever ready: see the status of its ModelDeployment", SLOW_DOWN)
    end
    if r.infer and model.unit and not r.unit then
        counts.total(revision, r.protocol, "noUnit")
    end
    if r.infer and model.fallback and #model.fallback.pods > 0 and not (r.protocol == "grpc" and model.fallback.http_only) then
        r.fallback = model.fallback
    end
    if #revision.pods == 0 then
        if r.infer then
            counts.total(revision, r.protocol, "noPods")
        end
        r.unserved = true
        if not r.fallback then
            if r.infer and model.response and r.protocol == "http" then
                counts.total(revision, r.protocol, "fallback")
                return answers.give(r, model.response)
            end
            return answers.refuse(r, 503, revision.name .. " of " .. model.name .. " has no ready pod: try again", SLOW_DOWN)
        end
    elseif (underway.get(revision.pending)) >= revision.pending_most then
        r.shed = true
        return request.failed()
    end
    if r.infer and model.shadow and r.protocol == "http" and random() < model.shadow.share then
        r.sampled = true
    end
    local named = location(r, model)
    if named then
        return ngx.exec(named)
    end
end

-- The tables of requests that are over are used again: one for each request would be most of what the garbage collector finds.
local function begin(protocol)
    local r = spare[spares]
    if r then
        spare[spares], spares = nil, spares - 1
    else
        r = {}
    end
    r.protocol, r.attempts, r.model, r.infer, r.meets = protocol, 0, false, false, false
    r.unit, r.revision, r.bucket, r.countable = false, false, false, false
    r.fallback, r.sampled, r.unserved, r.shed, r.own, r.pending = false, false, false, false, false, false
    r.pod, r.began, r.first_s, r.first, r.retried, r.fell = false, 0, false, false, false, false
    r.fault = nil
    live[address()] = r
    return r
end

local function put_away(r)
    if r.sampled or r.oversized then
        r.answer, r.answer_bytes, r.oversized, r.answer_type, r.answer_length = nil, nil, nil, nil, nil
    end
    spares = spares + 1
    spare[spares] = r
end

local function unknown_model(r, name, any)
    if not any then
        return answers.refuse(r, 503, "this router has no route tables yet: try again", SLOW_DOWN)
    end
    return answers.refuse(r, 404, "no model " .. name .. " is served here: check the name of the ModelDeployment")
end

-- live and ready are answered here: a pod's own would tell of the pod.
local function answer_health(r, kind, model)
    if kind == "ready" and (not model.stable or #model.stable.pods == 0) then
        return answers.refuse(r, 503, model.name .. " is not ready: no pod of its stable revision is", SLOW_DOWN)
    end
    r.own = true
    if r.protocol == "grpc" then
        -- ServerLiveResponse and ServerReadyResponse: field 1, true
        ngx.header["content-type"] = "application/grpc"
        return ngx.exec("@grpc_health")
    end
    -- Triton leaves the body empty; KServe's client reads the one that the protocol describes.
    local body = kind == "live" and '{"live":true}' or '{"ready":true}'
    ngx.header["content-type"] = "application/json"
    ngx.header["content-length"] = #body
    ngx.print(body)
    return ngx.exit(200)
end

-- What either protocol does once it knows the model: answer for its health, look at the token, find the revision. True: the request goes on to a pod.
local function admit(r, kind, model)
    if kind == "live" or kind == "ready" then
        return answer_health(r, kind, model)
    end
    if check_token(r, model) ~= true then
        return false
    end
    if kind == "server" then
        r.revision = model.stable
        return true
    end
    return not model.stable or assign(r, model)
end

-- Access phase of port 8080.
function request.http()
    local r = begin("http")
    local head = heads.read(ngx.var.slipway_head)
    local path = head.path
    if not path or path.grpc then
        return answers.refuse(r, 404, "there is nothing at this path: use /v2/models/<model>/infer, or another path of the Open Inference Protocol")
    end
    local now = tables.live()
    local model
    if path.model then
        model = now.models[path.model]
    else
        model = tables.model_at(now, ngx.var.host)
    end
    if not model then
        return unknown_model(r, path.model or ngx.var.host, next(now.models))
    end
    r.model, r.infer = model, path.kind == "infer"
    r.meets = r.infer
    if check_http(r, model, head) ~= true then
        return
    end
    if admit(r, path.kind, model) ~= true then
        return
    end
    return send(r, model)
end

-- Access phase of port 9000.
function request.grpc()
    local r = begin("grpc")
    local var = ngx.var
    local path = paths.read(var.uri)
    if not path or not path.grpc then
        return answers.refuse(r, 501, "there is no such method: use those of inference.GRPCInferenceService that serve a model")
    end
    local now = tables.live()
    local model = tables.model_at(now, var.host)
    if not model then
        return unknown_model(r, "for the authority " .. tostring(var.host), next(now.models))
    end
    r.model, r.infer = model, path.kind == "infer"
    r.meets = r.infer or path.kind == "stream"
    if admit(r, path.kind, model) ~= true then
        return
    end
    if r.revision and r.revision.http_only then
        -- Its pods listen to HTTP alone, so that nothing goes around what stands before the model.
        return answers.refuse(r, 501, "use HTTP: revision " .. r.revision.name .. " of " .. model.name .. " has a transformer, which gRPC does not reach")
    end
    if path.kind == "infer" then
        -- A body that nginx has whole can be sent to a second pod. Later versions of the Lua module will not read one of unknown length.
        pcall(ngx.req.read_body)
        if (tonumber(var.content_length) or 0) > model.body_bytes then
            return answers.refuse(r, 413, model.name .. " takes smaller messages: send fewer rows at once")
        end
    end
    return send(r, model)
end

-- nginx lists its attempts, the present one last: "0.003, -". Whether the attempt `number` has a figure in such a list.
local function has_figure(list, number)
    local at = 0
    for figure in (list or ""):gmatch("[^,:%s]+") do
        at = at + 1
        if at == number then
            return figure ~= "-"
        end
    end
    return false
end

-- What is wrong with the body of an inference that a pod answered 500; false if nothing is, or if it cannot be known: of a body that is
-- compressed, or too large to be in memory.
local function fault(r)
    if r.fault == nil then
        local var = ngx.var
        local unseen = r.protocol ~= "http" or not r.infer or var.http_content_encoding or (var.request_body_file or "") ~= ""
        r.fault = not unseen and inferences.wrong(var.request_body or "", tonumber(var.http_inference_header_content_length)) or false
    end
    return r.fault
end

-- The attempt at r.pod is over and failed; `status` is what nginx made of it.
local function settle_failure(r, now, status)
    local pod = r.pod
    local answered = has_figure(ngx.var.upstream_header_time, r.attempts)
    local connected = answered or has_figure(ngx.var.upstream_connect_time, r.attempts)
    if answered and status == 500 and fault(r) then
        status = 400
        pods.worked(pod)
    else
        pods.failed(pod, now, connected)
    end
    underway.drop(pod)
    r.pod = false
    if r.attempts == 1 then
        r.first_s = now - r.began
        r.first = answered and status or 0
    end
    return pod, answered
end

local function choose(r, now)
    local revision = r.revision
    if r.attempts == 0 then
        if r.unserved then
            r.fell = true
            return pods.pick(r.fallback.pods, now), 0
        end
        local more = r.fallback and 1 or 0
        return pods.pick(revision.pods, now), #revision.pods > 1 and 1 or more
    end
    local _, status = balancer.get_last_failure()
    local failed, answered = settle_failure(r, now, status)
    if r.fault then
        return
    end
    if r.fell then
        return pods.pick(r.fallback.pods, now, failed), 0
    end
    local hopeless = answered and not WORTH_A_RETRY[status]
    if r.fallback and (r.attempts > 1 or hopeless or #revision.pods == 1) then
        r.fell = true
        return pods.pick(r.fallback.pods, now), 0
    end
    if r.infer and not r.retried then
        counts.total(revision, r.protocol, "retried")
    end
    r.retried = true
    return pods.pick(revision.pods, now, failed), r.fallback and 1 or 0
end

-- A pod of the unit's arm is asked: from here on the unit has met it, whatever comes of that, and however long that takes.
local function expose(r, model)
    local unit, place = r.unit, r.place
    if unit and r.meets and place % 2 == 0 then
        model.places[unit] = place + 1
        exposures.tell(model.told[rshift(place, 7)], unit, ngx.req.start_time())
    end
end

-- Balancer phase, once for every attempt.
function request.balance(port)
    local r = live[address()]
    local now = clock()
    local model = r.model
    if r.attempts == 0 and not r.unserved then
        local revision = r.revision
        if underway.add(revision.pending) > revision.pending_most then
            underway.drop(revision.pending)
            r.shed = true
            return ngx.exit(ngx.ERROR)
        end
        r.pending = true
        expose(r, model)
    end
    local pod, more = choose(r, now)
    if not pod then
        return ngx.exit(ngx.ERROR)
    end
    if more > 0 then
        balancer.set_more_tries(more)
    end
    underway.add(pod)
    r.pod, r.began, r.attempts = pod, now, r.attempts + 1
    if model.timeout_s ~= USUAL_TIMEOUT_S then
        balancer.set_timeouts(model.connect_s, model.timeout_s, model.timeout_s)
    end
    balancer.set_current_peer(pod.host, port)
end

-- Header filter: of an answer, or of what nginx or this program answers instead.
function request.header_filter()
    local r = live[address()]
    if not r then
        return
    end
    if r.attempts == 1 and not r.first_s then
        r.first_s = clock() - r.began
    end
    if r.own or r.attempts == 0 then
        return
    end
    if ngx.status == 500 and fault(r) then
        ngx.status = 400
    end
    local header = ngx.header
    if r.fell then
        header["x-slipway-revision"] = r.fallback.name
        header["x-slipway-role"] = r.fallback.role
        header["x-slipway-fallback"] = "revision"
    else
        header["x-slipway-revision"] = r.revision.name
        header["x-slipway-role"] = r.revision.role
    end
    if r.sampled then
        r.answer_type, r.answer_length = header["content-type"], header["inference-header-content-length"]
    end
end

-- Body filter of requests that may be sampled: keeps the answer for the shadow.
function request.body_filter()
    local r = live[address()]
    if not r or not r.sampled or r.own then
        return
    end
    local answer = r.answer or {}
    r.answer = answer
    answer[#answer + 1] = ngx.arg[1]
    r.answer_bytes = (r.answer_bytes or 0) + #ngx.arg[1]
    if r.answer_bytes > shadow.largest_body then
        r.sampled, r.oversized, r.answer = nil, true, nil
    end
end

local SENTENCES = {
    shed = " has as many requests under way as it may: try again in a second",
    timeout = " did not answer in time: try again, or raise timeoutMilliseconds",
    failed = " could not be asked: try again",
}

-- Content of what nginx gave up: no pod answered, or the request was shed.
function request.failed()
    local r = live[address()]
    if not r or not r.model then
        return answers.refuse(r or { protocol = "http" }, 500, "the router failed: see its log")
    end
    if r.shed then
        counts.total(r.revision, r.protocol, "shed")
        return answers.refuse(r, 503, r.revision.name .. " of " .. r.model.name .. SENTENCES.shed, SLOW_DOWN)
    end
    if r.fault or (ngx.var.upstream_status or ""):find("500$") and fault(r) then
        return answers.refuse(r, 400, "this is no inference request for " .. r.model.name .. ": " .. r.fault)
    end
    if r.infer and r.model.response and r.protocol == "http" then
        counts.total(r.revision, r.protocol, "fallback")
        return answers.give(r, r.model.response)
    end
    local status = (ngx.var.upstream_status or ""):find("504$") and 504 or 502
    local serving = r.fell and r.fallback or r.revision
    return answers.refuse(r, status, serving.name .. " of " .. r.model.name .. (status == 504 and SENTENCES.timeout or SENTENCES.failed))
end

-- Content of what nginx itself refuses on port 9000.
function request.unreadable()
    return answers.refuse({ protocol = "grpc" }, 400, "this is not a gRPC request that can be read, or its message is larger than any model takes")
end

-- The first attempt's outcome as counts name it, where it was the only one: nginx's own variables tell of it.
local function outcome(r, var, status)
    if r.first then
        return r.first == 0 and "none" or r.first >= 500 and "5xx" or r.first >= 400 and "4xx" or "2xx"
    end
    if status == 499 then
        return "gone"
    end
    if r.fault then
        return "4xx"
    end
    if r.protocol == "grpc" then
        local code = var.upstream_trailer_grpc_status or var.upstream_http_grpc_status
        if not code then
            return "none"
        end
        return code == "0" and "2xx" or BAD_CODES[code] and "5xx" or "4xx"
    end
    if r.own or status >= 500 then
        if not has_figure(var.upstream_header_time, 1) then
            return "none"
        end
        status = tonumber((var.upstream_status or ""):match("%d+")) or 502
    end
    return status >= 500 and "5xx" or status >= 400 and "4xx" or "2xx"
end

local function count(r, var, status)
    local what = outcome(r, var, status)
    counts.total(r.revision, r.protocol, what)
    if r.fell then
        counts.total(r.revision, r.protocol, "fallback")
    end
    if r.countable then
        local bad = (what == "5xx" or what == "none") and 1 or 0
        counts.attempt(r.revision, r.bucket, counts.bin(r.first_s or clock() - r.began), bad, ngx.time())
    end
end

local function sample(r, var)
    local body = ngx.req.get_body_data()
    local kept = body and #body <= shadow.largest_body and shadow.offer(shadow.written({
        model = r.model.name,
        epoch = r.model.route.epoch,
        revision = (r.fell and r.fallback or r.revision).name,
        shadow = r.model.shadow.revision,
        requestId = var.slipway_request_id,
        path = var.request_uri,
        contentType = var.content_type or "application/json",
        inferenceHeaderLength = tonumber(var.http_inference_header_content_length) or ngx.null,
        status = ngx.status,
        seconds = clock() - r.began,
        answerContentType = r.answer_type or "application/json",
        answerInferenceHeaderLength = tonumber(r.answer_length) or ngx.null,
    }, body, table.concat(r.answer or {})))
    if not kept then
        counts.total(r.revision, r.protocol, "notShadowed")
    end
end

-- The attempt that the request ended with, for its pod.
local function settle_last(r, status)
    local pod = r.pod
    if not pod then
        return
    end
    underway.drop(pod)
    r.pod = false
    if r.fault or status < 500 and not r.own then
        if status ~= 499 and (pod.failures > 0 or pod.rests_until > 0) then
            pods.worked(pod)
        end
    else
        local answered = has_figure(ngx.var.upstream_header_time, r.attempts)
        pods.failed(pod, clock(), answered or has_figure(ngx.var.upstream_connect_time, r.attempts))
    end
end

-- What is known of a request that was sent to a pod goes into the counts.
local function finish(r)
    local var, status = ngx.var, ngx.status
    settle_last(r, status)
    if not r.infer then
        return
    end
    if r.unserved then
        counts.total(r.revision, r.protocol, "fallback")
        return
    end
    count(r, var, status)
    if r.oversized then
        counts.total(r.revision, r.protocol, "notShadowed")
    elseif r.sampled and not r.own then
        sample(r, var)
    end
end

-- Log phase: of every request, whatever became of it.
function request.log()
    local at = address()
    local r = live[at]
    if not r then
        return
    end
    live[at] = nil
    if r.pending then
        underway.drop(r.revision.pending)
    end
    if r.attempts > 0 then
        finish(r)
    end
    put_away(r)
end

local function watch_for_draining(path)
    local file = io.open(path, "rb")
    draining = file ~= nil
    if file then
        file:close()
    end
end

-- Once in every worker. A worker that takes the place of one that died finds what that one had under way: nobody will take it away.
function request.start(draining_file)
    math.randomseed(ngx.now() * 1000 + ngx.worker.pid() * 7919)
    local alone = ngx.worker.count() == 1
    counts.start(alone)
    underway.start(alone)
    tables.start(alone)
    local born = "worker " .. ngx.worker.id()
    if state:get(born) then
        underway.forget()
    end
    state:set(born, true)
    watch_for_draining(draining_file)
    ngx.timer.every(0.5, function()
        watch_for_draining(draining_file)
    end)
end

return request
