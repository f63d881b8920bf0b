-- An HTTP/1.1 server on copas, with a router, keep-alive, pipelining, chunked bodies and HEAD;
-- and its clients: raw connections, and socket.http in coroutines.
local copas = require "copas"
local socket, http, ltn12, url, tap = require "socket", require "socket.http", require "ltn12", require "socket.url", require "tap"

local routes = {}

-- receive_body reads a body by its length or its chunks.
local function receive_body(s, headers)
    if headers["transfer-encoding"] == "chunked" then
        local parts = {}
        while true do
            local size = tonumber(assert(s:receive()):match("^%x+"), 16)
            if size > 0 then parts[#parts + 1] = assert(s:receive(size)) end
            assert(s:receive() == "")
            if size == 0 then return table.concat(parts) end
        end
    end
    local n = tonumber(headers["content-length"]) or 0
    return n > 0 and assert(s:receive(n)) or ""
end

local function receive_headers(s)
    local headers = {}
    while true do
        local line = s:receive()
        if not line or line == "" then return headers end
        local name, value = line:match("^(.-):%s*(.-)%s*$")
        headers[name:lower()] = value
    end
end

local served = 0

local function serve(raw)
    local s = copas.wrap(raw)
    while true do
        local line = s:receive()
        if not line then break end
        local method, target, version = line:match("^(%u+) (%S+) HTTP/(1%.%d)$")
        if not method then
            s:send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            break
        end
        local headers = receive_headers(s)
        if headers.expect == "100-continue" then s:send("HTTP/1.1 100 Continue\r\n\r\n") end
        local request = { method = method, path = target:match("^[^?]*"), headers = headers, body = receive_body(s, headers), query = {} }
        for name, value in (target:match("?(.*)$") or ""):gmatch("([^&=]+)=([^&]*)") do request.query[url.unescape(name)] = url.unescape(value) end
        local route = routes[request.path]
        local status, kind, body = 404, "text/plain", "no such page"
        if route then status, kind, body = route(request) end
        served = served + 1
        local keep = headers.connection ~= "close" and version == "1.1"
        local head = ("HTTP/1.1 %d %s\r\nContent-Type: %s\r\nConnection: %s\r\n"):format(status, status == 200 and "OK" or "Other", kind, keep and "keep-alive" or "close")
        if type(body) == "table" then
            s:send(head .. "Transfer-Encoding: chunked\r\n\r\n")
            for _, piece in ipairs(body) do s:send(("%x\r\n%s\r\n"):format(#piece, piece)) end
            s:send("0\r\n\r\n")
        else
            s:send(head .. ("Content-Length: %d\r\n\r\n"):format(#body) .. (method == "HEAD" and "" or body))
        end
        if not keep then break end
    end
    raw:close()
end

routes["/"] = function() return 200, "text/plain", "welcome" end
routes["/query"] = function(r) return 200, "text/plain", (r.query.a or "none") .. "," .. (r.query["b c"] or "none") end
routes["/echo"] = function(r) return 200, r.headers["content-type"] or "none", r.method .. " " .. r.body end
routes["/large"] = function(r) return 200, "application/octet-stream", ("0123456789abcdef"):rep(tonumber(r.query.n) / 16) end
routes["/chunks"] = function()
    local pieces = {}
    for i = 1, 50 do pieces[i] = ("piece %d "):format(i):rep(i) end
    return 200, "text/plain", pieces
end

local server = assert(socket.bind("127.0.0.1", 0))
local host, port = server:getsockname()
copas.addserver(server, serve)

local function open()
    local raw = socket.tcp()
    raw:settimeout(0)
    assert(copas.connect(raw, host, tonumber(port)))
    return copas.wrap(raw), raw
end

local function response(s, without_body)
    local status = s:receive()
    if not status then return nil end
    local headers = receive_headers(s)
    return tonumber(status:match(" (%d+) ")), without_body and "" or receive_body(s, headers), headers
end

tap.tasks(copas, { function()
    local s, raw = open()
    s:send("GET / HTTP/1.1\r\n\r\n")
    local status, body, headers = response(s)
    tap.is(status, 200, "GET")
    tap.is(body, "welcome", "its body")
    tap.is(headers["content-type"], "text/plain", "its type")
    s:send("HEAD / HTTP/1.1\r\n\r\n")
    status, body, headers = response(s, true)
    tap.is(headers["content-length"], "7", "HEAD has the length")
    s:send("GET /none HTTP/1.1\r\n\r\n")
    tap.is(response(s), 404, "a page that is not there")
    s:send("GET /query?a=1%202&b+c=x&b%20c=%C3%BC HTTP/1.1\r\n\r\n")
    tap.is(select(2, response(s)), "1 2,\195\188", "a query")
    for _, n in ipairs { 0, 1, 8191, 8192, 8193, 200000 } do
        local text = ("z"):rep(n)
        s:send(("POST /echo HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s"):format(n, text))
        tap.is(select(2, response(s)), "POST " .. text, "a body of " .. n .. " bytes")
    end
    s:send("PUT /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n")
    tap.is(select(2, response(s)), "PUT abc0123456789", "a body in chunks")
    s:send("POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    tap.is(s:receive(), "HTTP/1.1 100 Continue", "100 Continue")
    s:receive()
    s:send("body")
    tap.is(select(2, response(s)), "POST body", "and then the answer")
    s:send(("GET / HTTP/1.1\r\n\r\n"):rep(20))
    local whole = 0
    for _ = 1, 20 do if select(2, response(s)) == "welcome" then whole = whole + 1 end end
    tap.is(whole, 20, "20 requests in one piece")
    local slow = "GET /query?a=slow HTTP/1.1\r\nHost: here\r\n\r\n"
    for i = 1, #slow do
        s:send(slow:sub(i, i))
        copas.step(0)
    end
    tap.is(select(2, response(s)), "slow,none", "a request in pieces of one byte")
    s:send("GET /chunks HTTP/1.1\r\nConnection: close\r\n\r\n")
    tap.is(#select(2, response(s)), 11430, "an answer in chunks")
    tap.is(s:receive(1), nil, "Connection: close")
    raw:close()
    s, raw = open()
    s:send("GET / HTTP/1.0\r\n\r\n")
    tap.is(response(s), 200, "HTTP/1.0")
    tap.is(s:receive(1), nil, "it ends the connection")
    raw:close()
    s, raw = open()
    s:send("nonsense\r\n\r\n")
    tap.is(response(s), 400, "a bad request")
    raw:close()
end })

-- socket.http on sockets that yield.
local base = "http://" .. host .. ":" .. port
local function create()
    local raw = socket.tcp()
    raw:settimeout(0)
    return {
        connect = function(_, h, p) return copas.connect(raw, h, p) end,
        send = function(_, ...) return copas.send(raw, ...) end,
        receive = function(_, ...) return copas.receive(raw, ...) end, -- that of copas.wrap takes no prefix
        settimeout = function() return 1 end,
        close = function() return raw:close() end,
    }
end

local function request(path, body)
    local out = {}
    local ok, code, headers = http.request {
        url = base .. path, sink = ltn12.sink.table(out), create = create,
        method = body and "POST", source = body and ltn12.source.string(body),
        headers = body and { ["content-length"] = #body, ["content-type"] = "text/x" },
    }
    return ok and table.concat(out), code, headers
end

local answers, tasks = {}, {}
for i = 1, 25 do
    tasks[i] = function()
        local body, code = request("/query?a=" .. i)
        local posted, _, headers = request("/echo", ("%d "):format(i):rep(i * 100))
        answers[i] = { body, code, posted, headers and headers["content-type"] }
    end
end
tap.tasks(copas, tasks)
for i = 1, 25 do
    local a = answers[i]
    tap.is(a[1], i .. ",none", "client " .. i .. " of socket.http: GET")
    tap.is(a[2], 200, "its code")
    tap.is(a[3], "POST " .. ("%d "):format(i):rep(i * 100), "POST")
    tap.is(a[4], "text/x", "its type")
end
tap.tasks(copas, { function()
    local body = request "/large?n=3200000"
    tap.is(body and #body, 3200000, "3.2 MB")
    tap.is(body, ("0123456789abcdef"):rep(200000), "all of them")
    tap.is(#request "/chunks", 11430, "chunks")
end })
tap.is(served, 87, "requests that were served")
tap.done()
