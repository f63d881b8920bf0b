// Package lua lets programs written for LuaSocket run unmodified in gopher-lua,
// on Weir's sockets.
//
//	L := lua.NewState() // of github.com/yuin/gopher-lua
//	err := weirlua.Preload(L)
//	err = L.DoString(`local socket = require "socket" ...`)
//
// The modules are socket (and socket.core, which is the same table),
// socket.unix and mime.core, with the functions, methods, options and error
// messages of LuaSocket 3.1. Its files that are written in Lua, such as
// socket/http.lua, mime.lua and ltn12.lua, run on them when they are on
// package.path.
//
// # States and goroutines
//
// One Lua state runs on one goroutine, as gopher-lua has it; different states
// share nothing. A script that waits costs no thread. The end of a state's
// context (LState.SetContext) ends whatever the script runs or waits in: a call
// on a socket, select, sleep, the look-up of a name, or a loop. It raises an
// error there. Interruptible makes the context that slows a script down least.
//
// # Select
//
// socket.select keeps what it waits for registered from call to call: a loop
// over many sockets pays for reading its lists, and for what has changed or is
// ready, but not for the sockets that are silent. There is no limit of 1024
// descriptors. Results come in the order of the descriptors' numbers, those
// with buffered input first, as LuaSocket has it. A call that finds something
// reports what the event loops have taken in; what happened in the last
// microseconds may be for the next call to tell.
//
// # What is gopher-lua's
//
// The language is Lua 5.1. gopher-lua does not evaluate the right side of an
// assignment before it assigns to local variables; LuaSocket's own files, and
// many others, need that. So Preload has chunks that scripts load compiled by
// Load, which does it right; an embedder that uses Load or LoadFile for the
// script itself, too, has it right everywhere.
//
// An error that gopher-lua's pcall catches detaches the local variables of its
// callers from the closures that use them, and a coroutine that yields within it
// breaks the state. So Preload replaces pcall and xpcall: they run what they
// protect in a coroutine of their own, which programs do not see. Preload
// replaces the coroutine library, too: coroutines share the context of the state.
// gopher-lua derives one context from another; a coroutine then ends with its
// creator, and stays in memory with the context.
//
// A coroutine takes 100 KB of memory with gopher-lua's defaults. It takes a fifth
// of that with a call stack and a registry that grow: see gopher-lua's Options,
// and how the program weir-lua sets them.
//
// # Where it is not LuaSocket
//
//   - socket.connect keeps to the family that it is given, and a port is at
//     most 65535.
//   - A blocking connect that was refused leaves the socket unconnected, as
//     connect(2) does, and a receive then says so; LuaSocket's says "closed".
//   - connect of an object that has connected with a timeout other than 0 says
//     "already connected" every time. LuaSocket's first such call is the kernel's
//     confirmation of the connection before, and returns 1.
//   - setfd with the descriptor of something that is no socket makes an object
//     on which every call fails. An object's old descriptor stays open, as
//     LuaSocket has it.
//   - A method getfd or dirty may not call select.
//   - A datagram longer than 16 MiB is cut, however much was asked for.
//   - Error messages about wrong arguments are worded as gopher-lua's are.
package lua
