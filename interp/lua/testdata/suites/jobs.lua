-- A queue of jobs: a broker, producers and workers, on a scheduler of coroutines, timers and
-- select that is written here. Leases that end give a job to another worker; failed jobs come
-- back after a delay, up to three times.
local socket, tap = require "socket", require "tap"
local unpack = unpack or table.unpack

-- The scheduler. Its clock stands still while a socket is ready, and goes on to the next timer
-- when none is: so the counts do not depend on how busy the machine is.
local sched = { ready = {}, timers = {}, read = {}, write = {}, live = 0, clock = 0 }
local IDLE = 0.002

function sched.now() return sched.clock end

function sched.go(f, ...)
    sched.live = sched.live + 1
    sched.ready[#sched.ready + 1] = { coroutine.create(function(...)
        f(...)
        sched.live = sched.live - 1
    end), ... }
end

function sched.sleep(seconds)
    table.insert(sched.timers, { at = sched.now() + seconds, co = coroutine.running() })
    coroutine.yield()
end

local function wait(list, sock)
    list[#list + 1] = sock
    list[sock] = coroutine.running()
    coroutine.yield()
end

local function wake(list, socks)
    for _, sock in ipairs(socks) do
        local co = list[sock]
        if co then
            list[sock] = nil
            for i, s in ipairs(list) do if s == sock then table.remove(list, i) break end end
            sched.ready[#sched.ready + 1] = { co }
        end
    end
end

function sched.run()
    while sched.live > 0 do
        while #sched.ready > 0 do
            local all = sched.ready
            sched.ready = {}
            for _, task in ipairs(all) do
                local ok, problem = coroutine.resume(unpack(task))
                if not ok then error(problem, 0) end
            end
        end
        if sched.live == 0 then return end
        table.sort(sched.timers, function(a, b) return a.at < b.at end)
        local read, write, problem = socket.select(sched.read, sched.write, sched.timers[1] and IDLE or 10)
        wake(sched.read, read)
        wake(sched.write, write)
        if problem == "timeout" then sched.clock = assert(sched.timers[1], "all tasks wait for ever").at end
        while sched.timers[1] and sched.timers[1].at <= sched.clock do
            sched.ready[#sched.ready + 1] = { table.remove(sched.timers, 1).co }
        end
    end
end

-- receive and send yield until the socket is ready.
local function receive(sock, pattern)
    local part
    while true do
        local line, problem, rest = sock:receive(pattern, part)
        if line or problem ~= "timeout" then return line, problem end
        part = rest
        wait(sched.read, sock)
    end
end

local function send(sock, text)
    local sent = 0
    while sent < #text do
        local last, problem, partly = sock:send(text, sent + 1)
        if not last and problem ~= "timeout" then return nil, problem end
        sent = last or partly
        if not last then wait(sched.write, sock) end
    end
    return true
end

-- The broker. Its protocol: "put TEXT", "take SECONDS", "done ID", "fail ID", "stats".
local LEASE, RETRY = 0.15, 0.03
local queue, leased, jobs, stats = {}, {}, 0, { done = 0, failed = 0, expired = 0, dead = 0 }

local function give_back(job)
    job.tries = job.tries + 1
    leased[job.id] = nil
    if job.tries == 3 then
        stats.dead = stats.dead + 1
        return
    end
    sched.go(function()
        sched.sleep(RETRY)
        table.insert(queue, job)
    end)
end

local function serve(sock)
    while true do
        local line = receive(sock)
        if not line then break end
        local verb, rest = line:match("^(%S+) ?(.*)$")
        local answer = "what?"
        if verb == "put" then
            jobs = jobs + 1
            table.insert(queue, { id = jobs, text = rest, tries = 0 })
            answer = "id " .. jobs
        elseif verb == "take" then
            local limit = sched.now() + tonumber(rest)
            while #queue == 0 and sched.now() < limit do sched.sleep(0.005) end
            local job = table.remove(queue, 1)
            answer = "nothing"
            if job then
                leased[job.id] = job
                local lease = {}
                job.lease = lease
                sched.go(function()
                    sched.sleep(LEASE)
                    if leased[job.id] == job and job.lease == lease then
                        stats.expired = stats.expired + 1
                        give_back(job)
                    end
                end)
                answer = ("job %d %s"):format(job.id, job.text)
            end
        elseif verb == "done" or verb == "fail" then
            local job = leased[tonumber(rest)]
            answer = "unknown"
            if job then
                answer = "ok"
                if verb == "done" then
                    leased[job.id] = nil
                    stats.done = stats.done + 1
                else
                    stats.failed = stats.failed + 1
                    give_back(job)
                end
            end
        elseif verb == "stats" then
            answer = ("done %d failed %d expired %d dead %d"):format(stats.done, stats.failed, stats.expired, stats.dead)
        end
        if not send(sock, answer .. "\n") then break end
    end
    sock:close()
end

local server = assert(socket.bind("127.0.0.1", 0))
local host, port = server:getsockname()
server:settimeout(0)
sched.go(function()
    for _ = 1, 16 do
        wait(sched.read, server)
        local client = assert(server:accept())
        client:settimeout(0)
        sched.go(serve, client)
    end
    server:close()
end)

local function connect()
    local sock = assert(socket.connect(host, port))
    sock:settimeout(0)
    return function(text)
        assert(send(sock, text .. "\n"))
        return (receive(sock))
    end, sock
end

local results, ids, attempts, ended = {}, {}, {}, 0

for p = 1, 10 do
    sched.go(function()
        local ask, sock = connect()
        for i = 1, 20 do
            local id = ask(("put sum %d %d"):format(p, i)):match("^id (%d+)$")
            ids[#ids + 1] = tonumber(id)
            if i % 7 == 0 then sched.sleep(0.002) end
        end
        if p == 1 then
            ask "put flaky once"
            ask "put flaky always"
            ask "put lost once"
        end
        sock:close()
        ended = ended + 1
    end)
end

for _ = 1, 5 do
    sched.go(function()
        local ask, sock = connect()
        while true do
            local answer = ask "take 0.4"
            local id, kind, a, b = answer:match("^job (%d+) (%S+) (%S+) ?(%S*)$")
            if not id then
                tap.is(answer, "nothing", "a worker that has nothing to do leaves")
                break
            end
            if kind == "sum" then
                results[a .. "+" .. b] = (results[a .. "+" .. b] or 0) + tonumber(a) + tonumber(b)
                if ask("done " .. id) ~= "ok" then error "a job was lost" end
            else
                local name = kind .. " " .. a
                attempts[name] = (attempts[name] or 0) + 1
                if kind == "lost" and attempts[name] == 1 then
                    sched.sleep(LEASE + 0.05)
                    tap.is(ask("done " .. id), "unknown", "a lease that has ended")
                elseif kind == "flaky" and (a == "always" or attempts[name] == 1) then
                    ask("fail " .. id)
                else
                    ask("done " .. id)
                end
            end
        end
        sock:close()
        ended = ended + 1
    end)
end

sched.go(function()
    local ask, sock = connect()
    while ended < 15 do sched.sleep(0.02) end
    tap.is(ask "nonsense", "what?", "a wrong command")
    tap.is(ask "done 999", "unknown", "a job that is not leased")
    tap.is(ask "stats", "done 202 failed 4 expired 1 dead 1", "the counts")
    tap.is(ask(("x"):rep(300000)), "what?", "a line of 300,000 bytes")
    sock:close()
end)

sched.run()
for p = 1, 10 do
    for i = 1, 20 do
        if results[p .. "+" .. i] ~= p + i then tap.is(results[p .. "+" .. i], p + i, "the sum of " .. p .. " and " .. i) end
    end
end
table.sort(ids)
local whole = 0
for i = 1, #ids do if i == 1 or ids[i] ~= ids[i - 1] then whole = whole + 1 end end
tap.is(whole, 200, "each job has a number of its own")
tap.is(attempts["flaky once"], 2, "a job that fails once is done twice")
tap.is(attempts["flaky always"], 3, "a job that always fails is given up")
tap.is(attempts["lost once"], 2, "a job whose worker is lost is done again")
tap.is(#queue, 0, "nothing is left")
tap.is(next(leased), nil, "nothing is leased")
tap.done()
