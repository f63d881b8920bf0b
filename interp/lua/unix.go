package lua

import (
	"strings"
	"unsafe"

	"github.com/seed-2334f180/weir/socket"
	glua "github.com/yuin/gopher-lua"
	"golang.org/x/sys/unix"
)

// loadUnix makes socket.unix, a table. A call of the table makes a stream object.
func (m *module) loadUnix(L *glua.LState) int {
	m.open(L)
	stream := m.newGroup(L, "unixstream", socket.Stream, streamRoles, unixStreamMethods)
	dgram := m.newGroup(L, "unixdgram", socket.Dgram, dgramRoles, unixDgramMethods)
	newStream, newDgram := stream.creator(socket.Unix), dgram.creator(socket.Unix)
	module := L.SetFuncs(L.NewTable(), map[string]glua.LGFunction{
		"stream": newStream,
		"tcp":    newStream,
		"dgram":  newDgram,
		"udp":    newDgram,
		"__call": newStream,
	})
	module.Metatable = module
	L.Push(module)
	return 1
}

func unixStreamMethods(g *group) map[string]glua.LGFunction {
	methods := streamMethods(g)
	methods["bind"], methods["setsockname"] = g.bindPath, g.bindPath
	methods["connect"], methods["setpeername"] = g.connectPath, g.connectPath
	methods["getsockname"] = g.getPath
	methods["setoption"] = g.setoption
	return methods
}

func unixDgramMethods(g *group) map[string]glua.LGFunction {
	methods := dgramMethods(g)
	methods["bind"], methods["setsockname"] = g.bindPath, g.bindPath
	methods["connect"], methods["setpeername"] = g.connectPath, g.connectPath
	methods["getsockname"] = g.getPath
	methods["receivefrom"] = g.receiveFromPath
	methods["sendto"] = g.sendToPath
	return methods
}

const msgLongPath = "path too long"

// checkPath returns an argument that is a path. A zero byte ends it, as in C.
func checkPath(L *glua.LState, arg int) (path string, fits bool) {
	path = L.CheckString(arg)
	for i := range len(path) {
		if path[i] == 0 {
			path = path[:i]
			break
		}
	}
	return path, len(path) < len(unix.RawSockaddrUnix{}.Path)
}

// unixAddr returns the address of a path. For Weir a leading "@" marks an abstract
// name; LuaSocket has no such names.
func unixAddr(path string) socket.Addr {
	if path != "" && path[0] == '@' && len(path)+2 < len(unix.RawSockaddrUnix{}.Path) {
		path = "./" + path
	}
	return socket.UnixAddr(path)
}

// bindPath binds a socket to a path. If it fails, the descriptor is closed.
func (g *group) bindPath(L *glua.LState) int {
	o := g.as(L, master)
	path, fits := checkPath(L, 2)
	if !fits {
		return fail(L, msgLongPath)
	}
	s, err := o.socket()
	if err == nil {
		if err = bindUnix(s.Fd(), path); err == nil {
			return done(L)
		}
	}
	o.drop()
	return failed(L, err)
}

// bindUnix calls bind(2) with the path unchanged, also if it begins with "@".
func bindUnix(fd int, path string) error {
	sa := unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	for i := range len(path) {
		sa.Path[i] = int8(path[i])
	}
	size := unsafe.Offsetof(sa.Path) + uintptr(len(path))
	_, _, errno := unix.Syscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&sa)), size)
	if errno != 0 {
		return errno
	}
	return nil
}

// connectPath connects a stream, or gives a datagram socket its peer. If it
// fails, the descriptor is closed.
func (g *group) connectPath(L *glua.LState) int {
	o := g.of(L)
	if g.typ == socket.Stream {
		o = g.as(L, master)
	}
	path, fits := checkPath(L, 2)
	if !fits {
		return fail(L, msgLongPath)
	}
	err := error(errClosed)
	if o.h != nil {
		b := o.begin()
		err = o.connectTo(L, unixAddr(path), b.first())
	}
	if err != nil {
		o.drop()
		return failed(L, err)
	}
	o.become(client)
	return done(L)
}

func (g *group) getPath(L *glua.LState) int {
	sa, err := unix.Getsockname(g.of(L).fd)
	if err != nil {
		return failed(L, err)
	}
	name := ""
	if sa, ok := sa.(*unix.SockaddrUnix); ok && !strings.HasPrefix(sa.Name, "@") { // not for a missing or abstract name
		name = sa.Name
	}
	L.Push(glua.LString(name))
	return 1
}

func (g *group) sendToPath(L *glua.LState) int {
	o := g.as(L, unconnected)
	data := L.CheckString(2)
	path, fits := checkPath(L, 3)
	if !fits {
		return fail(L, msgLongPath)
	}
	return o.sendMessageTo(L, data, unixAddr(path))
}

// receiveFromPath returns a datagram and the path of its sender. The path of a sender
// without one is "".
func (g *group) receiveFromPath(L *glua.LState) int {
	o := g.as(L, unconnected)
	buf := o.messageBuffer(L)
	n, from, err := o.recvMessage(L, buf, true)
	if err != nil && err != errClosed {
		return failed(L, err)
	}
	L.Push(glua.LString(buf[:n]))
	L.Push(glua.LString(from.Host()))
	return 2
}
