-- Does TASK again and again for SECONDS of processor time. Prints how often a second.
local socket = require "socket"

local server = assert(socket.bind("127.0.0.1", 0))
local host, port = server:getsockname()
local a = assert(socket.connect(host, port))
local b = assert(server:accept())
server:close()
a:setoption("tcp-nodelay", true)

local tasks = {}

-- One system call receives many lines of 40 bytes.
local lines = ("a line of text of forty bytes or so....\n"):rep(200)
function tasks.lines()
    a:send(lines)
    for _ = 1, 200 do b:receive() end
    return 200
end

-- A system call for each message of 64 bytes.
local message = ("x"):rep(64)
function tasks.send()
    for _ = 1, 200 do a:send(message) end
    b:receive(200 * 64)
    return 200
end

local task, clock = tasks[TASK], os.clock
local done, began = 0, clock()
for _ = 1, 20 do task() end -- warms up
began = clock()
local passed
repeat
    for _ = 1, 20 do done = done + task() end
    passed = clock() - began
until passed >= SECONDS
print(("{\"PerSecond\": %.1f}"):format(done / passed))
