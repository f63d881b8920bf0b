-- An HTTP server on copas, with keep-alive.
local copas = require "copas"
local socket = require "socket"

local server = assert(socket.bind("127.0.0.1", 0, 4096))
local host, port = server:getsockname()
print(("{\"Addr\": \"%s:%s\"}"):format(host, port))
io.stdout:flush()

local body = ("x"):rep(SIZE)
local answer = ("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s"):format(SIZE, body)

copas.addserver(server, function(raw)
    raw:setoption("tcp-nodelay", true)
    local client = copas.wrap(raw)
    while true do
        local request = client:receive()
        if not request then break end
        local method, path = request:match("^(%u+) (%S+) HTTP/1%.%d$")
        if not method then break end
        local headers = {}
        while true do
            local line = client:receive()
            if not line or line == "" then break end
            local name, value = line:match("^([^:]+):%s*(.*)$")
            if name then headers[name:lower()] = value end
        end
        if not client:send(answer) or headers.connection == "close" then break end
    end
    raw:close()
end)
copas.loop()
