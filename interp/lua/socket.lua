-- What calls back into Lua, and so may have to yield: written in Lua.

local socket, pcall, rethrow = ...
local setmetatable, type, error, ipairs = setmetatable, type, error, ipairs

local function outcome(ok, ...)
    if ok then return ... end
    return rethrow(...)
end

function socket.protect(f)
    return function(...) return outcome(pcall(f, ...)) end
end

socket.try = socket.newtry()

function socket.connect4(address, port, laddress, lport)
    return socket.connect(address, port, laddress, lport, "inet")
end

function socket.connect6(address, port, laddress, lport)
    return socket.connect(address, port, laddress, lport, "inet6")
end

-- The first of a host's addresses that a server can be put on.
function socket.bind(host, port, backlog)
    local addresses, problem = socket.dns.getaddrinfo(host == "*" and "0.0.0.0" or host)
    if not addresses then return nil, problem end
    problem = "no info on address"
    for _, address in ipairs(addresses) do
        local server, ok
        server, problem = (address.family == "inet" and socket.tcp4 or socket.tcp6)()
        if not server then return nil, problem end
        server:setoption("reuseaddr", true)
        ok, problem = server:bind(address.addr, port)
        if ok then ok, problem = server:listen(backlog) end
        if ok then return server end
        server:close()
    end
    return nil, problem
end

-- A function that chooses one of several by its first argument, if that is a
-- name.
function socket.choose(choices)
    return function(name, a, b)
        if type(name) ~= "string" then return choices["default"](name, a) end
        local chosen = choices[name]
        if not chosen then error("unknown key (" .. name .. ")", 2) end
        return chosen(a, b)
    end
end

-- Sources and sinks for LTN12. Those of a socket are waited for as the socket.

socket.BLOCKSIZE = 2048

local function standing_for(sock, call)
    return setmetatable({
        getfd = function() return sock:getfd() end,
        dirty = function() return sock:dirty() end,
    }, { __call = call })
end

local sinks, sources = {}, {}
socket.sinkt, socket.sourcet = sinks, sources

sinks["close-when-done"] = function(sock)
    return standing_for(sock, function(_, chunk)
        if chunk then return sock:send(chunk) end
        sock:close()
        return 1
    end)
end

sinks["keep-open"] = function(sock)
    return standing_for(sock, function(_, chunk)
        if chunk then return sock:send(chunk) end
        return 1
    end)
end

sources["by-length"] = function(sock, length)
    return standing_for(sock, function()
        if length <= 0 then return nil end
        local chunk, problem = sock:receive(length < socket.BLOCKSIZE and length or socket.BLOCKSIZE)
        if problem then return nil, problem end
        length = length - #chunk
        return chunk
    end)
end

sources["until-closed"] = function(sock)
    local over = false
    return standing_for(sock, function()
        if over then return nil end
        local chunk, problem, rest = sock:receive(socket.BLOCKSIZE)
        if not problem then return chunk end
        if problem ~= "closed" then return nil, problem end
        sock:close()
        over = true
        return rest
    end)
end

sinks["default"], sources["default"] = sinks["keep-open"], sources["until-closed"]
socket.sink, socket.source = socket.choose(sinks), socket.choose(sources)
