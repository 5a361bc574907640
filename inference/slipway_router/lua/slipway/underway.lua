-- How many requests are under way: for each pod, and for each revision (`one` has the fields of a tally). Workers share the numbers; a
-- lone one keeps them to itself, which is quicker, and if it dies they end with it.
local underway = {}

-- By key, for as long as tables or requests refer to them: a change of tables finds what is under way.
local tallies = setmetatable({}, { __mode = "v" })

local shared = ngx and ngx.shared.slipway_underway
local alone = true

function underway.start(is_alone)
    alone = is_alone
end

-- The one tally of a key. Its user may put fields of its own into it.
function underway.tally(key)
    local found = tallies[key]
    if not found then
        found = { underway_key = key, underway = 0 }
        tallies[key] = found
    end
    return found
end

function underway.get(one)
    if alone then
        return one.underway
    end
    return shared:get(one.underway_key) or 0
end

-- One more; how many there are now.
function underway.add(one)
    if alone then
        local number = one.underway + 1
        one.underway = number
        return number
    end
    return shared:incr(one.underway_key, 1, 0) or 1
end

-- One less. Never below none: a worker that died may have been forgotten meanwhile.
function underway.drop(one)
    if alone then
        one.underway = one.underway - 1
    elseif (shared:incr(one.underway_key, -1) or 0) < 0 then
        shared:set(one.underway_key, 0)
    end
end

function underway.forget()
    shared:flush_all()
end

return underway
