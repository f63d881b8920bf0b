-- Local variables that closures share with a function stay shared when that
-- function catches an error.
local socket = require "socket"
local say = require "say"

local function case(name, fails)
    local n = 0
    local function bump() n = n + 1 end
    pcall(fails)
    bump()
    xpcall(fails, function() end)
    bump()
    say(name, n)
end

for _, where in ipairs { "main", "coroutine" } do
    local run = where == "main" and function(f) f() end or function(f) coroutine.wrap(f)() end
    run(function()
        say(where)
        case("error", function() error("x") end)
        case("an error that is a table", function() error({}) end)
        case("an index of nil", function() local t return t.x end)
        case("assert", function() assert(false, "x") end)
        case("try", function() socket.try(nil, "x") end)
        case("an argument", function() socket.connect() end)
        case("a coroutine", function() coroutine.wrap(function() error("x") end)() end)
        case("no error", function() end)
    end)
end

-- A retry loop around what fails.
local attempts = 0
local function attempt() attempts = attempts + 1 return nil, "refused" end
local get = socket.protect(function() return socket.try(attempt()) end)
for _ = 1, 3 do get() end
say("attempts", attempts)

-- The variables of a function that has failed stay with its closures.
local get
xpcall(function() local a = 1 get = function() return a end error("x") end, function(e) return e end)
local function other() local p, q, r, s = 7, 8, 9, 10 return (function() return p + q + r + s end)() end
say("other", other())
say("of a function that has failed", get())

local n = 0
local function bump() n = n + 1 end
xpcall(function() xpcall(function() error("x") end, function() end) error("y") end, function() end)
bump()
say("nested", n)
