// Package weir waits for many sockets at once: Select for the sockets of one
// call, Selector for a set that stays the same from call to call.
//
// Both report what select(2) would report, mostly without a system call: the event
// loops have the answer already. A socket with input in its buffer is readable,
// whatever the kernel has. A call on a socket that is reported as ready does not
// wait, unless another goroutine takes the input or the room first.
//
//	ready, err := weir.Select([]*socket.Socket{a, b}, nil, nil, time.Second)
//	for _, s := range ready.Read {
//		n, err := s.Recv(buf, 0)
//	}
//
// The sockets themselves are in package socket. Package server serves connections
// by callbacks or by blocking handlers, and package net is Go's net over these
// sockets.
//
// All functions are concurrency-safe. "It is concurrency-safe" means, in all of Weir,
// that any goroutine may call it at any time, also while other calls are in progress.
package weir

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A Selectable is something that Select can wait for: a *socket.Socket, a *File, or
// a type of your own around one of them.
type Selectable interface {
	// Registration returns the loop's record of the descriptor.
	Registration() *loop.Registration
	// Buffered returns how many bytes of input the program holds already. If it
	// is above 0, a read does not wait.
	Buffered() int
}

var _ Selectable = (*socket.Socket)(nil)

// A Set is three lists: what to wait for, or what is ready.
type Set[S Selectable] struct {
	Read   []S // for input, a connection to accept, or the end
	Write  []S // for room for output
	Except []S // for out-of-band data
}

const (
	readList = iota
	writeList
	exceptList
)

var listNames = [...]string{"read", "write", "except"}

var wants = [...]loop.Interest{loop.Readable, loop.Writable, loop.Exceptional}

// Timeouts of Select and of Selector.Wait. All of Weir uses these values: see the
// table in the documentation of package loop.
const (
	NoWait  = loop.NoWait  // 0: return what is ready now
	Forever = loop.Forever // -1, as every negative timeout: wait without a bound
)

// Select waits until an entry of one of the lists is ready, and returns all that
// are ready, in the order of the lists: select(2). An entry that stands in several
// lists, or several times in one, is reported as often. A timeout of NoWait does
// not wait, and Forever waits without a bound. With three empty lists Select
// sleeps. SO_RCVTIMEO and SO_SNDTIMEO have no effect on it.
//
// The entries have one type: []*socket.Socket, []*File, or []Selectable for a mix.
//
// When the timeout ends, the result is empty and there is no error. Errors are of
// type *socket.Error, and the result is empty then: EINVAL for a nil entry; EBADF
// for a closed one, also for one that is closed while Select waits; EINTR when
// Interrupt is called on an entry.
//
// The end of a connect makes a socket writable, whether it has succeeded or not: see
// socket.Socket.ConnectStart, which does not wait.
//
// Any number of calls may wait for the same socket, beside others that are
// blocked in reading it. The caller must not change the lists meanwhile.
func Select[S Selectable](read, write, except []S, timeout time.Duration) (Set[S], error) {
	return SelectContext(context.Background(), read, write, except, timeout)
}

// SelectContext is Select that also ends when ctx is done: it returns EINTR and
// the context's cause. A nil ctx never ends.
func SelectContext[S Selectable](ctx context.Context, read, write, except []S, timeout time.Duration) (Set[S], error) {
	var ready Set[S]
	_, err := SelectInto(ctx, &ready, Set[S]{read, write, except}, timeout)
	return ready, err
}

// SelectInto is SelectContext that stores the result in the lists of ready, which
// it overwrites, and returns how many entries these have together. If the lists
// have enough capacity and ctx can never end, it allocates nothing. The lists of
// want must have other memory.
func SelectInto[S Selectable](ctx context.Context, ready *Set[S], want Set[S], timeout time.Duration) (n int, err error) {
	if ctx == nil {
		ctx = context.Background()
	}
	c := calls.Get().(*call)
	from := [...][]S{want.Read, want.Write, want.Except}
	to := [...][]S{ready.Read[:0], ready.Write[:0], ready.Except[:0]}
	for i := range from {
		hold(&c.want[i], from[i])
	}
	if err = c.run(ctx, timeout); err == nil {
		for _, f := range c.found {
			to[f.list] = append(to[f.list], from[f.list][f.index])
		}
		n = len(c.found)
	}
	ready.Read, ready.Write, ready.Except = to[readList], to[writeList], to[exceptList]
	c.clear()
	calls.Put(c)
	runtime.KeepAlive(want)
	return n, err
}

// A call is one Select in progress.
type call struct {
	want    [3]entries
	found   []found
	inquiry loop.Inquiry
	hooks   []loop.Hook
	gate    *loop.Gate
}

// A found entry is ready, or may be.
type found struct {
	list     int32
	index    int32
	question int32 // of the inquiry; -1 if there is no doubt
}

var calls = sync.Pool{New: func() any { return &call{gate: loop.NewGate()} }}

// entries are one list of a Select, in one of two forms. The usual type has a
// form of its own, so that nothing is copied and its methods are called directly.
type entries struct {
	sockets []*socket.Socket
	others  []Selectable
	copied  []Selectable // the memory of others, if they had another type
}

func hold[S Selectable](e *entries, list []S) {
	switch known := any(list).(type) {
	case []*socket.Socket:
		e.sockets = known
	case []Selectable:
		e.others = known
	default:
		for _, s := range list {
			e.copied = append(e.copied, s)
		}
		e.others = e.copied
	}
}

func (e *entries) len() int { return len(e.sockets) + len(e.others) }

func (e *entries) at(i int) Selectable {
	if e.sockets != nil {
		return e.sockets[i]
	}
	return e.others[i]
}

// clear drops the references, so that the entries can be collected.
func (c *call) clear() {
	for i := range c.want {
		e := &c.want[i]
		clear(e.copied)
		*e = entries{copied: e.copied[:0]}
	}
	c.found = c.found[:0]
}

// run waits until an entry is ready, and puts the entries that are ready into found.
func (c *call) run(ctx context.Context, timeout time.Duration) error {
	if ctx.Err() != nil {
		return interrupted(context.Cause(ctx))
	}
	if err := c.scan(timeout == 0); len(c.found) > 0 || err != nil || timeout == 0 {
		return err
	}
	var until time.Time
	if timeout > 0 {
		until = time.Now().Add(timeout)
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { c.gate.Wake(nil) })
		defer stop()
	}
	c.gate.Interrupted()
	c.gate.Adapt(c.loop())
	c.gate.Arm() // before the first hook, which may notify at once
	defer c.unhang()
	if err := c.hang(); err != nil {
		c.gate.Disarm()
		return err
	}
	return c.wait(ctx, until)
}

// loop returns the loop of the first entry, or nil.
func (c *call) loop() *loop.Loop {
	for list := range c.want {
		if e := &c.want[list]; e.len() > 0 {
			return e.at(0).Registration().Loop()
		}
	}
	return nil
}

// wait scans and sleeps in turn, while the hooks hang on all entries.
func (c *call) wait(ctx context.Context, until time.Time) error {
	for {
		over := !until.IsZero() && !time.Now().Before(until)
		err := c.scan(over)
		switch {
		case len(c.found) > 0 || err != nil || over:
		case c.gate.Interrupted():
			err = interrupted(loop.ErrInterrupted)
		case ctx.Err() != nil:
			err = interrupted(context.Cause(ctx))
		default:
			if err = c.sleep(until); err == nil {
				c.gate.Arm()
				continue
			}
			return err // sleep has disarmed the gate
		}
		c.gate.Disarm()
		return err
	}
}

// sleep returns after an event or when the time is up. The timers of the first entry's
// loop end the sleep. If that loop is closed, the next scan finds the entry closed.
func (c *call) sleep(until time.Time) error {
	if len(c.hooks) > 0 {
		_ = c.gate.Sleep(c.hooks[0].Loop(), until)
		return nil
	}
	// If the group is closed meanwhile, Default makes another one next time.
	group, err := loop.Default()
	if err != nil {
		c.gate.Disarm()
		return failed("", err)
	}
	_ = c.gate.Sleep(group.Pick(netip.Addr{}), until)
	return nil
}

// scan puts the entries that are ready into found. A thorough scan is exact: if the
// loops know of no ready entry, it asks the kernel about every entry. A scan that is
// not thorough may miss an event that is on its way to a loop. With an except list,
// a scan asks about every entry as soon as one may be ready.
func (c *call) scan(thorough bool) error {
	all := 0
	c.found = c.found[:0]
	for list := range c.want {
		all += c.want[list].len()
		if err := c.look(list); err != nil {
			return c.drop(err)
		}
	}
	if len(c.found) == 0 && !thorough {
		return nil
	}
	if c.want[exceptList].len() > 0 {
		// The answers about one socket must be of one moment: a read of a unix
		// stream waits if its only input is an out-of-band byte.
		c.inquiry.Cancel()
		c.found = c.found[:0]
	}
	if len(c.found) > 0 {
		asked := c.inquiry.Len()
		if err := c.settle(); len(c.found) > 0 || err != nil || !thorough || asked == all {
			return err
		}
	}
	for list := range c.want {
		e := &c.want[list]
		for i := range e.len() {
			if err := c.ask(list, i, e.at(i).Registration()); err != nil {
				return c.drop(err)
			}
		}
	}
	return c.settle()
}

// drop ends a scan that fails.
func (c *call) drop(err error) error {
	c.inquiry.Cancel()
	c.found = c.found[:0]
	return err
}

// isNil reports whether what holds a nil pointer to a Socket.
func isNil(what Selectable) bool {
	s, ok := what.(*socket.Socket)
	return ok && s == nil
}

// look notes each entry of a list that is ready, and asks about each that may be.
func (c *call) look(list int) error {
	e, want := &c.want[list], wants[list]
	for i, s := range e.sockets {
		if s == nil {
			return missing(list, i)
		}
		r := s.Registration()
		is := r.Look(want)
		buffered := want == loop.Readable && s.Buffered() > 0
		if is == loop.Unready && !buffered {
			continue
		}
		if err := c.note(list, i, r, is, buffered); err != nil {
			return err
		}
	}
	for i, s := range e.others {
		if s == nil || isNil(s) {
			return missing(list, i)
		}
		r := s.Registration()
		if r == nil {
			return missing(list, i)
		}
		is := r.Look(want)
		buffered := want == loop.Readable && s.Buffered() > 0
		if is == loop.Unready && !buffered {
			continue
		}
		if err := c.note(list, i, r, is, buffered); err != nil {
			return err
		}
	}
	return nil
}

// note adds an entry that is ready to found, and asks about one that is in doubt.
func (c *call) note(list, i int, r *loop.Registration, is loop.Look, buffered bool) error {
	if is == loop.Ready || buffered && is != loop.Gone {
		c.found = append(c.found, found{int32(list), int32(i), -1})
		return nil
	}
	return c.ask(list, i, r) // the entry is in doubt; or it is closed, and ask returns why
}

func (c *call) ask(list, i int, r *loop.Registration) error {
	if err := c.inquiry.Add(r, wants[list]); err != nil {
		return failed(fmt.Sprintf("%s list, index %d", listNames[list], i), err)
	}
	c.found = append(c.found, found{int32(list), int32(i), int32(c.inquiry.Len()) - 1})
	return nil
}

// settle asks the kernel about what is in doubt, and keeps in found what is ready.
func (c *call) settle() error {
	if c.inquiry.Len() > 0 {
		if err := c.inquiry.Ask(); err != nil {
			return failed("", err)
		}
	}
	ready := c.found[:0]
	for _, f := range c.found {
		// Another goroutine may have read input into the buffer since the look:
		// then the kernel does not have it any more, and the buffer has.
		if f.question < 0 || c.inquiry.Holds(int(f.question)) ||
			f.list == readList && c.want[readList].at(int(f.index)).Buffered() > 0 {
			ready = append(ready, f)
		}
	}
	c.found = ready
	c.inquiry.Reset()
	return nil
}

// hang hangs a hook on each entry, so that every event wakes the call.
func (c *call) hang() error {
	total := 0
	for list := range c.want {
		total += c.want[list].len()
	}
	if cap(c.hooks) < total {
		c.hooks = make([]loop.Hook, 0, total)
	}
	for list := range c.want {
		e := &c.want[list]
		for i := range e.len() {
			c.hooks = c.hooks[:len(c.hooks)+1]
			h := &c.hooks[len(c.hooks)-1]
			h.To = c
			if err := h.Hang(e.at(i).Registration(), wants[list]); err != nil {
				return failed(fmt.Sprintf("%s list, index %d", listNames[list], i), err)
			}
		}
	}
	return nil
}

func (c *call) unhang() {
	for i := range c.hooks {
		c.hooks[i].Unhang()
	}
	c.hooks = c.hooks[:0]
}

// Notify is for the hooks.
func (c *call) Notify(h *loop.Hook, n loop.Notice) {
	switch n {
	case loop.NoticeReady:
		c.gate.Wake(h.Loop())
	case loop.NoticeInterrupted:
		c.gate.Interrupt()
	default:
		c.gate.Wake(nil)
	}
}

const op = "select"

func missing(list, i int) error {
	return &socket.Error{Op: op, Addr: fmt.Sprintf("%s list, index %d", listNames[list], i), Errno: unix.EINVAL, Err: errors.New("the entry is nil")}
}

func interrupted(cause error) error {
	return &socket.Error{Op: op, Errno: unix.EINTR, Err: cause}
}

// failed is the error of a registration or of a system call.
func failed(what string, err error) error {
	e := &socket.Error{Op: op, Addr: what}
	if !errors.Is(err, loop.ErrClosed) && !errors.Is(err, loop.ErrLoopClosed) && errors.As(err, &e.Errno) {
		return e
	}
	e.Errno, e.Err = syscall.Errno(unix.EBADF), err
	return e
}
