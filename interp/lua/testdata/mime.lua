-- The filters of mime.core, on pieces of all lengths.
local mime = require "mime.core"
local say = require "say"

local text = "A first line.\r\nOne = two, \t \r\nthree\tfour \r\n\r\n.\r\n..dots\r\nnine\0\1\127\128\255 \r and\nbare \n end "
local all = {}
for i = 0, 255 do all[#all + 1] = string.char(i) end
all = table.concat(all)

-- Filters of the form rest = f(rest, piece).
local function through(f, input, size, ...)
    local out, rest = {}, ""
    for i = 1, #input, size do
        local a
        a, rest = f(rest, input:sub(i, i + size - 1), ...)
        out[#out + 1] = a or ""
    end
    local a, b = f(rest, nil, ...)
    out[#out + 1] = a or ""
    return table.concat(out), b
end

-- And of the form state = f(state, piece).
local function stated(f, state, input, size, ...)
    local out = {}
    for i = 1, #input, size do
        local a
        a, state = f(state, input:sub(i, i + size - 1), ...)
        out[#out + 1] = a or ""
    end
    local a, last = f(state, nil, ...)
    return table.concat(out) .. (a or ""), last
end

for _, input in ipairs { text, all, "", "x", "= ", "a b\t" } do
    for _, size in ipairs { 1, 2, 3, 7, 1000 } do
        local label = #input .. " by " .. size
        local b64 = through(mime.b64, input, size)
        say("b64 " .. label, b64)
        say("unb64 " .. label, (through(mime.unb64, b64, size)) == input)
        local qp = through(mime.qp, input, size)
        say("qp " .. label, qp)
        say("unqp " .. label, through(mime.unqp, qp, size))
        say("unqp of no qp " .. label, through(mime.unqp, input, size))
        say("qp, marker " .. label, through(mime.qp, input, size, "=0D=0A"))
        say("wrp " .. label, stated(mime.wrp, 10, input, size, 10))
        say("qpwrp " .. label, stated(mime.qpwrp, 10, qp, size, 10))
        say("eol " .. label, stated(mime.eol, 0, input, size))
        say("eol, marker " .. label, stated(mime.eol, 0, input, size, "|"))
        say("dot " .. label, stated(mime.dot, 2, input, size))
    end
end

say("nil", mime.b64(nil))
say("nil, text", mime.b64(nil, "text"))
say("text, nil", mime.b64("text", nil))
say("text, text", mime.b64("te", "xtx"))
say("empty", mime.b64("", nil))
say("invalid", mime.unb64("Zm 9\nv*YmFy", nil))
say("padded", mime.unb64("Zg==Zm8=Zm9v", nil))
say("cut", mime.unb64("Zm9vYg", nil))
say("cut, more", mime.unb64("Zm9vYg", ""))
say("bad escapes", mime.unqp("=XY=4=41=\r\n=e9", nil))
say("cut escape", mime.unqp("ab=4", nil))
say("cut escape, more", mime.unqp("ab=4", ""))
say("a space at the end", mime.qp("end ", nil))
say("wrp", mime.wrp(3, "abcdef"))
say("wrp at the end", mime.wrp(76, nil))
say("wrp at the end", mime.wrp(5, nil))
say("qpwrp at the end", mime.qpwrp(5, nil))
say("no state", (pcall(mime.dot)))
say("bad text", (pcall(mime.b64, {})))
