-- MurmurHash2 (32 bits, seed 0) and the parts that it falls into: what nginx's split_clients does.
--
--   threshold(k, parts) = k * 0xffffffff // parts
--   part(hash, parts)   = least k with hash < threshold(k + 1, parts), the last where there is none
--
--   threshold(1, 10000) = 429496, so part(429495, 10000) = 0 and part(429496, 10000) = 1
local bit = require "bit"
local ffi = require "ffi"

local band, bxor, lshift, rshift, tobit = bit.band, bit.bxor, bit.lshift, bit.rshift, bit.tobit
local byte, floor = string.byte, math.floor

local MULTIPLIER = 0x5bd1e995
local LARGEST = 0xffffffff

local hash = {}

-- The low 32 bits of a * MULTIPLIER. A double has 53 bits: both halves of the product stay below 2^48.
local function multiplied(a)
    local low = band(a, 0xffff) * MULTIPLIER
    local high = rshift(a, 16) * MULTIPLIER
    return tobit(low % 0x100000000 + lshift(band(high, 0xffff), 16))
end

-- Of any bytes: 0 to 0xffffffff. This one is for where there is no nginx.
function hash.murmur2_in_lua(text)
    local length = #text
    local h = tobit(length)
    local at = 1
    while length - at >= 3 do
        local a, b, c, d = byte(text, at, at + 3)
        local k = multiplied(a + lshift(b, 8) + lshift(c, 16) + lshift(d, 24))
        k = multiplied(bxor(k, rshift(k, 24)))
        h = bxor(multiplied(h), k)
        at = at + 4
    end
    local left = length - at + 1
    if left > 0 then
        local a, b, c = byte(text, at, length)
        if left == 3 then
            h = bxor(h, lshift(c, 16))
        end
        if left >= 2 then
            h = bxor(h, lshift(b, 8))
        end
        h = multiplied(bxor(h, a))
    end
    h = multiplied(bxor(h, rshift(h, 13)))
    return bxor(h, rshift(h, 15)) % 0x100000000
end

-- nginx has the function within; a loop in Lua would keep whatever calls it from being compiled.
local in_nginx = pcall(function()
    ffi.cdef "uint32_t ngx_murmur_hash2(const char *data, size_t length);"
    return ffi.C.ngx_murmur_hash2
end)

hash.murmur2 = in_nginx and function(text)
    return ffi.C.ngx_murmur_hash2(text, #text)
end or hash.murmur2_in_lua

function hash.threshold(k, parts)
    return floor(k * LARGEST / parts)
end

-- The quotient is at most one off, for thresholds are rounded down.
function hash.part(hashed, parts)
    local k = floor(hashed * parts / LARGEST)
    if k > 0 and hashed < hash.threshold(k, parts) then
        k = k - 1
    elseif k < parts - 1 and hashed >= hash.threshold(k + 1, parts) then
        k = k + 1
    end
    return k < parts and k or parts - 1
end

return hash
