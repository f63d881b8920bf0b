-- try and protect, choose, sources and sinks.
local socket = require "socket"
local say = require "say"

say("try", socket.try(1, 2, 3))
say("try nothing", (pcall(socket.try)))
say("try false", (pcall(socket.try, false, "no")))
local finals = 0
local try = socket.newtry(function(...) finals = finals + 1 + select("#", ...) end)
say("newtry", try("a", "b"), finals)
say("newtry nil", (pcall(try, nil, "no")), finals)
say("a finalizer that fails", pcall(socket.newtry(function() error("worse", 0) end), nil, "bad"))
say("no finalizer", (pcall(socket.newtry(nil), nil, "no")))

say("protect", socket.protect(function(...) return ... end)(1, nil, 3))
say("caught", socket.protect(function() socket.try(nil, "problem", "lost") end)())
say("caught, no message", socket.protect(function() socket.try(false) end)())
say("caught, a table", type(select(2, socket.protect(function() socket.try(nil, {}) end)())))
say("another error", pcall(socket.protect(function() error("other", 0) end)))
say("a table", type(select(2, pcall(socket.protect(function() error({ 1 }) end)))))
say("nested", socket.protect(function()
    local ok, problem = socket.protect(function() socket.try(nil, "inner") end)()
    socket.try(nil, problem .. " and outer")
end)())
say("try in a call", socket.protect(function() local f = function() socket.try(nil, "deep") end f() end)())

-- within a coroutine, what is protected may yield
local co = coroutine.wrap(function(...)
    local f = socket.protect(function(a, b)
        local c = coroutine.yield(a + b)
        local d, e = coroutine.yield(c * 2)
        socket.try(d, e)
        return d, e
    end)
    local first = { f(...) }
    coroutine.yield("returned", first[1], first[2])
    coroutine.yield(f(1, 2))
    return "over"
end)
say("yield", co(1, 2))
say("yield", co(5))
say("return", co("d", "e"))
say("yield", co())
say("yield", co(6))
say("problem", co(nil, "thrown"))
local failing = coroutine.create(function()
    return socket.protect(function() coroutine.yield(1) error("other", 0) end)()
end)
say("yield", coroutine.resume(failing))
say("another error", coroutine.resume(failing))

local choose = socket.choose { default = function(a, b) return "default", a, b end, x = function(a, b) return "x", a, b end }
say("choose", choose("x", 1, 2))
say("the default", choose(5))
say("none", (pcall(choose, "y")))

-- sources and sinks
local server = assert(socket.bind("127.0.0.1", 0))
local host, port = server:getsockname()
local a = assert(socket.connect(host, port))
local b = assert(server:accept())
local sink = socket.sink("keep-open", a)
say("sink", sink("chunk one "), sink(nil), a:getfd() >= 0)
sink = socket.sink("close-when-done", a)
say("sink", sink("chunk two"), sink:getfd() == a:getfd(), sink:dirty())
say("done", sink(nil), a:getfd())
local source = socket.source("by-length", b, 10)
say("source", source:getfd() == b:getfd(), source(), source:dirty())
say("at its end", source())
source = socket.source("until-closed", b)
say("source", source())
say("at its end", source(), b:getfd())
say("default", type(socket.sink(b)), type(socket.source(b)))
say("unknown", (pcall(socket.sink, "unknown", b)))

a = assert(socket.connect(host, port))
b = assert(server:accept())
a:send(("x"):rep(5000))
a:close()
source = socket.source("by-length", b, 6000)
say("blocks", #source(), #source())
say("too short", source())
socket.BLOCKSIZE = 10
a = assert(socket.connect(host, port))
b = assert(server:accept())
a:send(("x"):rep(15))
a:close()
source = socket.source("until-closed", b)
say("smaller blocks", #source(), #source(), source())
