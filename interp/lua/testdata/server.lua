-- A server on select, and 500 clients in the same loop. Each client sends a few
-- lines in pieces that end anywhere, and the server answers each line.
local socket = require "socket"
local say = require "say"

local CLIENTS, LINES = 500, 3

-- Who is waited for: a list, and everyone's place in it.
local function newset()
    local set, places = {}, {}
    return {
        list = set,
        insert = function(value)
            if places[value] then return end
            set[#set + 1] = value
            places[value] = #set
        end,
        remove = function(value)
            local place = places[value]
            if not place then return end
            places[value] = nil
            local last = table.remove(set)
            if last ~= value then
                set[place] = last
                places[last] = place
            end
        end,
    }
end

local readers, writers = newset(), newset()
local onread, onwrite = {}, {}
local out, partial = {}, {}

local function drop(s)
    readers.remove(s)
    writers.remove(s)
    onread[s], onwrite[s], out[s], partial[s] = nil, nil, nil, nil
    s:close()
end

-- Queued output, sent when select says so.
local function flush(s)
    local sent, problem, last = s:send(out[s])
    if problem and problem ~= "timeout" then return drop(s) end
    out[s] = out[s]:sub((sent or last) + 1)
    if out[s] == "" then writers.remove(s) end
end
local function queue(s, data)
    out[s] = (out[s] or "") .. data
    onwrite[s] = onwrite[s] or flush
    writers.insert(s)
end

-- All lines that are there, and a part of one for later.
local function lines(s, online, onend)
    local line, problem, part
    repeat
        line, problem, part = s:receive("*l", partial[s])
        if line then
            partial[s] = nil
            online(s, line)
        else
            partial[s] = part
        end
    until not line or not onread[s]
    if problem == "closed" then onend(s) end
end

local server = assert(socket.bind("127.0.0.1", 0, 1024))
local host, port = server:getsockname()
server:settimeout(0)
readers.insert(server)
local accepted, served = 0, 0
onread[server] = function()
    while true do
        local s = server:accept()
        if not s then return end
        accepted = accepted + 1
        s:settimeout(0)
        s:setoption("tcp-nodelay", true)
        readers.insert(s)
        onread[s] = function()
            lines(s, function(_, line)
                served = served + 1
                queue(s, "re: " .. line .. "\r\n")
            end, drop)
        end
    end
end

local finished, answers, wrong = 0, 0, 0
local function client(number)
    local s = socket.tcp()
    s:settimeout(0)
    local ok, problem = s:connect(host, port)
    assert(ok or problem == "timeout", problem)
    local text = {}
    for i = 1, LINES do text[i] = ("client %d line %d\n"):format(number, i) end
    text = table.concat(text)
    local at, got = 1, 0
    writers.insert(s)
    onwrite[s] = function()
        local piece = 1 + (number + at) % 11
        local sent, problem, last = s:send(text, at, math.min(at + piece - 1, #text))
        if problem and problem ~= "timeout" then error(problem) end
        at = (sent or last) + 1
        if at > #text then writers.remove(s) end
    end
    readers.insert(s)
    onread[s] = function()
        lines(s, function(_, line)
            got = got + 1
            answers = answers + 1
            if line ~= ("re: client %d line %d"):format(number, got) then wrong = wrong + 1 end
            if got == LINES then
                finished = finished + 1
                drop(s)
            end
        end, function() error("the server closed the connection") end)
    end
end

local started, turns, most = 0, 0, 0
while finished < CLIENTS do
    for _ = 1, 50 do
        if started < CLIENTS then
            started = started + 1
            client(started)
        end
    end
    local r, w, problem = socket.select(readers.list, writers.list, 10)
    assert(not problem, problem)
    turns = turns + 1
    most = math.max(most, #readers.list)
    for _, s in ipairs(w) do
        if onwrite[s] then onwrite[s](s) end
    end
    for _, s in ipairs(r) do
        if onread[s] then onread[s](s) end
    end
end
-- The server sees the clients leave.
while #readers.list > 1 do
    local r, _, problem = socket.select(readers.list, nil, 10)
    assert(not problem, problem)
    for _, s in ipairs(r) do onread[s](s) end
end

say("accepted", accepted)
say("served", served)
say("answers", answers, wrong)
say("left", #readers.list, #writers.list)
say("nothing to do", select(3, socket.select(readers.list, writers.list, 0)))
