-- Bearer tokens, one file each in the folder of a mounted Secret; read again when they are asked for and older than READ_EVERY_S.
local bit = require "bit"
local ffi = require "ffi"

ffi.cdef [[
struct slipway_dirent { uint64_t inode; int64_t offset; unsigned short length; unsigned char type; char name[256]; };
void *opendir(const char *path);
struct slipway_dirent *readdir(void *folder);
int closedir(void *folder);
]]

local READ_EVERY_S = 5
local MOST_FILES = 1000
local LONGEST = 4096

local tokens = {}

local folder = "/etc/slipway/tokens"
local known, read_at = {}, -math.huge

-- Where the files are.
function tokens.configure(path)
    folder, known, read_at = path, {}, -math.huge
end

local function names()
    local found = {}
    local opened = ffi.C.opendir(folder)
    if opened == nil then
        return found
    end
    while #found < MOST_FILES do
        local entry = ffi.C.readdir(opened)
        if entry == nil then
            break
        end
        local name = ffi.string(entry.name)
        if name:byte() ~= 46 then
            found[#found + 1] = name
        end
    end
    ffi.C.closedir(opened)
    return found
end

local function read_all()
    local found = {}
    for _, name in ipairs(names()) do
        local file = io.open(folder .. "/" .. name, "rb")
        local text = file and file:read(LONGEST)
        if file then
            file:close()
        end
        local token = text and text:match("^%s*(.-)%s*$") or ""
        if #token > 0 then
            found[#found + 1] = token
        end
    end
    return found
end

-- As long for a wrong token as for the right one, wherever they differ.
function tokens.equal(given, expected)
    local differing = bit.bxor(#given, #expected)
    for at = 1, #given do
        differing = bit.bor(differing, bit.bxor(given:byte(at), expected:byte((at - 1) % #expected + 1)))
    end
    return differing == 0
end

-- Whether the value of an Authorization header carries one of the tokens.
function tokens.accept(authorization, now)
    if now - read_at >= READ_EVERY_S then
        known, read_at = read_all(), now
    end
    local scheme, given = (authorization or ""):match("^(%a+) +(%S+)%s*$")
    if not scheme or scheme:lower() ~= "bearer" or #given > LONGEST then
        return false
    end
    local accepted = false
    for _, token in ipairs(known) do
        accepted = tokens.equal(given, token) or accepted
    end
    return accepted
end

return tokens
