package lua

import (
	"fmt"
	"weak"

	"github.com/seed-2334f180/weir/socket"
	glua "github.com/yuin/gopher-lua"
)

// A group holds the classes of one sort of objects: tcp{master}, tcp{client} and
// tcp{server}. Their objects have the same methods.
type group struct {
	m       *module
	name    string
	typ     socket.Type
	classes [3]*class // by role
}

// A class is the present role of an object. Methods check it. An object changes its
// class when it listens or connects.
type class struct {
	group *group
	role  role
	name  string
	meta  *glua.LTable
	// methods is the table of __index. A script may change it: select calls
	// getfd and dirty when they are not the library's.
	methods      *glua.LTable
	getfd, dirty glua.LValue

	turn    uint64 // the call of select that checked methods last
	isPlain bool   // that call found the library's getfd and dirty
}

type role int

const (
	master role = iota
	client
	server
)

// The roles of datagram sockets.
const (
	unconnected = master
	connected   = client
)

var (
	streamRoles = []string{"master", "client", "server"}
	dgramRoles  = []string{"unconnected", "connected"}
)

// metaEntries is the number of entries of an object's metatable.
const metaEntries = 4

func (m *module) newGroup(L *glua.LState, name string, typ socket.Type, roles []string, methods func(*group) map[string]glua.LGFunction) *group {
	g := &group{m: m, name: name, typ: typ}
	for i, r := range roles {
		c := &class{group: g, role: role(i), name: name + "{" + r + "}"}
		c.methods = L.SetFuncs(L.NewTable(), methods(g))
		c.methods.RawSetString("class", glua.LString(c.name))
		c.getfd, c.dirty = c.methods.RawGetString("getfd"), c.methods.RawGetString("dirty")
		// Each call of a method looks up __index. Go finds a key faster in a map of few entries.
		c.meta = L.SetFuncs(L.CreateTable(0, metaEntries), map[string]glua.LGFunction{"__gc": g.close, "__tostring": g.tostring})
		c.meta.RawSetString("__index", c.methods)
		c.meta.RawSetString("__name", glua.LString(c.name))
		g.classes[i] = c
	}
	return g
}

// An object is a socket as scripts see it. An object of an inet socket has no
// descriptor until its family is known. A closed object has none.
type object struct {
	m      *module
	class  *class
	ud     *glua.LUserData
	family socket.Family // 0: not known yet
	h      *handle       // nil: no descriptor
	fd     int           // the handle's, or noDescriptor
	timeout
	stats
	input   []byte // received bytes of a stream that the script has not read yet
	block   *block // the memory of input, or nil: see keep
	returns bool   // input may contain carriage returns

	weak weak.Pointer[object]
}

// newObject makes an object without a descriptor.
func (g *group) newObject(r role, family socket.Family) *object {
	c := g.classes[r]
	o := &object{m: g.m, class: c, family: family, fd: noDescriptor, timeout: noTimeout, stats: newStats()}
	o.ud = &glua.LUserData{Value: o, Env: g.m.env, Metatable: c.meta}
	return o
}

// become changes the class of the object.
func (o *object) become(r role) {
	o.class = o.class.group.classes[r]
	o.ud.Metatable = o.class.meta
}

// self returns a weak pointer to the object, for holders that must not keep it
// from being collected.
func (o *object) self() weak.Pointer[object] {
	if o.weak == (weak.Pointer[object]{}) {
		o.weak = weak.Make(o)
	}
	return o.weak
}

// create gives the object a new socket. It closes the old one.
func (o *object) create(family socket.Family) error {
	o.drop()
	s, err := socket.New(family, o.class.group.typ, 0)
	if err != nil {
		return err
	}
	if family == socket.Inet6 {
		if err := s.Setsockopt("ipv6", "IPV6_V6ONLY", true); err != nil {
			s.Close()
			return err
		}
	}
	o.hold(newHandle(s))
	return nil
}

// hold makes the object use a handle.
func (o *object) hold(h *handle) {
	o.h, o.fd = h, h.fd
	o.m.fds.add(o)
}

// release removes the descriptor from the object, and leaves it open.
func (o *object) release() *handle {
	o.m.fds.forget(o)
	h := o.h
	o.m.waits.unwatch(h.selectable)
	o.h, o.fd = nil, noDescriptor
	return h
}

// drop closes the descriptor, if there is one. Buffered input stays.
func (o *object) drop() {
	if o.h == nil {
		return
	}
	if h := o.release(); h.socket != nil {
		h.socket.Close()
	}
}

// of returns the first argument. It raises an error unless that is an object of the
// group.
func (g *group) of(L *glua.LState) *object {
	if ud, ok := L.Get(1).(*glua.LUserData); ok {
		if o, ok := ud.Value.(*object); ok && o.class.group == g {
			return o
		}
	}
	L.ArgError(1, g.name+"{any} expected")
	return nil
}

// as returns the first argument. It raises an error unless that is an object of the
// group in the role r.
func (g *group) as(L *glua.LState, r role) *object {
	if ud, ok := L.Get(1).(*glua.LUserData); ok {
		if o, ok := ud.Value.(*object); ok && o.class == g.classes[r] {
			return o
		}
	}
	L.ArgError(1, g.classes[r].name+" expected")
	return nil
}

// The methods of all objects.

func (g *group) tostring(L *glua.LState) int {
	o := g.of(L)
	L.Push(glua.LString(fmt.Sprintf("%s: %p", o.class.name, o)))
	return 1
}

func (g *group) close(L *glua.LState) int {
	g.of(L).drop()
	return done(L)
}

func (g *group) getfd(L *glua.LState) int {
	L.Push(glua.LNumber(g.of(L).fd))
	return 1
}

// setfd gives the object another descriptor, and leaves its own open.
func (g *group) setfd(L *glua.LState) int {
	o := g.of(L)
	fd := int(checkNumber(L, 2))
	if fd == o.fd {
		return 0
	}
	if o.h != nil {
		g.m.fds.leave(o.release())
	}
	if fd >= 0 {
		o.hold(g.m.fds.take(fd))
	}
	return 0
}

func (g *group) isDirty(L *glua.LState) int {
	L.Push(glua.LBool(len(g.of(L).input) > 0))
	return 1
}

func (g *group) settimeout(L *glua.LState) int { return g.of(L).timeout.set(L) }

func (g *group) gettimeout(L *glua.LState) int { return g.of(L).timeout.get(L) }
