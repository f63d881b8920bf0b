-- A WebSocket server and clients on copas: the handshake of RFC 6455 with SHA-1 written in
-- Lua 5.1, masks, fragments, the three forms of lengths, ping and close.
local copas = require "copas"
local socket, mime, tap = require "socket", require "mime", require "tap"
local byte, char, floor = string.byte, string.char, math.floor

-- Lua 5.1 has no operators for bits, so tables of half bytes do the work.
local function half_bytes(f)
    local t = {}
    for a = 0, 15 do
        for b = 0, 15 do
            local r, bit, x, y = 0, 1, a, b
            for _ = 1, 4 do
                if f(x % 2, y % 2) then r = r + bit end
                x, y, bit = floor(x / 2), floor(y / 2), bit * 2
            end
            t[a * 16 + b] = r
        end
    end
    return function(a, b)
        local r, scale = 0, 1
        while a > 0 or b > 0 do
            r = r + t[a % 16 * 16 + b % 16] * scale
            a, b, scale = floor(a / 16), floor(b / 16), scale * 16
        end
        return r
    end
end
local band = half_bytes(function(a, b) return a == 1 and b == 1 end)
local bor = half_bytes(function(a, b) return a == 1 or b == 1 end)
local bxor = half_bytes(function(a, b) return a ~= b end)

local WORD = 2 ^ 32
local function rotate(x, n)
    local high = floor(x / 2 ^ (32 - n))
    return (x * 2 ^ n) % WORD + high
end

local function word(s, at)
    local a, b, c, d = byte(s, at, at + 3)
    return ((a * 256 + b) * 256 + c) * 256 + d
end

local function big(n, bytes)
    local out = {}
    for i = bytes, 1, -1 do
        out[i] = char(n % 256)
        n = floor(n / 256)
    end
    return table.concat(out)
end

local function sha1(text)
    local h = { 0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0 }
    local padded = text .. "\128" .. ("\0"):rep((55 - #text) % 64) .. big(#text * 8, 8)
    for block = 1, #padded, 64 do
        local w = {}
        for i = 0, 15 do w[i] = word(padded, block + 4 * i) end
        for i = 16, 79 do w[i] = rotate(bxor(bxor(w[i - 3], w[i - 8]), bxor(w[i - 14], w[i - 16])), 1) end
        local a, b, c, d, e = h[1], h[2], h[3], h[4], h[5]
        for i = 0, 79 do
            local f, k
            if i < 20 then f, k = bor(band(b, c), band(WORD - 1 - b, d)), 0x5A827999
            elseif i < 40 then f, k = bxor(bxor(b, c), d), 0x6ED9EBA1
            elseif i < 60 then f, k = bor(bor(band(b, c), band(b, d)), band(c, d)), 0x8F1BBCDC
            else f, k = bxor(bxor(b, c), d), 0xCA62C1D6 end
            a, b, c, d, e = (rotate(a, 5) + f + e + k + w[i]) % WORD, a, rotate(b, 30), c, d
        end
        h[1], h[2], h[3], h[4], h[5] = (h[1] + a) % WORD, (h[2] + b) % WORD, (h[3] + c) % WORD, (h[4] + d) % WORD, (h[5] + e) % WORD
    end
    local out = {}
    for i = 1, 5 do out[i] = big(h[i], 4) end
    return table.concat(out)
end

local function hex(s) return (s:gsub(".", function(c) return ("%02x"):format(byte(c)) end)) end

tap.is(hex(sha1 ""), "da39a3ee5e6b4b0d3255bfef95601890afd80709", "SHA-1 of nothing")
tap.is(hex(sha1 "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d", "SHA-1 of abc")
tap.is(hex(sha1(("a"):rep(119))), "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56", "SHA-1 of two blocks")

local function accept_key(key) return (mime.b64(sha1(key .. "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))) end
tap.is(accept_key "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "the key of the RFC's example")

local masks = {} -- by key: what each character becomes at each of four places
local function mask(text, key)
    local m = masks[key]
    if not m then
        m = {}
        for i = 1, 4 do
            m[i] = {}
            for c = 0, 255 do m[i][char(c)] = char(bxor(c, byte(key, i))) end
        end
        masks[key] = m
    end
    local out = {}
    for i = 1, #text do out[i] = m[(i - 1) % 4 + 1][text:sub(i, i)] end
    return table.concat(out)
end
tap.is(hex(mask("Hello", "\55\250\33\61")), "7f9f4d5158", "the mask of the RFC's example")

-- frame makes a frame. A client gives a key for the mask.
local function frame(opcode, text, final, key)
    local head, bit = char((final == false and 0 or 128) + opcode), key and 128 or 0
    if #text < 126 then head = head .. char(bit + #text)
    elseif #text < 65536 then head = head .. char(bit + 126) .. big(#text, 2)
    else head = head .. char(bit + 127) .. big(#text, 8) end
    return head .. (key and key .. mask(text, key) or text)
end

local function receive(s)
    local head, problem = s:receive(2)
    if not head then return nil, problem end
    local first, second = byte(head, 1, 2)
    local n = second % 128
    if n >= 126 then
        local size = n == 126 and 2 or 8
        n = 0
        for _, b in ipairs { byte(assert(s:receive(size)), 1, size) } do n = n * 256 + b end
    end
    local key = second >= 128 and assert(s:receive(4))
    local text = n > 0 and assert(s:receive(n)) or ""
    return first % 16, key and mask(text, key) or text, first >= 128, key
end

-- The server answers each message by the same one.
local function serve(raw)
    local s = copas.wrap(raw)
    local request = s:receive()
    local headers = {}
    repeat
        local line = s:receive()
        local name, value = (line or ""):match("^(.-):%s*(.*)$")
        if name then headers[name:lower()] = value end
    until not name
    local key = headers["sec-websocket-key"]
    if not request:match("^GET /chat HTTP/1.1$") or headers["sec-websocket-version"] ~= "13" or not key then
        s:send("HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 13\r\n\r\n")
        raw:close()
        return
    end
    s:send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " .. accept_key(key) .. "\r\n\r\n")
    local parts, kind = {}, nil
    while true do
        local opcode, text, final, masked = receive(s)
        if not opcode then break end
        if not masked then
            s:send(frame(8, big(1002, 2) .. "no mask"))
            break
        elseif opcode == 8 then
            s:send(frame(8, text:sub(1, 2)))
            break
        elseif opcode == 9 then
            s:send(frame(10, text))
        elseif opcode < 3 then
            if opcode > 0 then kind = opcode end
            parts[#parts + 1] = text
            if final then
                s:send(frame(kind, table.concat(parts)))
                parts = {}
            end
        end
    end
    raw:close()
end

local server = assert(socket.bind("127.0.0.1", 0))
local host, port = server:getsockname()
copas.addserver(server, serve)

local function open(path, version)
    local raw = socket.tcp()
    raw:settimeout(0)
    assert(copas.connect(raw, host, tonumber(port)))
    local s = copas.wrap(raw)
    assert(s:send("GET " .. path .. " HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ..
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: " .. (version or 13) .. "\r\n\r\n"))
    local status = s:receive()
    local headers = {}
    repeat
        local line = s:receive()
        local name, value = (line or ""):match("^(.-):%s*(.*)$")
        if name then headers[name:lower()] = value end
    until not name
    return s, status, headers, raw
end

local KEY = "\1\128\255\0"

tap.tasks(copas, { function()
    local s, status, headers, raw = open "/chat"
    tap.is(status, "HTTP/1.1 101 Switching Protocols", "the handshake")
    tap.is(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "the accepted key")
    local function echo(opcode, text, name)
        assert(s:send(frame(opcode, text, true, KEY)))
        local got, body, final = receive(s)
        tap.is(got, opcode, name .. ": the kind")
        tap.is(body, text, name .. ": the text")
        tap.is(final, true, name .. ": it is whole")
    end
    echo(1, "", "an empty text")
    echo(1, "gr\195\188\195\159e", "a text in UTF-8")
    echo(2, "\0\1\254\255\r\n", "bytes")
    for _, n in ipairs { 125, 126, 127, 65535, 65536, 70000 } do echo(2, ("x"):rep(n), n .. " bytes") end
    assert(s:send(frame(1, "one ", false, KEY)))
    assert(s:send(frame(9, "between", true, KEY)))
    assert(s:send(frame(0, "two ", false, KEY)))
    assert(s:send(frame(0, "three", true, KEY)))
    local opcode, text = receive(s)
    tap.is(opcode, 10, "a ping between fragments is answered first")
    tap.is(text, "between", "with its text")
    opcode, text = receive(s)
    tap.is(opcode, 1, "fragments have the kind of the first")
    tap.is(text, "one two three", "and are joined")
    local whole = frame(1, "slow", true, KEY)
    for i = 1, #whole do
        assert(s:send(whole:sub(i, i)))
        copas.step(0)
    end
    opcode, text = receive(s)
    tap.is(text, "slow", "a frame in pieces of one byte")
    assert(s:send(frame(1, "a", true, KEY) .. frame(1, "b", true, KEY)))
    tap.is(select(2, receive(s)), "a", "the first of two frames in one piece")
    tap.is(select(2, receive(s)), "b", "the second")
    assert(s:send(frame(8, big(1000, 2) .. "bye", true, KEY)))
    opcode, text = receive(s)
    tap.is(opcode, 8, "close is answered")
    tap.is(text, big(1000, 2), "by its code")
    tap.is(s:receive(1), nil, "and the connection ends")
    raw:close()
end })

tap.tasks(copas, { function()
    local s, _, _, raw = open "/chat"
    assert(s:send(frame(1, "bare")))
    local opcode, text = receive(s)
    tap.is(opcode, 8, "a frame without a mask ends the connection")
    tap.is(text, big(1002, 2) .. "no mask", "as a protocol error")
    raw:close()
end })

tap.tasks(copas, { function()
    local s, status, headers, raw = open("/chat", 8)
    tap.is(status, "HTTP/1.1 400 Bad Request", "another version is refused")
    tap.is(headers["sec-websocket-version"], "13", "and the right one is named")
    raw:close()
    s, status, headers, raw = open "/other"
    tap.is(status, "HTTP/1.1 400 Bad Request", "another path is refused")
    raw:close()
end })
tap.done()
