package lua_test

import (
	"log"
	"strings"

	weirlua "github.com/seed-2334f180/weir/interp/lua"
	lua "github.com/yuin/gopher-lua"
)

// A script connects to itself over TCP and sends a line.
func ExamplePreload() {
	L := lua.NewState()
	defer L.Close()
	if err := weirlua.Preload(L); err != nil {
		log.Fatal(err)
	}
	err := L.DoString(`
		local socket = require "socket"
		local server = assert(socket.bind("127.0.0.1", 0))
		local host, port = server:getsockname()
		local client = assert(socket.connect(host, port))
		local accepted = server:accept()
		client:send("hello\n")
		local ready = socket.select({ accepted, server }, nil, 1)
		print(#ready, ready[1] == accepted, (accepted:receive()))
	`)
	if err != nil {
		log.Fatal(err)
	}
	// Output: 1	true	hello
}

// Load compiles an assignment that LState.Load compiles wrongly.
func ExampleLoad() {
	L := lua.NewState()
	defer L.Close()
	chunk, err := weirlua.Load(L, strings.NewReader(`
		local a, b = 1, 2
		a, b = b, a
		print(a, b)
	`), "swap")
	if err != nil {
		log.Fatal(err)
	}
	L.Push(chunk)
	if err := L.PCall(0, 0, nil); err != nil {
		log.Fatal(err)
	}
	// Output: 2	1
}
