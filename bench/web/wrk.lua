-- failures says how many requests failed, and how; nothing if none did.
local function failures(e)
    local all = {}
    for _, kind in ipairs { "connect", "read", "write", "status", "timeout" } do
        if e[kind] > 0 then
            all[#all + 1] = e[kind] .. " by " .. kind
        end
    end
    return table.concat(all, ", ")
end

done = function(summary, latency)
    io.write(string.format(
        '{"Requests": %d, "Bytes": %d, "Micros": %d, "Errors": "%s", "P50": %d, "P99": %d, "P999": %d}\n',
        summary.requests, summary.bytes, summary.duration,
        failures(summary.errors),
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
