-- Addresses of IPv4 in all the forms that inet_aton takes, and what is no host.
local socket = require "socket"
local say = require "say"

local server = assert(socket.bind("127.0.0.1", 0))
local _, port = server:getsockname()
for _, host in ipairs { "127.1", "0x7f000001", "0X7F.1", "2130706433", "127.0.1", "0177.0.0.1", "127.0.0.0x1" } do
    local addresses = socket.dns.getaddrinfo(host)
    say(host, #addresses, addresses[1].family, addresses[1].addr)
    say(host, socket.tcp():connect(host, port))
    say(host, (socket.dns.toip(host)))
end
say("bind", socket.tcp():bind("127.1", 0))
say("no host", socket.dns.getaddrinfo(""))
say("no host", socket.dns.getaddrinfo("*"))
say("no host", socket.dns.getnameinfo(""))
say("no host", pcall(socket.dns.getnameinfo))
say("name", #socket.dns.getnameinfo("127.0.0.1", "80"))
say("service", #socket.dns.getnameinfo(nil, "80"), select(2, socket.dns.getnameinfo(nil, "80")))

-- Patterns of receive.
local client = assert(socket.connect("127.0.0.1", port))
for _, pattern in ipairs { "l", "a", "x", "*x", "", -1, "1x" } do
    say(pattern, (pcall(client.receive, client, pattern)))
end
