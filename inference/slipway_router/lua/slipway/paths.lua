-- What a path of the Open Inference Protocol asks for, over HTTP and gRPC. Nothing but these is passed on: repository, shared memory,
-- tracing and logging of the servers stay within the cluster.
local MOST_REMEMBERED = 2000

local paths = {}

local SERVER = { ["/v2"] = "server", ["/v2/health/live"] = "live", ["/v2/health/ready"] = "ready" }
local ACTIONS = { [""] = "metadata", ["/ready"] = "metadata", ["/config"] = "metadata", ["/stats"] = "metadata", ["/infer"] = "infer" }

local SERVICE = "/inference.GRPCInferenceService/"
local CALLS = {
    ServerLive = "live",
    ServerReady = "ready",
    ServerMetadata = "server",
    ModelReady = "metadata",
    ModelMetadata = "metadata",
    ModelConfig = "metadata",
    ModelStatistics = "metadata",
    ModelInfer = "infer",
    ModelStreamInfer = "stream",
}

local remembered, count = {}, 0

local function read(path)
    if SERVER[path] then
        return { kind = SERVER[path] }
    end
    local call = path:sub(1, #SERVICE) == SERVICE and path:sub(#SERVICE + 1)
    if call then
        return CALLS[call] and { kind = CALLS[call], grpc = true } or false
    end
    local model, rest = path:match("^/v2/models/([%w%.%-_]+)(.*)$")
    if not model then
        return false
    end
    local action = ACTIONS[rest:gsub("^/versions/%d+", "")]
    return action and { kind = action, model = model } or false
end

-- {kind, model}: kind is infer, stream, metadata, server, live or ready, model nil where the host tells it; or false for any other path.
function paths.read(path)
    local found = remembered[path]
    if found ~= nil then
        return found
    end
    if count >= MOST_REMEMBERED then
        remembered, count = {}, 0
    end
    found = read(path)
    remembered[path], count = found, count + 1
    return found
end

return paths
