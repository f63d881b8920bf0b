package lua

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
	"weak"

	"github.com/seed-2334f180/weir"
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
	watched  []*watch // the registered handles
	turn     uint64   // counts the calls

	// The fields below belong to one call. They stay to save allocations.
	items   []*selectable
	dirty   []glua.LValue // of the first list, in its order
	ready   []weir.Event
	found   []*selectable
	foreign []*selectable
	want    weir.Set[weir.Selectable]
	have    weir.Set[weir.Selectable]
	order   [2][]*selectable // of the entries of want
}

// A selectable is a descriptor that a call waits for.
type selectable struct {
	h     *handle     // nil for a foreign descriptor
	file  *weir.File  // for a foreign descriptor
	fd    int         // the results have the order of fd
	as    glua.LValue // the value for the results
	want  weir.Interest
	is    weir.Interest
	turn  uint64 // the last call that had it in a list
	dirty bool
}

// A watch stands for a handle in the Selector. It refers to the handle weakly, so
// that the collector closes a socket that a script forgets.
type watch struct {
	reg   *loop.Registration
	owner weak.Pointer[handle]
	at    int // the index in watched
	want  weir.Interest
	turn  uint64 // the last call that asked for it
}

// Registration returns the registration, for the Selector.
func (w *watch) Registration() *loop.Registration { return w.reg }

// Buffered returns 0. Objects buffer input; their sockets do not.
func (w *watch) Buffered() int { return 0 }

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
		e.file.Close()
	}
	for _, e := range s.items {
		e.as = nil
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
		h.selectable = &selectable{h: h, fd: h.fd}
	}
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
	e := &selectable{file: file, fd: fd}
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
			w := r.What.(*watch)
			h := w.owner.Value()
			if r.Closed || h == nil {
				s.forget(w)
				continue
			}
			e := h.selectable
			if e.is = r.Ready & e.want; e.is != 0 {
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
		w := e.h.watch
		if w == nil {
			if err := s.add(e); err != nil {
				return err
			}
			continue
		}
		others--
		w.turn = s.turn
		if w.want == e.want {
			continue
		}
		if s.selector.Modify(w, e.want, nil) != nil {
			s.forget(w) // it is closed
			continue
		}
		w.want = e.want
	}
	if others == 0 {
		return nil
	}
	for i := len(s.watched) - 1; i >= 0; i-- { // backwards: forget moves the last one here
		if w := s.watched[i]; w.turn != s.turn {
			_ = s.selector.Unregister(w) // it may be closed
			s.forget(w)
		}
	}
	return nil
}

// add registers an entry, unless it is closed.
func (s *selection) add(e *selectable) error {
	w := &watch{reg: e.h.socket.Registration(), owner: weak.Make(e.h), at: len(s.watched), want: e.want, turn: s.turn}
	if err := s.selector.Register(w, e.want, nil); err != nil {
		if !e.h.alive() {
			return nil // a closed socket is never ready, and no error
		}
		return err
	}
	e.h.watch = w
	s.watched = append(s.watched, w)
	return nil
}

// forget drops a watch that the Selector does not have any more.
func (s *selection) forget(w *watch) {
	last := len(s.watched) - 1
	moved := s.watched[last]
	s.watched[w.at], s.watched[last] = moved, nil
	moved.at = w.at
	s.watched = s.watched[:last]
	if h := w.owner.Value(); h != nil {
		h.watch = nil
	}
}

// unwatch takes the handle of a closing object out of the Selector.
func (s *selection) unwatch(h *handle) {
	if h.watch != nil {
		_ = s.selector.Unregister(h.watch)
		s.forget(h.watch)
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
		_, err := weir.SelectInto(ctx, &s.have, s.want, timeout)
		if err == nil {
			s.match(s.have.Read, s.want.Read, s.order[0], weir.Readable)
			s.match(s.have.Write, s.want.Write, s.order[1], weir.Writable)
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
		if e.h != nil && !e.h.alive() {
			continue
		}
		var what weir.Selectable = e.file
		if e.h != nil {
			what = e.h.socket
		}
		if e.want&weir.Readable != 0 && !e.dirty {
			s.want.Read = append(s.want.Read, what)
			s.order[0] = append(s.order[0], e)
		}
		if e.want&weir.Writable != 0 {
			s.want.Write = append(s.want.Write, what)
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
	for _, set := range []*weir.Set[weir.Selectable]{&s.want, &s.have} {
		for _, list := range []*[]weir.Selectable{&set.Read, &set.Write} {
			clear(*list)
			*list = (*list)[:0]
		}
	}
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
