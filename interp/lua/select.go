package lua

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/interp/builtins"
	"github.com/seed-2334f180/weir/loop"
	glua "github.com/yuin/gopher-lua"
	"golang.org/x/sys/unix"
)

// A selection is the state that socket.select keeps between calls. Its Selector keeps
// the sockets of the last call registered, because most scripts wait for nearly the
// same sockets again.
//
// The Selector and the loops refer to registrations, not to objects. So a state
// that the program forgets is collected, with its sockets.
type selection struct {
	selector *weir.Selector
	watched  []*selectable // what is registered
	turn     uint64        // counts the calls

	// The fields below belong to one call. They stay to save allocations.
	items   []*selectable
	dirty   []glua.LValue // of the first list, in its order
	ready   []weir.Event
	found   []*selectable
	foreign []*selectable
	sets    builtins.Sets
	order   [2][]*selectable // of the entries of sets.Want
}

// A selectable is a descriptor that a call waits for. Between the calls it refers to the
// registration and not to the socket, so that the collector closes a socket that a
// script forgets.
type selectable struct {
	reg   *loop.Registration
	what  weir.Selectable // the socket or File; nil between the calls
	fd    int             // the results have the order of fd
	as    glua.LValue     // the value for the results
	want  weir.Interest
	is    weir.Interest
	turn  uint64 // the last call that had it in a list
	dirty bool

	watched bool // it is in the Selector
	at      int  // its index in watched
	watch   weir.Interest
}

// Registration returns the registration, for the Selector.
func (e *selectable) Registration() *loop.Registration { return e.reg }

// Buffered returns 0. Objects buffer input; their sockets do not.
func (e *selectable) Buffered() int { return 0 }

// closed reports whether the socket is closed. It is never ready then.
func (e *selectable) closed() bool { return e.reg.Look(weir.Readable) == loop.Gone }

// selectSockets is select(to read, to write, seconds).
func (m *module) selectSockets(L *glua.LState) int {
	toRead, toWrite := listArgument(L, 1), listArgument(L, 2)
	timeout := duration(float64(optNumber(L, 3, -1)))
	m.weak.idle(L)
	s := &m.waits
	s.begin()
	defer s.end()
	m.gather(L, toRead, weir.Readable)
	m.gather(L, toWrite, weir.Writable)
	if len(s.dirty) > 0 {
		timeout = 0
	}
	if err := s.wait(background(L), timeout); err != nil {
		over(L)
		L.RaiseError("select failed: %s", message(err))
	}
	return s.push(L)
}

func listArgument(L *glua.LState, arg int) *glua.LTable {
	if L.Get(arg) == glua.LNil {
		return nil
	}
	return L.CheckTable(arg)
}

func (s *selection) begin() {
	s.turn++
	s.items, s.dirty, s.found, s.foreign = s.items[:0], s.dirty[:0], s.found[:0], s.foreign[:0]
}

// end drops the references to objects, so that the collector can free them.
func (s *selection) end() {
	for _, e := range s.foreign {
		e.what.(*weir.File).Close()
	}
	for _, e := range s.items {
		e.as, e.what = nil, nil
	}
	clear(s.items)
	clear(s.found)
	clear(s.foreign)
	clear(s.dirty)
	clear(s.ready)
}

// gather adds the entries of a list to the descriptors that the call waits for.
// The list ends at the first nil.
func (m *module) gather(L *glua.LState, list *glua.LTable, want weir.Interest) {
	if list == nil {
		return
	}
	s := &m.waits
	plain := list.Metatable == glua.LValue(glua.LNil)
	for i := 1; ; i++ {
		var v glua.LValue
		if plain {
			v = list.RawGetInt(i)
		} else {
			v = L.GetTable(list, glua.LNumber(i))
		}
		if v == glua.LNil {
			return
		}
		e, dirty := m.entry(L, v, want)
		if e == nil {
			continue
		}
		if e.turn != s.turn {
			e.turn, e.want, e.is, e.dirty = s.turn, 0, 0, false
			s.items = append(s.items, e)
		}
		e.as = v
		e.want |= want
		if dirty {
			e.dirty = true
			s.dirty = append(s.dirty, v)
		}
	}
}

// entry returns the selectable of a list's value, or nil. For the list to read, it
// reports whether the value has buffered input.
func (m *module) entry(L *glua.LState, v glua.LValue, want weir.Interest) (e *selectable, dirty bool) {
	if ud, ok := v.(*glua.LUserData); ok {
		if o, ok := ud.Value.(*object); ok && o.m == m && o.class.plain(m.waits.turn) {
			if o.h == nil || o.h.fd < 0 {
				return nil, false
			}
			return m.selectableOf(L, o.h), want == weir.Readable && len(o.input) > 0
		}
	}
	turn := m.waits.turn
	fd := noDescriptor
	if n, ok := callMethod(L, v, "getfd").(glua.LNumber); ok && n >= 0 {
		fd = int(n)
	}
	if fd >= 0 && want == weir.Readable {
		dirty = glua.LVAsBool(callMethod(L, v, "dirty"))
	}
	if m.waits.turn != turn {
		L.RaiseError("select failed: a method getfd or dirty has called select")
	}
	if fd < 0 {
		return nil, false
	}
	if o := m.fds.find(fd); o != nil {
		return m.selectableOf(L, o.h), dirty
	}
	return m.foreign(L, fd), dirty
}

// plain reports whether the class still has the library's getfd and dirty. It checks
// them once in each call of select.
func (c *class) plain(turn uint64) bool {
	if c.turn != turn {
		c.turn = turn
		c.isPlain = c.methods.RawGetString("getfd") == c.getfd && c.methods.RawGetString("dirty") == c.dirty
	}
	return c.isPlain
}

// callMethod calls a value's method, and returns nil if it has none.
func callMethod(L *glua.LState, v glua.LValue, name string) glua.LValue {
	method := L.GetField(v, name)
	if method == glua.LNil {
		return glua.LNil
	}
	L.Push(method)
	L.Push(v)
	L.Call(1, 1)
	result := L.Get(-1)
	L.Pop(1)
	return result
}

// selectableOf returns the selectable of a handle.
func (m *module) selectableOf(L *glua.LState, h *handle) *selectable {
	if h.socket == nil {
		return m.foreign(L, h.fd)
	}
	if h.selectable == nil {
		h.selectable = &selectable{reg: h.socket.Registration(), fd: h.fd}
	}
	h.selectable.what = h.socket
	return h.selectable
}

// foreign returns the selectable of a descriptor that no object has. select watches
// the descriptor only during the call.
func (m *module) foreign(L *glua.LState, fd int) *selectable {
	for _, e := range m.waits.foreign {
		if e.fd == fd {
			return e
		}
	}
	file, err := weir.Watch(fd)
	if err != nil {
		L.RaiseError("select failed: %s", message(err))
	}
	e := &selectable{reg: file.Registration(), what: file, fd: fd}
	m.waits.foreign = append(m.waits.foreign, e)
	return e
}

// few is the largest number of entries that select does not register. Registering so
// few entries would remove the registrations of a larger set.
const few = 8

// wait finds the ready entries.
func (s *selection) wait(ctx context.Context, timeout time.Duration) error {
	if len(s.items) <= few || len(s.foreign) > 0 {
		return s.selectOnce(ctx, timeout)
	}
	if err := s.register(); err != nil {
		return err
	}
	var until time.Time
	if timeout > 0 {
		until = time.Now().Add(timeout)
	}
	for {
		ready, err := s.selector.Wait(ctx, timeout, s.ready)
		s.ready = ready
		if err != nil && !again(ctx, err) {
			return err
		}
		for _, r := range ready {
			e := r.What.(*selectable)
			if r.Closed {
				s.forget(e)
			} else if e.is = r.Ready & e.want; e.is != 0 {
				s.found = append(s.found, e)
			}
		}
		if len(s.found) > 0 || len(s.dirty) > 0 {
			return nil
		}
		switch {
		case timeout == 0: // the loops may not have seen the latest events yet
			return s.selectOnce(ctx, 0)
		case timeout > 0:
			if timeout = time.Until(until); timeout <= 0 {
				return nil
			}
		}
	}
}

// again reports whether select must repeat a wait that ended with an error.
func again(ctx context.Context, err error) bool {
	return ctx.Err() == nil && errors.Is(err, unix.EINTR)
}

// register changes the Selector's set to that of the call.
func (s *selection) register() error {
	if s.selector == nil {
		s.selector = weir.NewSelector()
	}
	others := len(s.watched) // number of registered sockets that are not in the lists
	for _, e := range s.items {
		if !e.watched {
			if err := s.add(e); err != nil {
				return err
			}
			continue
		}
		others--
		if e.watch == e.want {
			continue
		}
		if e.watch = e.want; s.selector.Modify(e, e.want, nil) != nil {
			s.forget(e) // it is closed
		}
	}
	if others == 0 {
		return nil
	}
	for i := len(s.watched) - 1; i >= 0; i-- { // backwards: forget moves the last one here
		if e := s.watched[i]; e.turn != s.turn {
			s.unwatch(e)
		}
	}
	return nil
}

// add registers an entry, unless it is closed.
func (s *selection) add(e *selectable) error {
	if err := s.selector.Register(e, e.want, nil); err != nil {
		if e.closed() {
			return nil // no error
		}
		return err
	}
	e.watched, e.watch, e.at = true, e.want, len(s.watched)
	s.watched = append(s.watched, e)
	return nil
}

// forget drops an entry that the Selector does not have any more.
func (s *selection) forget(e *selectable) {
	last := len(s.watched) - 1
	moved := s.watched[last]
	s.watched[e.at], s.watched[last] = moved, nil
	moved.at = e.at
	s.watched = s.watched[:last]
	e.watched = false
}

// unwatch takes an entry out of the Selector, if it is there.
func (s *selection) unwatch(e *selectable) {
	if e != nil && e.watched {
		_ = s.selector.Unregister(e) // it may be closed
		s.forget(e)
	}
}

// selectOnce waits without the Selector.
func (s *selection) selectOnce(ctx context.Context, timeout time.Duration) error {
	var until time.Time
	if timeout > 0 {
		until = time.Now().Add(timeout)
	}
	for {
		s.lists()
		_, err := s.sets.Select(ctx, timeout)
		if err == nil {
			s.match(s.sets.Ready.Read, s.sets.Want.Read, s.order[0], weir.Readable)
			s.match(s.sets.Ready.Write, s.sets.Want.Write, s.order[1], weir.Writable)
		}
		s.clearLists()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EBADF): // a socket is closed; the next lists do not have it
		case !again(ctx, err):
			return err
		}
		if timeout > 0 {
			timeout = max(time.Until(until), 0)
		}
	}
}

// lists fills the lists of Select.
func (s *selection) lists() {
	for _, e := range s.items {
		if e.closed() {
			continue
		}
		if e.want&weir.Readable != 0 && !e.dirty {
			s.sets.Want.Read = append(s.sets.Want.Read, e.what)
			s.order[0] = append(s.order[0], e)
		}
		if e.want&weir.Writable != 0 {
			s.sets.Want.Write = append(s.sets.Want.Write, e.what)
			s.order[1] = append(s.order[1], e)
		}
	}
}

// match finds the entries of the ready sockets. ready must have the order of list.
func (s *selection) match(ready, list []weir.Selectable, entries []*selectable, is weir.Interest) {
	at := 0
	for _, r := range ready {
		for list[at] != r {
			at++
		}
		e := entries[at]
		at++
		if e.is == 0 {
			s.found = append(s.found, e)
		}
		e.is |= is
	}
}

func (s *selection) clearLists() {
	s.sets.Clear()
	for i := range s.order {
		clear(s.order[i])
		s.order[i] = s.order[i][:0]
	}
}

// push returns the results: two tables of the ready objects, in the order of the
// descriptors, which also map each object to its place; and "timeout" when nothing
// is ready.
func (s *selection) push(L *glua.LState) int {
	slices.SortFunc(s.found, func(a, b *selectable) int { return cmp.Compare(a.fd, b.fd) })
	read, write := L.CreateTable(0, 0), L.CreateTable(0, 0)
	n := 0
	add := func(t *glua.LTable, n int, v glua.LValue) {
		t.RawSetInt(n, v)
		t.RawSetH(v, glua.LNumber(n))
	}
	for _, v := range s.dirty {
		n++
		add(read, n, v)
	}
	writes := 0
	for _, e := range s.found {
		if e.is&weir.Readable != 0 && !e.dirty {
			n++
			add(read, n, e.as)
		}
		if e.is&weir.Writable != 0 {
			writes++
			add(write, writes, e.as)
		}
	}
	L.Push(read)
	L.Push(write)
	if n+writes > 0 {
		return 2
	}
	L.Push(glua.LString(msgTimeout))
	return 3
}
