-- What busted needs of LuaSystem's part that is written in C.
local socket = require "socket.core"
return { gettime = socket.gettime, monotime = socket.gettime, sleep = socket.sleep }
