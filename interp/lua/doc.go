// Package lua lets programs written for LuaSocket run unmodified in gopher-lua,
// on Weir's sockets.
//
//	L, err := weirlua.NewState()
//	err = L.DoString(`local socket = require "socket" ...`)
//
// NewState makes a state of gopher-lua; Preload prepares one that exists.
//
// The modules are socket (and socket.core, which is the same table),
// socket.unix and mime.core, with the functions, methods, options and error
// messages of LuaSocket 3.1. Its files that are written in Lua, such as
// socket/http.lua, mime.lua and ltn12.lua, run on them when they are on
// package.path.
//
// # States and goroutines
//
// One Lua state runs on one goroutine, as gopher-lua requires. Different states share
// nothing. A script that waits uses no OS thread. The end of a state's context
// (LState.SetContext) raises an error in the function that the script runs or waits
// in: a call on a socket, select, sleep, the look-up of a name, or a loop.
// Interruptible makes the context that slows a script down least.
//
// # Select
//
// socket.select keeps its sockets registered from one call to the next. A loop
// over many sockets pays for reading its lists and for the sockets that have
// changed or are ready, not for the silent ones. There is no limit of 1024
// descriptors. Results come in the order of the descriptors' numbers; sockets
// with buffered input come first, as in LuaSocket. A call that finds a ready
// socket reports the events that the loops have seen. It may leave the events of the
// last microseconds to the next call.
//
// # What Preload mends in gopher-lua
//
// gopher-lua evaluates an assignment to several variables one after the other:
// after a, b = b, a both are the same. LuaSocket's own files need the right order.
// It also leaves stale values in the registers of a for loop with fewer than three
// values: a loop over next, t then skips elements. Preload makes require, load,
// loadstring, loadfile and dofile compile with Load, which mends both. An embedder uses
// Load or LoadFile for the script itself.
//
// An error that gopher-lua's pcall catches detaches the local variables of its
// callers from the closures that use them, and a coroutine that yields within
// pcall breaks the state. Preload's pcall and xpcall run the protected function in
// a coroutine of its own, which programs do not see.
//
// gopher-lua derives the context of a coroutine from its creator's. The coroutine
// then ends with its creator, and stays in memory with the context. Coroutines of
// Preload's coroutine library share the context of the state.
//
// Preload replaces tonumber, tostring, print, error, collectgarbage, math.huge,
// io.lines, io.open, the method lines of files, os.clock, os.date, os.execute,
// os.getenv, os.remove, os.rename, os.time, table.concat, debug.traceback, debug.getinfo,
// debug.getmetatable, debug.setmetatable and the
// functions of the string library that use patterns, formats or the case of
// letters. It adds debug.sethook for counts and lines; in a state without a
// context, a hook works in functions that are called after it is set.
//
// Preload's setmetatable notes weak tables. collectgarbage removes the entries that
// only weak tables refer to, and so does select when the memory in use has doubled.
// A traversal that sets its present entry to nil must not call them before it takes
// the next entry.
//
// # What Preload does not change in gopher-lua
//
//   - A table keeps the keys of deleted entries in memory, and next skips them.
//   - The operator ".." writes numbers with up to 17 digits, and tostring does the
//     same; PUC Lua writes 14. Arithmetic converts strings by Go's
//     rules for literals: "017" + 0 is 15.
//   - A function cannot yield within a metamethod, an iterator of for, or a function
//     that sort or gsub calls.
//   - A coroutine takes 100 KB of memory with gopher-lua's defaults. It takes a fifth
//     of that with a call stack and a registry that grow: see gopher-lua's Options,
//     and how the program weir-lua sets them.
//
// # Where it is not LuaSocket
//
//   - socket.connect keeps to the family that it is given. A port is at most 65535.
//   - A blocking connect that was refused leaves the socket unconnected, as
//     connect(2) does. A receive then says "Transport endpoint is not connected",
//     where LuaSocket says "closed".
//   - connect of a connected object with a timeout other than 0 always says "already
//     connected". The first such call of LuaSocket returns 1.
//   - setfd with a descriptor that is no socket makes an object on which every call
//     fails. The old descriptor stays open, as in LuaSocket.
//   - A method getfd or dirty may not call select.
//   - The table socket has a metatable, which notes when a script sets _DEBUG.
//   - A datagram of more than 16 MiB is cut.
//   - Errors about arguments have gopher-lua's words.
package lua
