-- SHA-256, from the libcrypto that nginx itself is linked with.
local ffi = require "ffi"

ffi.cdef "unsigned char *SHA256(const unsigned char *text, size_t length, unsigned char *digest);"

local SIZE = 32
local digest = {}

-- The first 16 hexadecimal digits.
function digest.short(text)
    local raw = ffi.new("unsigned char[?]", SIZE)
    ffi.C.SHA256(text, #text, raw)
    return (ffi.string(raw, 8):gsub(".", function(character)
        return string.format("%02x", character:byte())
    end))
end

return digest
