-- Whether the body of an inference request is one: JSON as the Open Inference Protocol has it, and as many elements as its shapes say.
-- Asked only when a model server has failed with 500, which Triton answers to what it cannot parse too: that is nobody's failure but the client's.
local decoder = require("cjson.safe").new()

-- NaN, Infinity and hexadecimal numbers are no JSON.
decoder.decode_invalid_numbers(false)

local WHOLE = "a whole number"
local NUMBER = "a number"
local ELEMENTS = {
    BOOL = "true or false", BYTES = "a string",
    INT8 = WHOLE, INT16 = WHOLE, INT32 = WHOLE, INT64 = WHOLE, UINT8 = WHOLE, UINT16 = WHOLE, UINT32 = WHOLE, UINT64 = WHOLE,
    FP16 = NUMBER, BF16 = NUMBER, FP32 = NUMBER, FP64 = NUMBER,
}
local KINDS = { ["true or false"] = "boolean", ["a string"] = "string", [WHOLE] = "number", [NUMBER] = "number" }

local inferences = {}

-- lua-cjson reads an empty list and an empty object alike; either passes for both.
local function is_list(value)
    return type(value) == "table" and (value[1] ~= nil or next(value) == nil)
end

local function is_object(value)
    return type(value) == "table" and value[1] == nil
end

local function is_whole(value)
    return type(value) == "number" and value % 1 == 0
end

-- Elements in lists of lists, or nil and the first that is not of its kind.
local function count(data, datatype)
    local expected = ELEMENTS[datatype]
    local kind, whole, unsigned = KINDS[expected], expected == WHOLE, datatype:sub(1, 1) == "U"
    local found = 0
    local function visit(list)
        for index = 1, #list do
            local value = list[index]
            if is_list(value) then
                local bad = visit(value)
                if bad then
                    return bad
                end
            elseif type(value) ~= kind or whole and (value % 1 ~= 0 or unsigned and value < 0) then
                return "has an element that is not " .. (unsigned and "a whole number from 0 up" or expected)
            else
                found = found + 1
            end
        end
    end
    local bad = visit(data)
    return not bad and found or nil, bad
end

-- What is wrong with the shape, or nil and the number of elements in it.
local function elements(shape)
    if not is_list(shape) then
        return "needs a shape: a list of whole numbers"
    end
    local product = 1
    for index = 1, #shape do
        local size = shape[index]
        if not is_whole(size) or size < 0 then
            return "needs a shape: a list of whole numbers"
        end
        product = product * size
    end
    return nil, product
end

-- What is wrong with one input, or nil and the bytes of it that follow the JSON.
local function check(input)
    local bad, expected = elements(input.shape)
    if bad then
        return bad
    end
    if not ELEMENTS[input.datatype] then
        return "needs a datatype: FP32, INT64 or another of the protocol's"
    end
    local parameters = input.parameters
    if parameters ~= nil and not is_object(parameters) then
        return "has parameters that are no object"
    end
    local binary = parameters and parameters.binary_data_size
    if binary ~= nil then
        if not is_whole(binary) or binary < 0 then
            return "has a binary_data_size that is no number of bytes"
        end
        return nil, binary
    end
    if parameters and parameters.shared_memory_region ~= nil then
        return nil, 0
    end
    if not is_list(input.data) then
        return "needs data: a list"
    end
    local found, strange = count(input.data, input.datatype)
    if strange then
        return strange
    end
    if found ~= expected then
        return string.format("has %d elements, but its shape says %.0f", found, expected)
    end
    return nil, 0
end

-- Whether numbers with a fraction or an exponent stand in JSON: 1.0 is no whole number to Triton, and lua-cjson reads it as 1.
local function has_fractions(json)
    return json:gsub('"[^"]*"', ""):find("%d[.eE]") ~= nil
end

local function named(list, what)
    for index = 1, #list do
        local entry = list[index]
        if not is_object(entry) or type(entry.name) ~= "string" then
            return what .. " " .. index .. " needs a name"
        end
        if entry.parameters ~= nil and not is_object(entry.parameters) then
            return what .. " " .. entry.name .. " has parameters that are no object"
        end
    end
end

local function check_inputs(inputs, json)
    local whole_only, following = true, 0
    for index = 1, #inputs do
        local input = inputs[index]
        local bad, bytes = check(input)
        if bad then
            return "input " .. input.name .. " " .. bad
        end
        whole_only, following = whole_only and ELEMENTS[input.datatype] == WHOLE, following + bytes
    end
    if whole_only and has_fractions(json) then
        return "all inputs are of whole numbers, and it has others: write 1, not 1.0"
    end
    return nil, following
end

-- What is wrong with a body whose JSON has `length` bytes (nil: all of it), as the end of a sentence; nil if nothing is.
function inferences.wrong(body, length)
    if length and (length ~= length or length < 0 or length > #body) then
        return "inference-header-content-length is not the length of its JSON"
    end
    local json = length and body:sub(1, length) or body
    local request = decoder.decode(json)
    if not is_object(request) then
        return "it is not an object of JSON"
    end
    if request.id ~= nil and type(request.id) ~= "string" then
        return "its id is no string"
    end
    if request.parameters ~= nil and not is_object(request.parameters) then
        return "its parameters are no object"
    end
    if not is_list(request.inputs) or #request.inputs == 0 then
        return "it needs inputs: a list of tensors"
    end
    if request.outputs ~= nil and not is_list(request.outputs) then
        return "its outputs are no list"
    end
    local bad = named(request.inputs, "input") or named(request.outputs or {}, "output")
    if bad then
        return bad
    end
    local wrong, following = check_inputs(request.inputs, json)
    if wrong then
        return wrong
    end
    if following ~= #body - #json then
        return string.format("%d bytes follow its JSON, and its inputs say %.0f", #body - #json, following)
    end
end

return inferences
