-- Checks that print a line each, and count.
local tap = { passed = 0, failed = 0 }

local function text(v)
    if type(v) ~= "string" then return tostring(v) end
    if #v > 60 then return ("%q and %d more bytes"):format(v:sub(1, 40), #v - 40) end
    return ("%q"):format(v)
end

-- ok notes whether something holds.
function tap.ok(holds, name)
    if holds then tap.passed = tap.passed + 1 else tap.failed = tap.failed + 1 end
    print((holds and "ok " or "not ok ") .. name)
    return holds
end

-- is notes whether a value is what is wanted.
function tap.is(got, want, name)
    if not tap.ok(got == want, name) then print("  got " .. text(got) .. ", want " .. text(want)) end
end

function tap.done() print(("%d checks, %d failed"):format(tap.passed + tap.failed, tap.failed)) end

-- tasks runs functions as copas threads until all have ended. The server threads that they
-- have added need not end.
function tap.tasks(copas, list)
    local pending = 0
    for _, f in ipairs(list) do
        pending = pending + 1
        copas.addthread(function()
            f()
            pending = pending - 1
        end)
    end
    local limit = require "socket".gettime() + 50
    while pending > 0 do
        assert(require "socket".gettime() < limit, "the tasks do not end")
        copas.step(0.05)
    end
end

return tap
