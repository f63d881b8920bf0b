-- A broker and clients that speak MQTT 3.1.1, as far as this test needs it, on copas:
-- lengths of one to four bytes, subscriptions with wildcards, retained messages, QoS 1, ping.
local copas = require "copas"
local socket, tap = require "socket", require "tap"
local char, byte = string.char, string.byte

local function length(n)
    local out = {}
    repeat
        local digit = n % 128
        n = (n - digit) / 128
        out[#out + 1] = char(n > 0 and digit + 128 or digit)
    until n == 0
    return table.concat(out)
end

local function str(s) return char(math.floor(#s / 256), #s % 256) .. s end

local function packet(kind, flags, body) return char(kind * 16 + flags) .. length(#body) .. body end

local function receive(s)
    local head, problem = s:receive(1)
    if not head then return nil, problem end
    local n, scale = 0, 1
    for i = 1, 4 do
        local digit = byte((assert(s:receive(1))))
        n = n + digit % 128 * scale
        if digit < 128 then break end
        assert(i < 4, "the length is too long")
        scale = scale * 128
    end
    local body = ""
    if n > 0 then body = assert(s:receive(n)) end
    return math.floor(byte(head) / 16), byte(head) % 16, body
end

local function take(body, at)
    local n = byte(body, at) * 256 + byte(body, at + 1)
    return body:sub(at + 2, at + 1 + n), at + 2 + n
end

local function matches(filter, topic)
    local levels = {}
    for level in (topic .. "/"):gmatch("([^/]*)/") do levels[#levels + 1] = level end
    local i = 0
    for want in (filter .. "/"):gmatch("([^/]*)/") do
        i = i + 1
        if want == "#" then return true end
        if want ~= "+" and want ~= levels[i] then return false end
    end
    return i == #levels
end

-- The broker.
local clients, retained = {}, {}

-- deliver sends a packet. Two threads of the broker may do so for one client, and copas can wait
-- for a socket with one of them only. So a small packet, for which there is room, does not wait.
local function deliver(c, data)
    if #data < 4096 then return c.raw:send(data) end
    return c.s:send(data)
end

local function publish(topic, message)
    for _, c in pairs(clients) do
        for filter in pairs(c.filters) do
            if matches(filter, topic) then deliver(c, packet(3, 0, str(topic) .. message)) break end
        end
    end
end

local function serve(raw)
    local s = copas.wrap(raw)
    local me = { s = s, raw = raw, filters = {} }
    while true do
        local kind, flags, body = receive(s)
        if not kind or kind == 14 then break end
        if kind == 1 then
            local protocol, at = take(body, 1)
            me.id = take(body, at + 4)
            local good = protocol == "MQTT" and byte(body, at) == 4
            s:send(packet(2, 0, char(0, good and 0 or 1)))
            if not good then break end
            clients[me.id] = me
        elseif kind == 3 then
            local topic, at = take(body, 1)
            local qos = math.floor(flags / 2) % 4
            if qos == 1 then
                s:send(packet(4, 0, body:sub(at, at + 1)))
                at = at + 2
            end
            if flags % 2 == 1 then retained[topic] = body:sub(at) end
            publish(topic, body:sub(at))
        elseif kind == 8 then
            local filter = take(body, 3)
            me.filters[filter] = true
            s:send(packet(9, 0, body:sub(1, 2) .. char(0)))
            for topic, message in pairs(retained) do
                if matches(filter, topic) then s:send(packet(3, 1, str(topic) .. message)) end
            end
        elseif kind == 10 then
            me.filters[take(body, 3)] = nil
            s:send(packet(11, 0, body:sub(1, 2)))
        elseif kind == 12 then
            s:send(packet(13, 0, ""))
        end
    end
    if me.id then clients[me.id] = nil end
    raw:close()
end

local server = assert(socket.bind("127.0.0.1", 0))
local host, port = server:getsockname()
copas.addserver(server, serve)

-- A client.
local function connect(id, level)
    local raw = socket.tcp()
    raw:settimeout(0)
    assert(copas.connect(raw, host, tonumber(port)))
    local s = copas.wrap(raw)
    assert(s:send(packet(1, 0, str("MQTT") .. char(level or 4, 2, 0, 60) .. str(id))))
    local kind, _, body = receive(s)
    tap.is(kind, 2, id .. " gets CONNACK")
    return { s = s, raw = raw, code = byte(body, 2), id = id }
end

local function subscribe(c, filter)
    assert(c.s:send(packet(8, 2, char(0, 7) .. str(filter) .. char(0))))
    local kind, _, body = receive(c.s)
    tap.is(kind, 9, c.id .. " gets SUBACK for " .. filter)
    tap.is(body, char(0, 7, 0), "it has the packet's number")
end

local function message(c)
    local kind, flags, body = receive(c.s)
    if kind ~= 3 then return "kind " .. tostring(kind) end
    local topic, at = take(body, 1)
    return topic .. "=" .. body:sub(at), flags
end

for _, n in ipairs { 0, 1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455 } do
    local text, wanted = "0" .. length(n), 0
    receive { receive = function(_, want)
        if #text == 0 then
            wanted = want
            return "body"
        end
        local c = text:sub(1, 1)
        text = text:sub(2)
        return c
    end }
    tap.is(wanted, n, ("a length of %d takes %d bytes"):format(n, #length(n)))
end

tap.tasks(copas, { function()
    local old = connect("old", 3)
    tap.is(old.code, 1, "another protocol level is refused")
    tap.is(old.s:receive(1), nil, "and the connection is closed")
    local one, two, sender = connect "one", connect "two", connect "sender"
    subscribe(one, "home/+/temperature")
    subscribe(two, "home/#")
    assert(sender.s:send(packet(3, 0, str("home/kitchen/temperature") .. "21")))
    tap.is(message(one), "home/kitchen/temperature=21", "a + matches one level")
    tap.is(message(two), "home/kitchen/temperature=21", "a # matches all levels")
    assert(sender.s:send(packet(3, 0, str("home/door") .. "open")))
    tap.is(message(two), "home/door=open", "a # matches one level, too")
    assert(sender.s:send(packet(3, 2, str("home/door") .. char(1, 2) .. "closed")))
    local kind, _, body = receive(sender.s)
    tap.is(kind, 4, "QoS 1 gets PUBACK")
    tap.is(body, char(1, 2), "it has the packet's number")
    tap.is(message(two), "home/door=closed", "QoS 1 arrives")
    assert(sender.s:send(packet(3, 1, str("state") .. "on")))
    assert(sender.s:send(packet(12, 0, "")))
    tap.is(receive(sender.s), 13, "PINGREQ gets PINGRESP")
    subscribe(one, "state")
    local text, flags = message(one)
    tap.is(text, "state=on", "a retained message comes after SUBSCRIBE")
    tap.is(flags, 1, "and is marked as such")
    for _, n in ipairs { 0, 1, 100, 127, 128, 20000, 300000 } do
        local load = ("m"):rep(n)
        assert(sender.s:send(packet(3, 0, str("home/load") .. load)))
        tap.is(message(two), "home/load=" .. load, "a message of " .. n .. " bytes")
    end
    local whole = packet(3, 0, str("home/pieces") .. "slow")
    for i = 1, #whole do
        assert(sender.s:send(whole:sub(i, i)))
        copas.step(0)
    end
    tap.is(message(two), "home/pieces=slow", "a packet in pieces of one byte")
    assert(sender.s:send(packet(3, 0, str("home/a") .. "1") .. packet(3, 0, str("home/b") .. "2")))
    tap.is(message(two), "home/a=1", "the first of two packets in one piece")
    tap.is(message(two), "home/b=2", "the second")
    assert(two.s:send(packet(10, 2, char(0, 9) .. str("home/#"))))
    tap.is(receive(two.s), 11, "UNSUBSCRIBE gets UNSUBACK")
    assert(sender.s:send(packet(3, 0, str("home/a") .. "3")))
    assert(two.s:send(packet(12, 0, "")))
    tap.is(receive(two.s), 13, "afterwards there are no messages")
    for _, c in ipairs { one, two, sender } do
        assert(c.s:send(packet(14, 0, "")))
        tap.is(c.s:receive(1), nil, "DISCONNECT of " .. c.id .. " ends the connection")
        c.raw:close()
    end
    tap.is(next(clients), nil, "the broker has no clients left")
end })

-- Twenty clients each get what each of them sends.
local counts, crowd, present = {}, {}, 0
local function complete() return present == 20 end
for i = 1, 20 do
    crowd[i] = function()
        local c = connect("crowd " .. i)
        subscribe(c, "crowd")
        counts[i], present = 0, present + 1
        while not complete() do -- ask the broker for something, so that the others go on
            assert(c.s:send(packet(12, 0, "")))
            repeat
                local kind = receive(c.s)
                if kind == 3 then counts[i] = counts[i] + 1 end
            until kind == 13
        end
        assert(c.s:send(packet(3, 0, str("crowd") .. i)))
        while counts[i] < 20 do
            if receive(c.s) == 3 then counts[i] = counts[i] + 1 end
        end
        c.raw:close()
    end
end
local print_ = print
local lines = {}
print = function(line) lines[#lines + 1] = line end -- the order of the crowd does not matter
tap.tasks(copas, crowd)
print = print_
table.sort(lines)
for _, line in ipairs(lines) do print(line) end
for i = 1, 20 do tap.is(counts[i], 20, "client " .. i .. " of the crowd gets all messages") end
tap.done()
