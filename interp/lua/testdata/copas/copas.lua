-- A server and clients on copas, a scheduler for LuaSocket.
local copas = require "copas"
local socket, say = require "socket", require "say"
local server = assert(socket.bind("127.0.0.1", 0))
local host, port = server:getsockname()
local CLIENTS, LINES = 30, 5
local served, pending, log = 0, 0, {}

copas.addserver(server, function(s)
    s = copas.wrap(s)
    while true do
        local line = s:receive()
        if not line then break end
        served = served + 1
        s:send(line:upper() .. "\n")
    end
end)

local function task(f, ...)
    pending = pending + 1
    copas.addthread(function(...)
        f(...)
        pending = pending - 1
    end, ...)
end

for i = 1, CLIENTS do
    task(function()
        local raw = socket.tcp()
        raw:settimeout(0)
        assert(copas.connect(raw, host, port))
        local s = copas.wrap(raw)
        for j = 1, LINES do
            local word = (i + j) % 7 == 0 and "slow" or "quick"
            assert(s:send(("%s %d %d\n"):format(word, i, j)))
            local answer = s:receive()
            log[#log + 1] = answer
        end
        if i == 1 then
            assert(s:send(("x"):rep(2000000) .. "\n"))
            local answer = s:receive()
            log[#log + 1] = tostring(#answer)
        end
        raw:close()
    end)
end

task(function()
    local raw = socket.udp()
    raw:setsockname("127.0.0.1", 0)
    raw:settimeout(0)
    local _, uport = raw:getsockname()
    local u = copas.wrap(raw)
    copas.addthread(function() socket.udp():sendto("datagram", "127.0.0.1", uport) end)
    local datagram = u:receive(8192)
    log[#log + 1] = datagram
end)

-- what is protected yields
task(function()
    local raw = socket.tcp()
    raw:settimeout(0)
    local s = copas.wrap(raw)
    local get = socket.protect(function(line)
        local try = socket.newtry(function() raw:close() end)
        try(copas.connect(raw, host, port))
        try(s:send(line))
        return try(s:receive())
    end)
    local answer = get("protected\n")
    log[#log + 1] = answer
    local _, problem = get("again\n")
    log[#log + 1] = tostring(problem)
end)

local limit = socket.gettime() + 15
while pending > 0 do
    assert(socket.gettime() < limit, "it does not end")
    copas.step(1)
end
table.sort(log)
for _, line in ipairs(log) do say("log", line) end
say("served", served)
