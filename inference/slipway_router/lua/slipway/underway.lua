-- How many requests are under way: for each pod, and for each revision. Workers share the numbers; a lone one keeps them to itself, which is
-- quicker, and a lone one that dies takes them with it.
local underway = {}

local shared = ngx and ngx.shared.slipway_underway
local own = {}
local alone = true

function underway.start(is_alone)
    alone = is_alone
end

function underway.get(key)
    if alone then
        return own[key] or 0
    end
    return shared:get(key) or 0
end

-- One more; how many there are now.
function underway.add(key)
    if alone then
        local number = (own[key] or 0) + 1
        own[key] = number
        return number
    end
    return shared:incr(key, 1, 0) or 1
end

-- One less. Never below none: a worker that died may have been forgotten meanwhile.
function underway.drop(key)
    if alone then
        local number = (own[key] or 0) - 1
        own[key] = number > 0 and number or nil
    elseif (shared:incr(key, -1) or 0) < 0 then
        shared:set(key, 0)
    end
end

function underway.forget()
    shared:flush_all()
end

return underway
