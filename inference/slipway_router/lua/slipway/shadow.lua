-- Samples for the shadow: a request and the answer that was given, handed to the agent after the user has been answered. What does not
-- fit into the queue is dropped; no request ever waits for it.
local cjson = require "cjson.safe"

local MOST_WAITING = 64
local LARGEST_BODY = 1024 * 1024
local MOST_BYTES = 16 * 1024 * 1024
local TIMEOUT_MS = 2000
local KEPT_MS = 30000

local shadow = { largest_body = LARGEST_BODY }

local agent = "unix:/run/slipway/agent.sock"
local first, last, bytes, sending = 1, 0, 0, false
local waiting = {}

-- The address of the agent's socket.
function shadow.configure(address)
    agent = address
end

local function post(socket, sample)
    local _, failure = socket:send {
        "POST /shadow HTTP/1.1\r\nHost: agent\r\nContent-Type: application/octet-stream\r\nContent-Length: ",
        tostring(#sample),
        "\r\n\r\n",
        sample,
    }
    if failure then
        return false
    end
    local length = 0
    local line = socket:receive("*l")
    while line and line ~= "" do
        length = tonumber(line:lower():match("^content%-length: *(%d+)")) or length
        line = socket:receive("*l")
    end
    return line ~= nil and (length == 0 or socket:receive(length) ~= nil)
end

local function send_one(sample)
    local socket = ngx.socket.tcp()
    socket:settimeout(TIMEOUT_MS)
    if not socket:connect(agent) then
        return
    end
    if post(socket, sample) then
        socket:setkeepalive(KEPT_MS, 4)
    else
        socket:close()
    end
end

local function send_all()
    while first <= last do
        local sample = waiting[first]
        waiting[first], first, bytes = nil, first + 1, bytes - #sample
        pcall(send_one, sample)
    end
    sending = false
end

-- The bytes of a sample: a line of JSON, and the two bodies.
function shadow.written(described, request_body, answer_body)
    described.requestBytes, described.answerBytes = #request_body, #answer_body
    return cjson.encode(described) .. "\n" .. request_body .. answer_body
end

-- Hand a sample over, later; false where there is no room for it.
function shadow.offer(sample)
    if last - first + 1 >= MOST_WAITING or bytes + #sample > MOST_BYTES then
        return false
    end
    last, bytes = last + 1, bytes + #sample
    waiting[last] = sample
    if not sending then
        sending = ngx.timer.at(0, send_all) and true or false
    end
    return true
end

return shadow
