-- Runs a test of LuaSocket's sources, in their directory:
--
--     luasocket.lua FILE HOST PORT SCALE [untimed]
--
-- A second of the test takes SCALE seconds. "untimed" says that LuaSocket was built without the
-- times that the tests read as a fourth result of send and receive. A server that gets port 0
-- prints its port.
local file, scale, untimed = arg[1], tonumber(arg[4]), arg[5] == "untimed"
host, port = arg[2], arg[3]
arg = {}
io.stdout:setvbuf("no") -- the tester waits for a line

local socket = require "socket"
socket._DEBUG = true

local sleep, gettime = socket.sleep, socket.gettime
function socket.sleep(seconds) return sleep(seconds * scale) end
function socket.gettime() return gettime() / scale end

-- ports holds the free port that stands for each port that a test names.
local ports = {}
local function actual(number) return ports[tonumber(number)] or number end

-- fixed returns the number of a port that a test names, or 0 for one that the system chose.
local function fixed(number)
    number = tonumber(number) or 0
    return number < 32768 and number or 0
end

-- bound replaces a function that binds to a named port.
local function bound(bind)
    return function(o, address, number, ...)
        local named = fixed(number)
        local result, err = bind(o, address, ports[named] or (named > 0 and 0 or number), ...)
        if result and named > 0 and o.getsockname then
            local _, number = o:getsockname()
            ports[named] = number
        end
        return result, err
    end
end

-- unanswered returns the port of a server that answers no connect: its queue is full.
local queue = {}
local function unanswered()
    local server = socket.tcp()
    assert(server:bind("127.0.0.1", 0))
    assert(server:listen(0))
    local _, number = server:getsockname()
    for i = 1, 4 do
        queue[i] = socket.tcp()
        queue[i]:settimeout(0)
        queue[i]:connect("127.0.0.1", number)
    end
    queue[0] = server
    return number
end

-- adapted replaces the methods of an object's class.
local function adapted(object)
    local methods = getmetatable(object).__index
    local settimeout, connect = methods.settimeout, methods.connect
    function methods.settimeout(o, seconds, mode) return settimeout(o, seconds and seconds * scale, mode) end
    for _, name in ipairs { "send", "receive" } do
        local method = methods[name]
        methods[name] = method and function(...)
            local began = gettime()
            local a, b, c, elapsed = method(...)
            if untimed then elapsed = gettime() - began end
            return a, b, c, elapsed and elapsed / scale
        end
    end
    if object.class == "tcp{master}" then
        local full
        methods.bind = bound(methods.bind)
        function methods.connect(o, address, number)
            if address == "10.0.0.1" then
                full = full or unanswered()
                return connect(o, "127.0.0.1", full)
            end
            return connect(o, address, actual(number))
        end
    elseif object.class == "udp{unconnected}" then
        local setpeername = methods.setpeername
        methods.setsockname = bound(methods.setsockname)
        function methods.setpeername(o, address, number) return setpeername(o, address, actual(number)) end
    end
    object:close()
end

adapted(socket.udp())
local server = assert(socket.bind("127.0.0.1", 0))
local _, number = server:getsockname()
adapted(assert(socket.connect("127.0.0.1", number)))
adapted(server)
adapted(socket.tcp())

local bind, connect = socket.bind, socket.connect
function socket.bind(address, number, ...)
    local named = fixed(number)
    local server, err = bind(address, ports[named] or (named > 0 and 0 or number), ...)
    if server and (named > 0 or number == "0") then
        local _, free = server:getsockname()
        ports[named] = named > 0 and free or nil
        if number == "0" then
            print("port " .. free)
        end
    end
    return server, err
end
function socket.connect(address, number, ...) return connect(address, actual(number), ...) end

dofile(file)
