-- pcall and xpcall in coroutines, as Lua 5.4 has them.
require "socket"
local say = require "say"

local function inside(f, ...)
    local co = coroutine.wrap(f)
    return co(...)
end

say("outside", pcall(function(...) return ... end, 1, nil, 3))
say("outside, error", pcall(error, "x", 0))
for _, where in ipairs { "outside", "inside" } do
    local run = where == "inside" and inside or function(f, ...) return f(...) end
    say(where, run(function() return pcall(function(...) return select("#", ...), ... end, 1, nil, nil) end))
    say(where .. ", nothing", run(function() return select("#", pcall(function() end)) end))
    say(where .. ", error", run(function() return pcall(error, "x", 0) end))
    say(where .. ", error nil", run(function() return pcall(error, nil) end))
    say(where .. ", error table", run(function() local t = {} local _, e = pcall(error, t) return e == t end))
    say(where .. ", no function", run(function() return (pcall(nil)) end))
    say(where .. ", callable", run(function() return pcall(setmetatable({}, { __call = function(_, x) return x end }), 5) end))
    say(where .. ", nested", run(function() return pcall(pcall, pcall, error, "x", 0) end))
    say(where .. ", xpcall", run(function() return xpcall(function() return 1, 2 end, print) end))
    say(where .. ", xpcall error", run(function() return xpcall(function() error("x", 0) end, function(e) return e .. "!" end) end))
    say(where .. ", many", run(function()
        local good, bad = 0, 0
        for i = 1, 300 do
            if pcall(function() if i % 3 == 0 then error("x") end end) then good = good + 1 else bad = bad + 1 end
        end
        return good, bad
    end))
end

local co = coroutine.wrap(function(...)
    local a = pcall(coroutine.yield, "first", ...)
    local results = { pcall(function()
        local x = coroutine.yield("second")
        local ok, problem = pcall(function()
            local y = coroutine.yield("third", x)
            error(y, 0)
        end)
        return ok, problem, coroutine.yield("fourth")
    end) }
    return a, results[1], results[2], results[3], results[4], results[5]
end)
say("yield", co("a", "b"))
say("yield", co())
say("yield", co("x"))
say("yield", co("y"))
say("return", co("z"))

-- the coroutine is the same within a protected call
local outer
outer = coroutine.create(function()
    local a = coroutine.running() == outer
    local _, b = pcall(function() return coroutine.running() == outer end)
    local _, _, c = pcall(pcall, function() return coroutine.running() == outer end)
    local inner = coroutine.wrap(function() return pcall(function() return coroutine.running() == outer end) end)
    local _, d = inner()
    return a, b, c, d
end)
say("running", coroutine.resume(outer))

-- coroutines that wait at the same time in protected calls, and end in another order
local log, waiting = {}, {}
for i = 1, 100 do
    waiting[i] = coroutine.create(function()
        local ok, sum = pcall(function()
            local sum = 0
            for _ = 1, 3 do sum = sum + coroutine.yield() end
            if i % 10 == 0 then error(i, 0) end
            return sum
        end)
        log[i] = tostring(ok) .. " " .. string.format("%.0f", sum)
    end)
    coroutine.resume(waiting[i])
end
for turn = 1, 3 do
    for i = 100, 1, -1 do assert(coroutine.resume(waiting[i], i * turn)) end
end
say("all", table.concat(log, ","))
say("dead", coroutine.status(waiting[1]), coroutine.status(waiting[100]))

-- one that is dropped
coroutine.wrap(function() pcall(coroutine.yield) end)()
say("still", inside(function() return pcall(function() return "works" end) end))
