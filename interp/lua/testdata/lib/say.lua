-- Prints so that it does not matter which Lua it was: whole numbers have no
-- ".0", errors no position and no function's name, and objects no address.

local function text(v)
    if type(v) == "number" then return string.format("%.14g", v) end
    if type(v) == "userdata" then return (tostring(v):gsub(": 0x%x+$", "")) end
    if type(v) == "table" then return "a table" end
    if type(v) == "function" then return "a function" end
    if type(v) ~= "string" then return tostring(v) end
    v = v:gsub("^[^\n]-:%d+: ", "")
    v = v:gsub("^calling .- on bad self", "bad argument #1")
    v = v:gsub("^bad argument (#%-?%d+) to [^(]+%(", "bad argument %1 (")
    v = v:gsub("^bad argument (#%-?%d+) to %(anonymous%) %(", "bad argument %1 (")
    v = v:gsub("got no value", "got nil")
    return (v:gsub("[^ -~]", function(c) return string.format("\\%d", c:byte()) end))
end

return function(label, ...)
    local out = { label .. ":" }
    for i = 1, select("#", ...) do out[#out + 1] = text((select(i, ...))) end
    print(table.concat(out, " | "))
end
