-- What the head of a request over HTTP/1.1 says: nginx joins method, length, content type and path into one text ($slipway_head), and what
-- was read of a text is remembered, since most requests look like one before.
local paths = require "slipway.paths"

local MOST_REMEMBERED = 2000

local heads = {}

local remembered, count = {}, 0

local function type_fits(given)
    local kind = given:match("^%s*([^;%s]*)"):lower()
    return kind == "" or kind == "application/json" or kind == "application/octet-stream"
end

local function read(text)
    local method, length, content_type, path = text:match("^(%S*) (%d*) ([^\n]*)\n(.*)$")
    return {
        method = method,
        length = tonumber(length),
        path = path and paths.read(path),
        type_fits = content_type ~= nil and type_fits(content_type),
    }
end

-- {method, length, path, type_fits}: length is nil where the body comes in chunks, path is what paths.read gives.
function heads.read(text)
    local found = remembered[text]
    if not found then
        if count >= MOST_REMEMBERED then
            remembered, count = {}, 0
        end
        found = read(text)
        remembered[text], count = found, count + 1
    end
    return found
end

return heads
