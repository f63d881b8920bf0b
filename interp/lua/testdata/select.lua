-- select: what it takes, what it gives, and in which order.
local socket = require "socket"
local say = require "say"

local server = assert(socket.bind("127.0.0.1", 0))
local host, port = server:getsockname()
local function pair()
    local a = assert(socket.connect(host, port))
    return a, assert(server:accept())
end

-- Says which of some named objects are in the results.
local function results(label, named, r, w, problem)
    local out = {}
    for i, name in ipairs(named.names) do
        local o = named[i]
        out[#out + 1] = ("%s=%.0f,%.0f"):format(name, r[o] or 0, w[o] or 0)
        if r[o] and r[r[o]] ~= o or w[o] and w[w[o]] ~= o then out[#out + 1] = "WRONG" end
    end
    say(label, #r, #w, problem, table.concat(out, " "))
end

local a, b = pair()
local c, d = pair()
local all = { a, b, c, d, server, names = { "a", "b", "c", "d", "server" } }

results("no lists", all, socket.select(nil, nil, 0))
results("empty lists", all, socket.select({}, {}, 0))
results("nothing to read", all, socket.select({ a, b, c, d, server }, nil, 0))
results("all to write", all, socket.select(nil, { a, b, c, d }, 0))
results("backwards", all, socket.select(nil, { d, c, b, a }, 0))
a:send("x\ny\n")
results("one to read", all, socket.select({ d, c, b, a }, nil, 5))
results("in both", all, socket.select({ b }, { b, a }, 5))
results("again", all, socket.select({ b }, nil, 0))
results("twice in a list", all, socket.select({ b, b, a }, nil, 0))
say("line", b:receive())
local began = socket.gettime()
results("buffered", all, socket.select({ a, b, c, d }, { a }, 5))
c:send("z\n")
socket.select({ d }, nil, 5)
results("buffered first", all, socket.select({ d, b }, nil, 5))
results("buffered in no list to read", all, socket.select({ a }, { b }, 0))
results("buffered, and nothing else", all, socket.select({ a, b }, nil, 5))
local many = { b }
for i = 1, 20 do many[i + 1] = socket.udp4() end
results("buffered among many", all, socket.select(many, nil, 5))
say("without waiting", socket.gettime() - began < 4)
say("lines", b:receive(), d:receive())

-- lists
results("up to the first nil", all, socket.select(nil, { a, nil, c }, 0))
local odd = setmetatable({}, { __index = { a, b } })
results("by __index", all, socket.select(nil, odd, 0))
results("more than a list", all, socket.select(nil, { a, [a] = 7, x = b }, 0))
results("passed over", all, socket.select(nil, { {}, "text", { getfd = function() return -1 end },
    { getfd = function() end }, { getfd = function() return "text" end }, a }, 0))
for _, bad in ipairs { 1, true } do
    say("bad entry", (pcall(socket.select, { bad }, nil, 0)))
    say("bad list", (pcall(socket.select, bad, nil, 0)))
    say("bad list", (pcall(socket.select, nil, bad, 0)))
end
say("bad time", (pcall(socket.select, nil, nil, "soon")))
say("a text", select(3, socket.select(nil, nil, "0.01")))

-- objects that stand for others
local calls = {}
local function wrapped(s, dirty)
    return {
        getfd = function(self) calls[#calls + 1] = "getfd" return s:getfd() end,
        dirty = function(self) calls[#calls + 1] = "dirty" return dirty end,
    }
end
local wa, wb = wrapped(a), wrapped(b)
local wraps = { wa, wb, names = { "wa", "wb" } }
results("wrapped, to write", wraps, socket.select(nil, { wa, wb }, 0))
results("wrapped, to read", wraps, socket.select({ wa, wb }, nil, 0))
a:send("x\n")
results("wrapped, ready", wraps, socket.select({ wa, wb }, nil, 5))
say("line", b:receive())
say("calls", #calls > 0)
local dirty = wrapped(a, true)
results("wrapped, dirty", { dirty, names = { "dirty" } }, socket.select({ dirty }, nil, 5))
local plain = { getfd = function() return a:getfd() end }
results("without dirty", { plain, names = { "plain" } }, socket.select({ plain }, { plain }, 0))
local source = socket.source("until-closed", b)
a:send("x\n")
results("a source", { source, names = { "source" } }, socket.select({ source }, nil, 5))
say("line", b:receive())

-- methods that the script has put in place of the library's
local methods = getmetatable(a).__index
local getfd, dirtied = methods.getfd, methods.dirty
methods.dirty = function(s) return s == c end
results("another dirty", all, socket.select({ a, b, c, d }, nil, 5))
methods.dirty = dirtied
methods.getfd = function(s) return s == a and -1 or getfd(s) end
results("another getfd", all, socket.select(nil, { a, b }, 0))
methods.getfd = getfd
results("as before", all, socket.select(nil, { a, b }, 0))

-- what is closed, and what ends
b:close()
results("closed", all, socket.select({ b }, { b }, 0))
results("the peer's end", all, socket.select({ a }, nil, 5))
results("closed and others", all, socket.select({ b, a, d }, { b, d }, 5))
c:send("1\n2\n")
say("line", d:receive())
d:close()
results("closed, and buffered", all, socket.select({ d }, nil, 0))
say("line", d:receive())

-- a listening socket, and one that is not connected
local e = socket.connect(host, port)
results("to accept", all, socket.select({ server }, nil, 5))
say("accept", server:accept())
say("without a descriptor", #(socket.select({ socket.tcp() }, nil, 0)))
results("negative time", all, socket.select(nil, { a }, -1))
results("no time", all, socket.select(nil, { a }))
