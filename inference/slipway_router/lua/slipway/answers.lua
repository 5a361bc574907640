-- What the router itself answers: JSON over HTTP, a status without a message over gRPC. Each says what is wrong and what to do.
local cjson = require "cjson.safe"

local answers = {}

local OF_HTTP = {
    [400] = 3, -- INVALID_ARGUMENT
    [401] = 16, -- UNAUTHENTICATED
    [404] = 5, -- NOT_FOUND
    [413] = 8, -- RESOURCE_EXHAUSTED
    [501] = 12, -- UNIMPLEMENTED
    [502] = 14, -- UNAVAILABLE
    [503] = 14,
    [504] = 4, -- DEADLINE_EXCEEDED
}

-- grpc-message is percent-encoded: everything but printable ASCII, and the percent sign.
function answers.grpc_message(text)
    return (text:gsub("[^ -$&-~]", function(character)
        return string.format("%%%02X", character:byte())
    end))
end

-- End the request with a status and a sentence. `headers` are further ones, or nil.
function answers.refuse(request, status, sentence, headers)
    request.own = true
    ngx.req.discard_body()
    local header = ngx.header
    for name, value in pairs(headers or {}) do
        header[name] = value
    end
    if request.protocol == "grpc" then
        ngx.status = 200
        header["content-type"] = "application/grpc"
        header["grpc-status"] = OF_HTTP[status] or 2
        header["grpc-message"] = answers.grpc_message(sentence)
        -- Without a body the stream ends with the headers: that is what makes them gRPC's trailers too.
        header["content-length"] = 0
        ngx.send_headers()
        return ngx.exit(200)
    end
    local body = cjson.encode { error = sentence } .. "\n"
    ngx.status = status
    header["content-type"] = "application/json"
    header["content-length"] = #body
    ngx.print(body)
    return ngx.exit(200)
end

-- The fixed answer of a fallback.
function answers.give(request, response)
    request.own = true
    ngx.status = response.status
    ngx.header["content-type"] = response.content_type
    ngx.header["content-length"] = #response.body
    ngx.header["x-slipway-fallback"] = "response"
    ngx.print(response.body)
    return ngx.exit(200)
end

return answers
