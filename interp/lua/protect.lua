-- pcall and xpcall through which a coroutine may yield. In a coroutine, the
-- function runs in another one, and what that yields is passed on.

local plain, plainx, take, made, give = ...
local create, resume, running = coroutine.create, coroutine.resume, coroutine.running
local yield = coroutine.yield
local rawequal, select, type = rawequal, select, type

local done = {} -- what such a coroutine yields, and nobody else, when a function has returned

local function serve(f, ...)
    return serve(yield(done, f(...)))
end

local function relay(co, ok, ...)
    if not ok then return false, ... end
    if not rawequal((...), done) then return relay(co, resume(co, yield(...))) end
    give(co)
    return true, select(2, ...)
end

local function protected(f, ...)
    local co = take() or made(create(serve))
    return relay(co, resume(co, f, ...))
end

local function pcall(f, ...)
    if type(f) ~= "function" or not running() then return plain(f, ...) end
    return protected(f, ...)
end

local function handled(handler, ok, ...)
    if ok then return true, ... end
    return false, handler(...)
end

local function xpcall(f, handler)
    if type(f) ~= "function" or not running() then return plainx(f, handler) end
    return handled(handler, protected(f))
end

return pcall, xpcall
