-- Calls select for SOCKETS sockets, of which one is ready, again and again for SECONDS.
-- Prints the nanoseconds that a call took.
local socket = require "socket"

local server = assert(socket.bind("127.0.0.1", 0, 64))
local host, port = server:getsockname()
local sockets = {}
while #sockets < SOCKETS do
    sockets[#sockets + 1] = assert(socket.connect(host, port))
    sockets[#sockets + 1] = assert(server:accept())
end
server:close()
local middle = SOCKETS / 2 - SOCKETS / 2 % 2
assert(sockets[middle + 2]:send("x"))
local hot = sockets[middle + 1]

local now, select = socket.gettime, socket.select
local function round(calls)
    for _ = 1, calls do
        local ready = select(sockets, nil)
        if ready[1] ~= hot or ready[2] then error("another socket is ready") end
    end
end

round(10)
local calls, began = 0, now()
local passed
repeat
    round(20)
    calls = calls + 20
    passed = now() - began
until passed >= SECONDS
print(("{\"Nanoseconds\": %.1f}"):format(passed / calls * 1e9))
