-- settimeout: modes, and how long calls take.
local socket = require "socket"
local say = require "say"

local server = assert(socket.bind("127.0.0.1", 0))
local host, port = server:getsockname()
local a = assert(socket.connect(host, port))
local b = assert(server:accept())

-- Says what f returns, and whether it took at least so long, and not a thousand times that long.
-- On a busy machine the rest may take seconds.
local function takes(label, least, f, ...)
    local began = socket.gettime()
    local results = { f(...) }
    local took = socket.gettime() - began
    say(label, results[1], results[2], took >= least - 0.001, took < least + 10)
end

say("none", b:gettimeout())
say("as text", b:settimeout(" 0x10 "), b:gettimeout())
say("no number", pcall(b.settimeout, b, "0b1"))
say("block", b:settimeout(0.03), b:gettimeout())
takes("receive", 0.03, b.receive, b)
takes("receive bytes", 0.03, b.receive, b, 5)
takes("receive all", 0.03, b.receive, b, "*a")
say("total", b:settimeout(0.02, "t"), b:gettimeout())
takes("the smaller", 0.02, b.receive, b)
say("block only again", b:settimeout(nil, "t"), b:gettimeout())
say("a word", b:settimeout(0.02, "total"), b:gettimeout())
say("another", b:settimeout(-1, "block"), b:gettimeout())
takes("total", 0.02, b.receive, b)
say("zero", b:settimeout(0), b:gettimeout())
takes("zero", 0, b.receive, b)
say("zero total", b:settimeout(-1), b:settimeout(0, "t"), b:gettimeout())
takes("zero total", 0, b.receive, b)
say("bad mode", pcall(b.settimeout, b, 1, "x"))
say("bad time", (pcall(b.settimeout, b, "soon")))
say("a text", b:settimeout("0.5"), b:gettimeout())
say("nothing", b:settimeout(), b:gettimeout())
b:settimeout(nil, "t")

say("data is there", a:send("x\n"), b:receive())

server:settimeout(0)
takes("accept, zero", 0, server.accept, server)
server:settimeout(0.02)
takes("accept", 0.02, server.accept, server)
server:settimeout(-1)
server:settimeout(0.02, "t")
takes("accept, total", 0.02, server.accept, server)

-- A server that does not accept, its queue full.
local full = socket.tcp()
full:bind("127.0.0.1", 0)
full:listen(0)
local _, fullport = full:getsockname()
local held = {}
local c
repeat
    c = socket.tcp()
    c:settimeout(0.02)
    held[#held + 1] = c
until not c:connect("127.0.0.1", fullport)
c = socket.tcp()
c:settimeout(0.03)
takes("connect", 0.03, c.connect, c, "127.0.0.1", fullport)
say("is a client", c)
takes("connect on", 0, c.connect, c, "127.0.0.1", fullport)
c = socket.tcp()
c:settimeout(0)
takes("connect, zero", 0, c.connect, c, "127.0.0.1", fullport)

-- A connect that is left to itself.
local free = socket.tcp()
free:bind("127.0.0.1", 0)
local _, freeport = free:getsockname()
c = socket.tcp()
c:settimeout(0)
say("connect", c:connect("127.0.0.1", port))
local _, writable = socket.select(nil, { c }, 5)
say("writable", writable[1] == c)
say("connected", (c:getpeername()))
c = socket.tcp()
c:settimeout(0)
say("connect", c:connect("127.0.0.1", freeport))
say("refused", c:connect("127.0.0.1", freeport))

local u = socket.udp()
u:setsockname("127.0.0.1", 0)
u:settimeout(0.02)
takes("udp", 0.02, u.receive, u)
takes("udp from", 0.02, u.receivefrom, u)
u:settimeout(0)
takes("udp, zero", 0, u.receive, u)

takes("select, nothing", 0.02, function() return select(3, socket.select(nil, nil, 0.02)) end)
takes("select", 0.02, function() return select(3, socket.select({ b }, nil, 0.02)) end)
takes("select, zero", 0, function() return select(3, socket.select({ b }, nil, 0)) end)
