done = function(summary, latency)
    local e = summary.errors
    io.write(string.format(
        '{"Requests": %d, "Bytes": %d, "Micros": %d, "Errors": %d, "P50": %d, "P99": %d, "P999": %d}\n',
        summary.requests, summary.bytes, summary.duration,
        e.connect + e.read + e.write + e.status + e.timeout,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
