package lua

import (
	_ "embed"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/seed-2334f180/weir/interp/builtins"
	"github.com/seed-2334f180/weir/socket"
	glua "github.com/yuin/gopher-lua"
	"golang.org/x/sys/unix"
)

// A module holds what the library's functions share in one Lua state. It needs
// no lock: a state runs on one goroutine.
type module struct {
	env      *glua.LTable // of the objects
	core     *glua.LTable // socket and socket.core; nil before they are loaded
	tcp, udp *group
	debug    bool         // _DEBUG of core
	raised   *glua.LTable // the metatable of exceptions
	pcall    glua.LValue
	waits    selection
	fds      descriptors
	weak     weakTables
	block    *block // the bytes of the last receive
	blocks   blocks
	texts    texts
	out      []byte // the result of the receive in progress
}

// blockSize is the most bytes that one system call receives. An object buffers the
// bytes that the script did not ask for. LuaSocket has the same size.
const blockSize = 8192

type block [blockSize]byte

// blocks holds one block that no object uses.
type blocks struct{ spare *block }

func (b *blocks) take() *block {
	if taken := b.spare; taken != nil {
		b.spare = nil
		return taken
	}
	return new(block)
}

// give takes a block, if there is one, from an object that needs it no longer.
func (b *blocks) give(from **block) {
	if *from != nil {
		b.spare, *from = *from, nil
	}
}

// Preload lets require find the modules socket, socket.core, socket.unix and
// mime.core, and repairs the functions of gopher-lua that scripts for LuaSocket
// need: see the package's documentation. Call it for a new state, before scripts
// run. It keeps the state's Options: protected calls of the main chunk get a call
// stack of that size. It returns an error if the state has no package library.
func Preload(L *glua.LState) error {
	var preload *glua.LTable
	library, ok := L.GetGlobal("package").(*glua.LTable)
	if ok {
		preload, ok = library.RawGetString("preload").(*glua.LTable)
	}
	if !ok {
		return errors.New("lua preload: the state has no table package.preload; open the package library first")
	}
	protection, err := installProtection(L)
	if err != nil {
		return err
	}
	installDebug(L, protection)
	m := &module{env: L.Env, pcall: L.GetGlobal("pcall"), block: new(block)}
	m.weak.pcalls = protection
	installRepairs(L, &m.weak, protection)
	for name, loader := range map[string]glua.LGFunction{
		"socket":      m.load,
		"socket.core": m.load,
		"socket.unix": m.loadUnix,
		"mime.core":   loadMime,
	} {
		preload.RawSetString(name, L.NewFunction(loader))
	}
	installLoaders(L, library)
	return nil
}

// luaPart is the source of the functions that are written in Lua.
//
//go:embed socket.lua
var luaPart string

// load loads socket and socket.core, which are the same table.
func (m *module) load(L *glua.LState) int {
	L.Push(m.open(L))
	return 1
}

const version = "LuaSocket 3.1.0"

// open returns the table of the module, and makes it when it is first called.
func (m *module) open(L *glua.LState) *glua.LTable {
	if m.core != nil {
		return m.core
	}
	core := L.NewTable()
	m.core = core
	m.tcp = m.newGroup(L, "tcp", socket.Stream, streamRoles, tcpMethods)
	m.udp = m.newGroup(L, "udp", socket.Dgram, dgramRoles, udpMethods)
	L.SetFuncs(core, map[string]glua.LGFunction{
		"tcp":     m.tcp.creator(0),
		"tcp4":    m.tcp.creator(socket.Inet),
		"tcp6":    m.tcp.creator(socket.Inet6),
		"udp":     m.udp.creator(0),
		"udp4":    m.udp.creator(socket.Inet),
		"udp6":    m.udp.creator(socket.Inet6),
		"connect": m.connect,
		"select":  m.selectSockets,
		"gettime": gettime,
		"sleep":   sleep,
		"skip":    skip,
		"newtry":  m.newTry,
		// LuaSocket in C unloads the library here. There is nothing to unload.
		"__unload": func(*glua.LState) int { return 0 },
	})
	core.RawSetString("dns", L.SetFuncs(L.NewTable(), map[string]glua.LGFunction{
		"toip":        toIP,
		"tohostname":  toHostname,
		"getaddrinfo": getAddrInfo,
		"getnameinfo": getNameInfo,
		"gethostname": getHostname,
	}))
	m.raised = L.SetFuncs(L.NewTable(), map[string]glua.LGFunction{
		"__tostring": func(L *glua.LState) int {
			what, _ := m.caught(L.Get(1))
			L.Push(L.ToStringMeta(what))
			return 1
		},
	})
	core.RawSetString("_VERSION", glua.LString(version))
	core.RawSetString("_SETSIZE", glua.LNumber(openFiles()))
	core.RawSetString("_SOCKETINVALID", glua.LNumber(noDescriptor))
	core.RawSetString("_DATAGRAMSIZE", glua.LNumber(datagramSize))
	chunk, err := Load(L, strings.NewReader(luaPart), "socket.lua")
	if err != nil {
		L.RaiseError("%v", err)
	}
	L.Push(chunk)
	L.Push(core)
	L.Push(m.pcall)
	L.Push(L.NewFunction(m.rethrow))
	L.Call(3, 0)
	m.watchDebug(L)
	return core
}

// watchDebug keeps _DEBUG out of the table of the module, so that a script that sets it
// calls a metamethod. Without that send and receive would look it up at each call.
func (m *module) watchDebug(L *glua.LState) {
	const name = "_DEBUG"
	hidden, meta := L.NewTable(), L.NewTable()
	meta.RawSetString("__index", hidden)
	meta.RawSetString("__newindex", L.NewFunction(func(L *glua.LState) int {
		key, value := L.Get(2), L.Get(3)
		if key != glua.LString(name) {
			m.core.RawSet(key, value)
			return 0
		}
		m.debug = glua.LVAsBool(value)
		hidden.RawSetString(name, value)
		return 0
	}))
	m.core.Metatable = meta
}

// openFiles returns the number of descriptors that the process may have.
func openFiles() float64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 1024
	}
	return float64(limit.Cur)
}

func gettime(L *glua.LState) int {
	L.Push(glua.LNumber(now()))
	return 1
}

// now returns the wall clock's time in seconds.
func now() float64 { return float64(time.Now().UnixNano()) / 1e9 }

func sleep(L *glua.LState) int {
	d, _ := builtins.Duration(float64(checkNumber(L, 1)), time.Second) // a negative time does not sleep
	if builtins.Sleep(background(L), d) != nil {
		over(L)
	}
	return 0
}

// duration converts seconds to a time to wait. A negative number, one that is too
// large, and NaN mean for ever.
func duration(seconds float64) time.Duration {
	if d, ok := builtins.Duration(seconds, time.Second); ok && d != math.MaxInt64 {
		return d
	}
	return forever
}

const forever time.Duration = -1

// skip returns its arguments without the first n of them.
func skip(L *glua.LState) int {
	n := checkNumber(L, 1)
	drop := L.GetTop() - 1
	if n < glua.LNumber(drop) {
		drop = max(int(n), -1)
	}
	return L.GetTop() - 1 - drop
}

// fail returns nil and a message.
func fail(L *glua.LState, message string) int {
	L.Push(glua.LNil)
	L.Push(glua.LString(message))
	return 2
}

// done returns 1.
func done(L *glua.LState) int {
	L.Push(glua.LNumber(1))
	return 1
}

// failed returns nil and an error's message. If the script was interrupted, it raises
// an error instead.
func failed(L *glua.LState, err error) int {
	over(L)
	text := message(err)
	if text == msgTimeout { // sockets that do not wait have this at each turn
		L.Push(glua.LNil)
		L.Push(timeoutText)
		return 2
	}
	return fail(L, text)
}

var timeoutText glua.LValue = glua.LString(msgTimeout)

// optString returns an argument that is a string or a number, or a default when
// the argument is missing.
func optString(L *glua.LState, arg int, otherwise string) string {
	if L.Get(arg) == glua.LNil {
		return otherwise
	}
	return L.CheckString(arg)
}
