-- pcall and xpcall. What they protect runs in a coroutine that Go starts
-- (protect.go). When that coroutine yields, the caller yields the same values,
-- and passes on what it is resumed with.

local enter, enterx, again, results, yield, arm = ...

-- once is the main function of the coroutine of a pcall. Its first result says
-- that the function has returned.
local function once(f, ...)
    return true, f(...)
end

-- armed is that of an xpcall.
local function armed(handler, f, ...)
    arm(handler)
    return true, f(...)
end

local function pcall(...)
    local co = enter(...)
    while co do co = again(co, yield(results())) end
    return results()
end

local function xpcall(...)
    local co = enterx(...)
    while co do co = again(co, yield(results())) end
    return results()
end

local function identity(...)
    return ...
end

-- lua makes a Lua function of one in Go: gopher-lua cannot run a coroutine
-- whose main function is in Go.
local function lua(f)
    return function(...) return identity(f(...)) end
end

return pcall, xpcall, once, armed, lua
