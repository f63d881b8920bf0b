package lua

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	glua "github.com/yuin/gopher-lua"
)

// contexts makes the kinds of contexts that a state may have. Each function also
// returns the function that ends the context.
var contexts = map[string]func() (context.Context, func()){
	"a context": func() (context.Context, func()) {
		ctx, cancel := context.WithCancel(context.Background())
		return ctx, cancel
	},
	"an interruptible": Interruptible,
}

// The end of a script's context ends each call that a script can run or block in.
func TestContextEndsWhateverBlocks(t *testing.T) {
	for name, makeContext := range contexts {
		t.Run(name, func(t *testing.T) { testContextEnds(t, makeContext) })
	}
}

func testContextEnds(t *testing.T, makeContext func() (context.Context, func())) {
	const setup = `
		local socket = require "socket"
		local unix = require "socket.unix"
		local server = assert(socket.bind("127.0.0.1", 0))
		local host, port = server:getsockname()
		local a = assert(socket.connect(host, port))
		local b = assert(server:accept())
		local udp = socket.udp()
		udp:setsockname("127.0.0.1", 0)
		local many = {}
		for i = 1, 50 do many[i] = assert(socket.udp4()) many[i]:setsockname("127.0.0.1", 0) end
		local function fill() while a:send(("x"):rep(100000)) do end end
		local full = socket.tcp()
		full:bind("127.0.0.1", 0)
		full:listen(0)
		local _, fullport = full:getsockname()
		local queued = {}
		for i = 1, 3 do queued[i] = socket.tcp() queued[i]:settimeout(0) queued[i]:connect("127.0.0.1", fullport) end
		blocking()
	`
	for name, text := range map[string]string{
		"receive":             `a:receive()`,
		"receive bytes":       `a:receive(10)`,
		"receive all":         `a:receive("*a")`,
		"receive in time":     `a:settimeout(100) a:receive()`,
		"receive in total":    `a:settimeout(100, "t") a:receive()`,
		"send":                `fill()`,
		"accept":              `server:accept()`,
		"connect":             `socket.tcp():connect("127.0.0.1", fullport)`,
		"udp receive":         `udp:receive()`,
		"udp receivefrom":     `udp:receivefrom()`,
		"select":              `socket.select({ a, b })`,
		"select in time":      `socket.select({ a, b }, nil, 100)`,
		"select many":         `socket.select(many)`,
		"select many in time": `socket.select(many, nil, 100)`,
		"select nothing":      `socket.select()`,
		"select a foreign":    `socket.select { { getfd = function() return foreign end } }`,
		"sleep":               `socket.sleep(100)`,
		"a look-up":           `socket.dns.toip("slow.test")`,
		"connect to a name":   `socket.connect("slow.test", 80)`,
		"in a coroutine":      `coroutine.wrap(function() a:receive() end)()`,
		"in a protected call": `socket.protect(function() a:receive() end)()`,
		"protected, in a coroutine": `coroutine.wrap(function()
			socket.protect(function() socket.try(a:receive()) end)() end)()`,
		"in pcall": `pcall(a.receive, a) error("went on")`,
		"a loop":   `while true do end`,
		"a loop in coroutines": `coroutine.wrap(function()
			coroutine.wrap(function() pcall(function() while true do end end) end)() end)()`,
		"calls": `local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end fib(100)`,
	} {
		t.Run(name, func(t *testing.T) {
			slow(t, "slow.test.")
			s := newScript(t)
			foreign, err := net.ListenPacket("udp4", "127.0.0.1:0")
			require.NoError(t, err)
			defer foreign.Close()
			file, err := foreign.(*net.UDPConn).File()
			require.NoError(t, err)
			defer file.Close()
			s.SetGlobal("foreign", glua.LNumber(file.Fd()))
			ctx, cancel := makeContext()
			defer cancel()
			s.SetContext(ctx)
			var blocking atomic.Bool
			s.SetGlobal("blocking", s.NewFunction(func(*glua.LState) int { blocking.Store(true); return 0 }))
			f, err := Load(s.LState, strings.NewReader(setup+text), "script")
			require.NoError(t, err)
			s.Push(f)
			ended := make(chan error, 1)
			go func() { ended <- s.PCall(0, 0, nil) }()
			require.Eventually(t, blocking.Load, patience, time.Millisecond)
			select {
			case err := <-ended:
				require.Fail(t, "it does not block", "%v", err)
			case <-time.After(20 * time.Millisecond):
			}
			cancel()
			select {
			case err := <-ended:
				require.ErrorContains(t, err, "context canceled")
			case <-time.After(patience):
				require.Fail(t, "it did not end with the context")
			}
		})
	}
}

// slow makes look-ups of a name wait until their context ends.
func slow(t *testing.T, name string) {
	t.Helper()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, errors.New("no answer about " + name)
	}}
	t.Cleanup(func() { net.DefaultResolver = before })
}

// A call ends with an error if the context is already done, even if the call need
// not wait.
func TestContextThatIsDone(t *testing.T) {
	for name, makeContext := range contexts {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			ctx, cancel := makeContext()
			s.SetContext(ctx)
			s.SetGlobal("cancel", s.NewFunction(func(*glua.LState) int { cancel(); return 0 }))
			err := s.DoString(`local socket = require "socket" cancel() socket.sleep(0) print("went on")`)
			require.ErrorContains(t, err, "context canceled")
			require.Empty(t, s.out.String())
		})
	}
}

// No other goroutine can reach a script's sockets. But through setfd a script can wait
// for a descriptor of another script, which closes it while select waits.
func TestSelectOverAClosedDescriptor(t *testing.T) {
	s := newScript(t)
	out := s.run(t, `
		local socket = require "socket"
		local server = assert(socket.bind("127.0.0.1", 0))
		local host, port = server:getsockname()
		local a = assert(socket.connect(host, port))
		local b = assert(server:accept())
		local many = {}
		for i = 1, 20 do many[i] = socket.udp4() end
		local twin = socket.tcp()
		twin:setfd(b:getfd())
		many[21] = b
		print(select(3, socket.select(many, nil, 0.01)))
		print(select(3, socket.select({ b }, nil, 0.01)))
		twin:close()
		print(select(3, socket.select(many, nil, 0.01)))
		print(select(3, socket.select({ b }, nil, 0.01)))
		print(b:receive())
	`)
	require.Equal(t, "timeout\ntimeout\ntimeout\ntimeout\nnil\tBad file descriptor\t\n", out)
}
