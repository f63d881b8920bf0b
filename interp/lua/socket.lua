-- The functions that call functions of the script. They are in Lua, so that these
-- may yield.

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

-- bind returns a server on the first address of a host that it can bind.
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

-- choose returns a function that calls the choice that its first argument names, or
-- the default.
function socket.choose(choices)
    return function(name, a, b)
        if type(name) ~= "string" then return choices["default"](name, a) end
        local chosen = choices[name]
        if not chosen then error("unknown key (" .. name .. ")", 2) end
        return chosen(a, b)
    end
end

-- Sources and sinks for LTN12. select takes them for their socket.

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
