-- Coroutines in coroutines, and what the library says of them.
require "socket"
local say = require "say"

-- One outlives its creator.
local inner
local outer = coroutine.create(function()
    inner = coroutine.create(function()
        for i = 1, 3 do coroutine.yield(i) end
        return "end"
    end)
    say("first", coroutine.resume(inner))
end)
say("outer", coroutine.resume(outer))
say("status", coroutine.status(outer), coroutine.status(inner))
for _ = 1, 4 do say("inner", coroutine.resume(inner)) end
say("status", coroutine.status(inner))

-- One outlives the protected call in which it was made.
say("outer", coroutine.resume(coroutine.create(function()
    say("failed", pcall(function()
        inner = coroutine.create(function() coroutine.yield(1) return "end" end)
        say("first", coroutine.resume(inner))
        error("x", 0)
    end))
    say("second", coroutine.resume(inner))
end)))

-- What is seen from within protected calls.
local co
co = coroutine.create(function()
    return pcall(function()
        local status = coroutine.status(co)
        local ok, problem = coroutine.resume(co)
        local nested = coroutine.wrap(function() return coroutine.status(co) end)()
        return status, ok, problem, nested
    end)
end)
say("within", coroutine.resume(co))
say("dead", coroutine.resume(co))

-- How many values pass.
co = coroutine.create(function(...)
    local n = select("#", ...)
    local _, m = pcall(function() return select("#", coroutine.yield()) end)
    local _, k = pcall(function() return select("#", coroutine.yield(nil, nil)) end)
    return n, m, k
end)
say("values", select("#", coroutine.resume(co, nil)))
say("values", select("#", coroutine.resume(co)))
say("values", coroutine.resume(co, nil, nil, nil))

-- Functions of the library as main functions, and protected.
say("main", coroutine.resume(coroutine.create(math.max), 1, 3, 2))
co = coroutine.create(coroutine.yield)
say("main", coroutine.resume(co, 1, 2))
say("main", coroutine.resume(co, 3))
say("wrap", coroutine.wrap(select)("#", nil, nil))
say("outside", (pcall(coroutine.yield)))

-- Errors pass through wrap, and can be caught.
local t = {}
say("table", select(2, pcall(coroutine.wrap(function() error(t) end))) == t)
local f = coroutine.wrap(function() return 1 end)
say("ended", f(), (pcall(f)))
say("goes on", coroutine.wrap(function()
    local ok = pcall(coroutine.wrap(function() error("x") end))
    return ok, coroutine.yield("from outside")
end)())

-- Handlers run where the error is, with all the arguments passed.
say("arguments", xpcall(function(...) return select("#", ...), ... end, print, 1, nil))
say("handled", xpcall(function(a, b) error(a .. b, 0) end, function(e) return "<" .. e .. ">" end, "x", "y"))
say("handled", xpcall(function() local t = nil; return t.x end, type))
local function depth() local n = 0 while debug.getinfo(n + 1) do n = n + 1 end return n end
local function fail() error("x") end
local _, deep = xpcall(function() local x = fail() return x end, depth)
say("on the stack", deep > 3)
say("yields", coroutine.wrap(function()
    return xpcall(function() return coroutine.yield("yielded") end, print)
end)())
