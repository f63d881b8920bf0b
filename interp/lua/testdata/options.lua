local socket = require "socket"
local unix = require "socket.unix"
local say = require "say"

local function value(v)
    if type(v) ~= "table" then return v end
    return tostring(v.on) .. string.format(",%.0f", v.timeout)
end

local values = { true, false, 5, "*", "x", { on = true, timeout = 3 }, { on = false, timeout = 0 }, { on = 1 },
    { multiaddr = "224.0.0.1", interface = "127.0.0.1" }, { multiaddr = "224.0.0.1", interface = "*" },
    { multiaddr = "x", interface = "*" }, { multiaddr = "ff02::1", interface = 1 }, { multiaddr = "ff02::1" }, {} }

local function try(s, name)
    for i, v in ipairs(values) do
        -- C takes a number for an IPv4 address in one part.
        if name == "ip-multicast-if" and v == 5 then v = "none" end
        say("set " .. name .. " to value " .. i, pcall(s.setoption, s, name, v))
    end
    say("set " .. name, pcall(s.setoption, s, name))
end

local function get(s, name)
    local ok, v, problem = pcall(s.getoption, s, name)
    say("get " .. name, ok, value(v), problem)
end

for _, make in ipairs { socket.tcp4, socket.tcp6 } do
    local s = make()
    say("object", s)
    for _, name in ipairs { "keepalive", "reuseaddr", "reuseport", "tcp-nodelay", "linger", "tcp-keepidle", "tcp-keepcnt", "tcp-keepintvl" } do
        get(s, name)
        try(s, name)
        get(s, name)
    end
    for _, name in ipairs { "ipv6-v6only", "tcp-defer-accept", "tcp-fastopen" } do try(s, name) end
    get(s, "error")
    get(s, "none")
    try(s, "none")
    say("no name", (pcall(s.getoption, s)))
    s:setoption("recv-buffer-size", 8192)
    get(s, "recv-buffer-size")
    s:setoption("send-buffer-size", 8192)
    get(s, "send-buffer-size")
    s:close()
    get(s, "keepalive")
    say("closed", s:setoption("keepalive", true))
end

for _, make in ipairs { socket.udp4, socket.udp6 } do
    local s = make()
    say("object", s)
    for _, name in ipairs { "broadcast", "dontroute", "reuseaddr", "reuseport", "ip-multicast-loop", "ip-multicast-if" } do
        get(s, name)
        try(s, name)
        get(s, name)
    end
    for _, name in ipairs { "ip-multicast-ttl", "ip-add-membership", "ip-drop-membership" } do try(s, name) end
    get(s, "error")
    get(s, "tcp-nodelay")
end

local six = socket.udp6()
for _, name in ipairs { "ipv6-unicast-hops", "ipv6-multicast-loop", "ipv6-v6only" } do
    get(six, name)
    try(six, name)
    get(six, name)
end
try(six, "ipv6-add-membership")

local stream, dgram = unix.stream(), unix.dgram()
for _, name in ipairs { "keepalive", "reuseaddr", "linger" } do try(stream, name) end
try(dgram, "reuseaddr")

-- numbers as text
local client = socket.tcp4()
say("linger", client:setoption("linger", { on = true, timeout = "0x3" }))
get(client, "linger")
for _, text in ipairs { "0x5", " 6 ", "0b1", "x" } do
    client:setoption("tcp-keepcnt", text)
    get(client, "tcp-keepcnt")
end

-- an error that is waiting
local free = socket.udp()
free:setsockname("127.0.0.1", 0)
local _, port = free:getsockname()
free:close()
local s = socket.udp()
s:setpeername("127.0.0.1", port)
s:send("x")
socket.select({ s }, nil, 5)
get(s, "error")
get(s, "error")
