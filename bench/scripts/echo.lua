-- A server that sends back what it receives, written as usual for select of LuaSocket.
local socket = require "socket"

local server = assert(socket.bind("127.0.0.1", 0, 4096))
server:settimeout(0)
local host, port = server:getsockname()
print(("{\"Addr\": \"%s:%s\"}"):format(host, port))
io.stdout:flush()

local sockets, places = { server }, {}

local function accept()
    local client = server:accept()
    while client do
        client:settimeout(0)
        client:setoption("tcp-nodelay", true)
        sockets[#sockets + 1] = client
        places[client] = #sockets
        client = server:accept()
    end
end

local function drop(client)
    local place, last = places[client], table.remove(sockets)
    if last ~= client then
        sockets[place] = last
        places[last] = place
    end
    places[client] = nil
    client:close()
end

-- Sends all, waiting for room if need be.
local function send(client, data)
    local sent, problem, last = client:send(data)
    while problem == "timeout" do
        socket.select(nil, { client })
        sent, problem, last = client:send(data, last + 1)
    end
    return sent
end

while true do
    local ready = socket.select(sockets)
    for i = 1, #ready do
        local client = ready[i]
        if client == server then
            accept()
        else
            local data, problem, part = client:receive(8192)
            data = data or part
            if data ~= "" and not send(client, data) or problem == "closed" then drop(client) end
        end
    end
end
