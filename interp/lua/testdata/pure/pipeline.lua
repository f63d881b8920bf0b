-- mime.lua and ltn12.lua on mime.core: filters, chains, pumps.
local mime, ltn12 = require "mime", require "ltn12"
local say = require "say"

local text = ("A line with caf\195\169 = cr\232me, and a tail   \n"):rep(40) .. "the end"

local function pump(source, ...)
    local out = {}
    local filters = { ... }
    local sink = ltn12.sink.table(out)
    if #filters > 0 then sink = ltn12.sink.chain(ltn12.filter.chain((table.unpack or unpack)(filters)), sink) end
    say("pump", ltn12.pump.all(source, sink))
    return table.concat(out)
end

local function pieces(s, n)
    local at = 1
    return function()
        if at > #s then return nil end
        local piece = s:sub(at, at + n - 1)
        at = at + n
        return piece
    end
end

for _, size in ipairs { 1, 7, 64, 2048 } do
    local base64 = pump(pieces(text, size), mime.encode("base64"), mime.wrap("base64"))
    say("base64", base64)
    say("and back", pump(pieces(base64, size), mime.decode("base64")) == text)
    local quoted = pump(pieces(text, size), mime.normalize(), mime.encode("quoted-printable"), mime.wrap("quoted-printable"))
    say("quoted-printable", quoted)
    say("and back", (pump(pieces(quoted, size), mime.decode("quoted-printable"), mime.normalize("\n"))) == text)
    say("binary", (pump(pieces(text, size), mime.normalize(), mime.encode("quoted-printable", "binary"))))
    say("wrapped", (pump(pieces(text, size), mime.wrap("text", 20))))
    say("stuffed", (pump(pieces("..\n.\r\nx\r\n.y", size), mime.normalize(), mime.stuff())))
end

local url = require "socket.url"
local parsed = url.parse("http://user:pass@host.example:8080/a/b/../c;p?q=1#f")
for _, key in ipairs { "scheme", "authority", "userinfo", "user", "password", "host", "port", "path", "params", "query", "fragment" } do
    say(key, parsed[key])
end
say("build", url.build(parsed))
say("absolute", url.absolute("http://a/b/c/d;p?q", "../g?y#s"))
say("escape", url.escape("a b/c?d=\195\169"), url.unescape("a%20b%2fc"))
