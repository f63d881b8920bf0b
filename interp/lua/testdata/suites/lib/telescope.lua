-- Runs a test file in the style of the module telescope: context, test, before, after, and
-- assertions by name. It prints whether each test passes.
local telescope = {}

local current = { path = "" }
local tests = {}

local function block(name, body)
    local outer = current
    current = { path = outer.path .. name .. ": ", outer = outer }
    body()
    current = outer
end

context, describe = block, block
function before(f) current.before = f end
function after(f) current.after = f end
function test(name, body) tests[#tests + 1] = { name = current.path .. name, context = current, body = body } end

-- make_assertion defines assert_NAME and assert_not_NAME.
function telescope.make_assertion(name, message, holds)
    local function check(wanted)
        return function(...)
            if (not not holds(...)) ~= wanted then error("assertion " .. name .. " failed", 2) end
            return true
        end
    end
    _G["assert_" .. name], _G["assert_not_" .. name] = check(true), check(false)
end

for name, holds in pairs {
    equal = function(a, b) return a == b end,
    ["true"] = function(a) return a == true end,
    ["false"] = function(a) return a == false end,
    ["nil"] = function(a) return a == nil end,
    error = function(f) return not pcall(f) end,
    empty = function(t) return next(t) == nil end,
    type = function(v, name) return type(v) == name end,
    greater_than = function(a, b) return a > b end,
    gte = function(a, b) return a >= b end,
    less_than = function(a, b) return a < b end,
    lte = function(a, b) return a <= b end,
    match = function(pattern, s) return s:match(pattern) ~= nil end,
} do
    telescope.make_assertion(name, "", holds)
end

local function hooks(c, which)
    if not c then return end
    if which == "before" then hooks(c.outer, which) end
    if c[which] then c[which]() end
    if which == "after" then hooks(c.outer, which) end
end

-- run runs the tests that were read, except those whose names skip has.
function telescope.run(skip)
    local passed, failed, skipped = 0, 0, 0
    for _, t in ipairs(tests) do
        if skip[t.name] then
            skipped = skipped + 1
            print("skipped " .. t.name)
        else
            local ok, problem = pcall(function()
                hooks(t.context, "before")
                t.body()
                hooks(t.context, "after")
            end)
            if ok then passed = passed + 1 else failed = failed + 1 end
            print((ok and "ok " or "not ok ") .. t.name)
            if not ok then print("  " .. tostring(problem):gsub("^.-:%d+: ", "")) end
        end
    end
    print(("%d tests, %d failed, %d skipped"):format(passed + failed, failed, skipped))
end

return telescope
