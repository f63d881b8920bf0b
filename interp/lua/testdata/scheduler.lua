-- Coroutines on select: each call that would block yields until select, or a
-- timer, wakes it. Sockets are wrapped, as schedulers do.
local socket = require "socket"
local say = require "say"

local ready, reading, writing, timers = {}, {}, {}, {}

local function spawn(f, ...)
    local args = { n = select("#", ...), ... }
    ready[#ready + 1] = { co = coroutine.create(function() f((table.unpack or unpack)(args, 1, args.n)) end) }
end

-- Waits until a socket is ready, or so many seconds; says which it was.
local function wait(kind, s, seconds)
    return coroutine.yield(kind, s, seconds)
end
local function sleep(seconds) wait("sleep", nil, seconds) end

local function step(task, value)
    local ok, kind, s, seconds = coroutine.resume(task.co, value)
    assert(ok, kind)
    if coroutine.status(task.co) == "dead" then return end
    task.kind, task.socket = kind, s
    task.at = seconds and socket.gettime() + seconds
    if kind == "read" then reading[s] = task elseif kind == "write" then writing[s] = task end
    if task.at then timers[task] = true end
end

local function wake(task, value)
    if task.kind == "read" then reading[task.socket] = nil elseif task.kind == "write" then writing[task.socket] = nil end
    timers[task] = nil
    step(task, value)
end

local function loop()
    while true do
        local now = ready
        ready = {}
        for _, task in ipairs(now) do step(task) end
        local r, w, nearest = {}, {}, nil
        for s in pairs(reading) do r[#r + 1] = s end
        for s in pairs(writing) do w[#w + 1] = s end
        for task in pairs(timers) do nearest = math.min(nearest or task.at, task.at) end
        if #r + #w == 0 and not nearest and #ready == 0 then return end
        local pause = nearest and math.max(nearest - socket.gettime(), 0)
        if #ready > 0 then pause = 0 end
        local rs, ws = socket.select(r, w, pause)
        for _, s in ipairs(rs) do wake(reading[s], "ready") end
        for _, s in ipairs(ws) do wake(writing[s], "ready") end
        local time, late = socket.gettime(), {}
        for task in pairs(timers) do
            if task.at <= time then late[#late + 1] = task end
        end
        for _, task in ipairs(late) do wake(task, "timeout") end
    end
end

local wrapper = {}
wrapper.__index = wrapper
local function wrap(s, seconds)
    s:settimeout(0)
    return setmetatable({ s = s, seconds = seconds }, wrapper)
end
function wrapper:receive(pattern, part)
    while true do
        local data, problem
        data, problem, part = self.s:receive(pattern, part)
        if problem ~= "timeout" then return data, problem, part end
        if wait("read", self.s, self.seconds) == "timeout" then return nil, "timeout", part end
    end
end
function wrapper:send(data, from)
    from = from or 1
    while true do
        local sent, problem, last = self.s:send(data, from)
        if problem ~= "timeout" then return sent, problem, last end
        from = last + 1
        wait("write", self.s)
    end
end
function wrapper:accept()
    while true do
        local s, problem = self.s:accept()
        if problem ~= "timeout" then return s, problem end
        wait("read", self.s)
    end
end
function wrapper:connect(host, port)
    local ok, problem = self.s:connect(host, port)
    if problem == "timeout" then
        wait("write", self.s)
        ok, problem = self.s:connect(host, port)
        if problem == "already connected" then ok, problem = 1, nil end
    end
    return ok, problem
end
function wrapper:close() return self.s:close() end
function wrapper:getfd() return self.s:getfd() end
function wrapper:dirty() return self.s:dirty() end

-- An echo server, and what is tried with it.
local listener = assert(socket.bind("127.0.0.1", 0))
local host, port = listener:getsockname()
local server = wrap(listener)
local log, expected, done = {}, 0, 0

local function note(name, ...)
    local words = {}
    for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
    log[#log + 1] = name .. ": " .. table.concat(words, " ")
end

spawn(function()
    while true do
        local s = server:accept()
        if not s then return end
        spawn(function()
            s = wrap(s)
            while true do
                local line = s:receive()
                if not line then break end
                s:send(line .. "\n")
            end
            s:close()
        end)
    end
end)

local function client(name, f)
    expected = expected + 1
    spawn(function()
        local s = wrap(socket.tcp())
        assert(s:connect(host, port))
        f(s, function(...) note(name, ...) end)
        s:close()
        done = done + 1
    end)
end

for i = 1, 20 do
    client(("client %02d"):format(i), function(s, say)
        for j = 1, 5 do
            s:send("message " .. j)
            if (i + j) % 3 == 0 then sleep(0.001 * (i % 4)) end
            s:send(" of " .. i .. "\n")
            say((s:receive()))
        end
    end)
end

client("timeout", function(s, say)
    s.seconds = 0.02
    s:send("half")
    say(s:receive())
    s:send("\n")
    s.seconds = 5
    say((s:receive()))
end)

client("much", function(s, say)
    local line = ("x"):rep(3000000)
    s:send(line .. "\n")
    say(#(s:receive()))
end)

-- A protected call that yields, and a source that does.
client("protected", function(s, say)
    local try = socket.newtry(function() say("finalized") end)
    local get = socket.protect(function(words)
        try(s:send(words .. "\n"))
        return try(s:receive())
    end)
    say(get("words"))
    local fail = socket.protect(function()
        s.seconds = 0.01
        return try(s:receive())
    end)
    say(fail())
    s.seconds = 5
    s:send("twenty bytes of text\n")
    local source = socket.source("by-length", s, 21)
    say((source():gsub("\n", "")))
    say(source())
end)

-- Ends the server when all are done.
spawn(function()
    while done < expected do sleep(0.005) end
    reading[listener] = nil
    listener:close()
end)

local began = socket.gettime()
spawn(function() sleep(0.03) note("slept", socket.gettime() - began >= 0.03) end)

loop()
table.sort(log)
for _, line in ipairs(log) do say("log", line) end
say("tasks", expected, done, next(reading), next(writing), next(timers))
