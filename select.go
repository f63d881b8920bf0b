// Package weir waits for many sockets at once: Select for the sockets of one
// call, Selector for a set that stays the same from call to call.
//
// Both report what select(2) would report, mostly without a system call: the event
// loops have the answer already. A socket with input in its buffer is readable,
// whatever the kernel has. A call on a socket that is reported as ready does not
// wait, unless another goroutine takes the input or the room first.
//
//	ready, err := weir.Select([]weir.Selectable{a, b}, nil, nil, time.Second)
//	for _, s := range ready.Read {
//		n, err := s.(*socket.Socket).Recv(buf, 0)
//	}
//
// The sockets themselves are in package socket. Package server serves connections
// by callbacks or by blocking handlers, and package net is Go's net over these
// sockets.
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

// A Selectable is what Select can wait for: a *socket.Socket, a *File, or a
// type of your own around one of them.
type Selectable interface {
	// Registration is what a loop knows of the descriptor.
	Registration() *loop.Registration
	// Buffered is how many bytes were read ahead. If there are any, it is
	// readable.
	Buffered() int
}

var _ Selectable = (*socket.Socket)(nil)

// A Set is three lists: what to wait for, or what is ready. Except is for
// out-of-band data.
type Set struct{ Read, Write, Except []Selectable }

const (
	readList = iota
	writeList
	exceptList
)

var listNames = [...]string{"read", "write", "except"}

var wants = [...]loop.Interest{loop.WantRead, loop.WantWrite, loop.WantExcept}

// Forever is a timeout that does not come. So is any negative one.
const Forever time.Duration = -1

// Select waits until one of the lists has something ready, and returns all
// that is, in the order of the lists: select(2). What is in several lists, or
// several times in one, is reported as often. With a timeout of 0 it polls; a
// negative one is for ever. With three empty lists it sleeps. SO_RCVTIMEO and
// SO_SNDTIMEO do not matter to it.
//
// When the time is up the result is empty and there is no error. Errors are of
// type *socket.Error, and then nothing is reported: EINVAL for a nil in a list;
// EBADF for a closed socket, also one that is closed while Select waits for it;
// EINTR when Interrupt was called on one of them.
//
// Any number of calls may wait for the same socket, beside others that are
// blocked in reading it. The lists must not be changed meanwhile.
func Select(read, write, except []Selectable, timeout time.Duration) (Set, error) {
	return SelectContext(context.Background(), read, write, except, timeout)
}

// SelectContext is Select; when ctx is done it returns EINTR and the context's
// cause. A nil ctx is none.
func SelectContext(ctx context.Context, read, write, except []Selectable, timeout time.Duration) (Set, error) {
	var ready Set
	_, err := ready.Select(ctx, Set{read, write, except}, timeout)
	return ready, err
}

// Select is SelectContext, and stores what is ready in the lists that ready
// has, which it overwrites. It returns how many entries they have together.
// With lists of enough capacity and a context that is never done, it allocates
// nothing.
func (ready *Set) Select(ctx context.Context, want Set, timeout time.Duration) (n int, err error) {
	if ctx == nil {
		ctx = context.Background()
	}
	c := calls.Get().(*call)
	c.want = [...][]Selectable{want.Read, want.Write, want.Except}
	c.ready = [...][]Selectable{ready.Read[:0], ready.Write[:0], ready.Except[:0]}
	n, err = c.run(ctx, timeout)
	if err != nil {
		n = 0
		for i := range c.ready {
			c.ready[i] = c.ready[i][:0]
		}
	}
	ready.Read, ready.Write, ready.Except = c.ready[readList], c.ready[writeList], c.ready[exceptList]
	c.clear()
	calls.Put(c)
	runtime.KeepAlive(want)
	return n, err
}

// A call is one Select in progress.
type call struct {
	want, ready [3][]Selectable
	found       []found
	inquiry     loop.Inquiry
	hooks       []loop.Hook
	gate        *loop.Gate
}

// A found entry is ready, or may be.
type found struct {
	list     int32
	index    int32
	question int32 // of the inquiry; -1 if there is no doubt
}

var calls = sync.Pool{New: func() any { return &call{gate: loop.NewGate()} }}

// clear forgets all that must be collectable.
func (c *call) clear() {
	c.want, c.ready = [3][]Selectable{}, [3][]Selectable{}
}

func (c *call) run(ctx context.Context, timeout time.Duration) (n int, err error) {
	if ctx.Err() != nil {
		return 0, interrupted(context.Cause(ctx))
	}
	if n, err = c.scan(timeout == 0); n > 0 || err != nil || timeout == 0 {
		return n, err
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
	c.gate.Arm() // before the first hook, which may have something to tell
	defer c.unhang()
	if err := c.hang(); err != nil {
		c.gate.Disarm()
		return 0, err
	}
	return c.wait(ctx, until)
}

// wait looks and sleeps in turn, hung on everything.
func (c *call) wait(ctx context.Context, until time.Time) (n int, err error) {
	for {
		over := !until.IsZero() && !time.Now().Before(until)
		n, err = c.scan(over)
		switch {
		case n > 0 || err != nil || over:
		case c.gate.Interrupted():
			err = interrupted(loop.ErrInterrupted)
		case ctx.Err() != nil:
			err = interrupted(context.Cause(ctx))
		default:
			if err = c.sleep(until); err == nil {
				c.gate.Arm()
				continue
			}
			return 0, err // asleep or not, the gate is open
		}
		c.gate.Disarm()
		return n, err
	}
}

// sleep is for the loop of the first entry to end, by an event or the time. If
// that loop is closed, the next scan finds the entry closed.
func (c *call) sleep(until time.Time) error {
	if len(c.hooks) > 0 {
		_ = c.gate.Sleep(c.hooks[0].Loop(), until)
		return nil
	}
	// The group may be closed meanwhile; then the next one goes on.
	group, err := loop.Default()
	if err != nil {
		c.gate.Disarm()
		return failed("", err)
	}
	_ = c.gate.Sleep(group.Pick(netip.Addr{}), until)
	return nil
}

// scan finds what is ready, and says how many. When it is thorough, it does so
// exactly, if need be by asking the kernel about everything; otherwise it may
// find nothing although an event is on its way to a loop.
func (c *call) scan(thorough bool) (n int, err error) {
	entries := 0
	c.found = c.found[:0]
	for list := range c.want {
		entries += len(c.want[list])
		if err = c.look(list); err != nil {
			c.inquiry.Cancel()
			return 0, err
		}
	}
	if n = len(c.found); n == 0 && !thorough {
		return 0, nil
	}
	if n > 0 {
		asked := c.inquiry.Len()
		if n, err = c.settle(asked); n > 0 || err != nil || !thorough || asked == entries {
			return n, err
		}
	}
	c.found = c.found[:0]
	for list := range c.want {
		for i, e := range c.want[list] {
			if err = c.ask(list, i, e.Registration()); err != nil {
				c.inquiry.Cancel()
				return 0, err
			}
		}
	}
	return c.settle(entries)
}

// look goes through a list and puts down what is ready and what the kernel has
// to be asked about.
func (c *call) look(list int) error {
	want := wants[list]
	for i, e := range c.want[list] {
		var r *loop.Registration
		if s, ok := e.(*socket.Socket); ok { // the usual case, which the compiler can see through
			if s == nil {
				return missing(list, i)
			}
			r = s.Registration()
			if want == loop.WantRead && s.Buffered() > 0 && r.Look(want) != loop.Gone {
				c.found = append(c.found, found{int32(list), int32(i), -1})
				continue
			}
		} else {
			if e == nil {
				return missing(list, i)
			}
			if r = e.Registration(); r == nil {
				return missing(list, i)
			}
			if want == loop.WantRead && e.Buffered() > 0 && r.Look(want) != loop.Gone {
				c.found = append(c.found, found{int32(list), int32(i), -1})
				continue
			}
		}
		switch r.Look(want) {
		case loop.Ready:
			c.found = append(c.found, found{int32(list), int32(i), -1})
		case loop.Doubtful, loop.Gone: // of the second, ask says why
			if err := c.ask(list, i, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *call) ask(list, i int, r *loop.Registration) error {
	if err := c.inquiry.Add(r, wants[list]); err != nil {
		return failed(fmt.Sprintf("%s list, index %d", listNames[list], i), err)
	}
	c.found = append(c.found, found{int32(list), int32(i), int32(c.inquiry.Len()) - 1})
	return nil
}

// settle asks the kernel about what is in doubt, and moves to the results what
// is ready.
func (c *call) settle(asked int) (n int, err error) {
	if asked > 0 {
		if err := c.inquiry.Ask(); err != nil {
			return 0, failed("", err)
		}
	}
	for _, f := range c.found {
		e := c.want[f.list][f.index]
		// What the kernel does not have any more may have been read ahead
		// since the look.
		if f.question < 0 || c.inquiry.Holds(int(f.question)) || f.list == readList && e.Buffered() > 0 {
			c.ready[f.list] = append(c.ready[f.list], e)
			n++
		}
	}
	c.inquiry.Reset()
	return n, nil
}

// hang has every event wake the call.
func (c *call) hang() error {
	total := len(c.want[readList]) + len(c.want[writeList]) + len(c.want[exceptList])
	if cap(c.hooks) < total {
		c.hooks = make([]loop.Hook, 0, total)
	}
	for list := range c.want {
		for i, e := range c.want[list] {
			c.hooks = c.hooks[:len(c.hooks)+1]
			h := &c.hooks[len(c.hooks)-1]
			h.To = c
			if err := h.Hang(e.Registration(), wants[list]); err != nil {
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

// Notify is called by the hooks.
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
	return &socket.Error{Op: op, Addr: fmt.Sprintf("%s list, index %d", listNames[list], i), Errno: unix.EINVAL, Err: errors.New("there is none")}
}

func interrupted(cause error) error {
	return &socket.Error{Op: op, Errno: unix.EINTR, Err: cause}
}

// failed is the error of a registration or of a system call.
func failed(what string, err error) error {
	e := &socket.Error{Op: op, Addr: what}
	if errors.As(err, &e.Errno) {
		return e
	}
	e.Errno, e.Err = syscall.Errno(unix.EBADF), err
	return e
}
