-- The pods of a revision: which one takes a request. Of two drawn at random, the one with fewer requests under way in this router.
--
-- A pod that cannot be connected to, or that fails FAILURES times in a row, is left alone for REST_S; then one request tries it. Where all
-- of them are left alone, all of them are asked. Every worker finds this out for itself; what is under way is counted for all.
local FAILURES = 5
local REST_S = 3

local underway = require "slipway.underway"

local random = math.random

local pods = {}

-- The one pod at an address: what is known of it outlives a change of tables.
function pods.at(address)
    local pod = underway.tally("pod " .. address)
    if not pod.host then
        pod.host = address:find(":", 1, true) and "[" .. address .. "]" or address
        pod.failures, pod.rests_until = 0, 0
    end
    return pod
end

local function busier(one, other)
    return underway.get(one) > underway.get(other)
end

local function rested(list, now, avoided)
    local found = {}
    for index = 1, #list do
        local pod = list[index]
        if pod ~= avoided and now >= pod.rests_until then
            found[#found + 1] = pod
        end
    end
    return found
end

local function two(list)
    local count = #list
    if count == 1 then
        return list[1]
    end
    local first = random(count)
    local second = count == 2 and 3 - first or random(count - 1)
    if count > 2 and second >= first then
        second = second + 1
    end
    local one, other = list[first], list[second]
    return busier(one, other) and other or one, one, other
end

-- The pod for an attempt, not `avoided` if there is another; nil where `list` is empty.
function pods.pick(list, now, avoided)
    if #list == 0 then
        return nil
    end
    local pod, one, other = two(list)
    one, other = one or pod, other or pod
    if avoided ~= nil or now < one.rests_until or now < other.rests_until then
        local usable = rested(list, now, avoided)
        if #usable == 0 and avoided and #list > 1 then
            usable = rested(list, math.huge, avoided)
        end
        pod = #usable > 0 and two(usable) or pod
    end
    if pod.rests_until > 0 and now >= pod.rests_until then
        pod.rests_until = now + REST_S
    end
    return pod
end

function pods.worked(pod)
    pod.failures = 0
    pod.rests_until = 0
end

function pods.failed(pod, now, connected)
    pod.failures = pod.failures + 1
    if not connected or pod.failures >= FAILURES then
        pod.failures = 0
        pod.rests_until = now + REST_S
    end
end

return pods
