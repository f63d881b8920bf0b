//go:build linux

// Package poller is epoll(7) for one event loop.
//
// A Poller watches file descriptors, each under an opaque 64-bit key, and its Wait
// reports which of them became ready. Every descriptor is watched edge-triggered
// (EPOLLET): the kernel reports readiness once, when it arises, and the caller
// remembers it until a system call returns EAGAIN.
//
//	p, err := poller.Open(poller.Parked)
//	err = p.Add(fd, 42, poller.Readable|poller.PeerClosed)
//	events := make([]poller.Event, 128)
//	n, err := p.Wait(events, time.Now().Add(time.Second))
//	for i := range events[:n] {
//		fmt.Println(events[i].Key(), events[i].Ready())
//	}
//
// All functions are concurrency-safe. A Poller is, too, but for its waiting: one goroutine
// at a time waits, and some methods are for that one. EINTR never reaches the caller: the
// system call is made again.
package poller

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// ErrClosed is the error of every method after Close. It unwraps to EBADF.
var ErrClosed error = closedError{}

type closedError struct{}

// Error says that the poller is closed.
func (closedError) Error() string { return "poller: closed" }

// Unwrap returns EBADF.
func (closedError) Unwrap() error { return unix.EBADF }

// The keys of the Poller's own descriptors. Add refuses them.
const (
	wakeKey  uint64 = math.MaxUint64
	alarmKey uint64 = math.MaxUint64 - 1

	firstReservedKey = alarmKey
)

// Readiness is a set of epoll(7) event bits, asked for or reported.
type Readiness uint32

const (
	Readable   Readiness = unix.EPOLLIN    // data, a connection, or the end of a stream can be read
	Writable   Readiness = unix.EPOLLOUT   // there is room to write, or a connect has ended
	PeerClosed Readiness = unix.EPOLLRDHUP // the peer will send no more; data may still be queued
	Priority   Readiness = unix.EPOLLPRI   // out-of-band data

	// Failed and HungUp are reported whether or not they were asked for.
	Failed Readiness = unix.EPOLLERR // the descriptor has an error
	HungUp Readiness = unix.EPOLLHUP // both directions have ended
)

const interestMask = Readable | Writable | PeerClosed | Priority

// String returns the bits' names in epoll_ctl(2), without EPOLL, joined by "|".
func (r Readiness) String() string {
	var names []string
	for _, b := range []struct {
		bit  Readiness
		name string
	}{
		{Readable, "IN"}, {Writable, "OUT"}, {PeerClosed, "RDHUP"},
		{Priority, "PRI"}, {Failed, "ERR"}, {HungUp, "HUP"},
	} {
		if r&b.bit != 0 {
			names = append(names, b.name)
			r &^= b.bit
		}
	}
	if r != 0 || names == nil {
		names = append(names, fmt.Sprintf("%#x", uint32(r)))
	}
	return strings.Join(names, "|")
}

// An Event is one descriptor's readiness, as the kernel wrote it. It is for one goroutine
// at a time.
type Event struct{ raw unix.EpollEvent }

// Key returns the key under which the descriptor was added.
func (e *Event) Key() uint64 {
	return uint64(uint32(e.raw.Fd)) | uint64(uint32(e.raw.Pad))<<32
}

// Ready returns the conditions that the kernel has reported.
func (e *Event) Ready() Readiness { return Readiness(e.raw.Events) }

// A Strategy is the way in which Wait sleeps.
type Strategy int

const (
	// Automatic is Parked where the system allows it, and Blocking elsewhere.
	Automatic Strategy = iota
	// Parked has Go's scheduler watch the epoll descriptor itself: a waiting
	// goroutine holds no thread, and waking it costs no thread switch.
	Parked
	// Blocking sleeps inside epoll_wait(2) and holds the thread. It is for a
	// loop that is locked to its thread, and for systems that refuse Parked.
	Blocking
)

// String returns "automatic", "parked" or "blocking".
func (s Strategy) String() string {
	switch s {
	case Automatic:
		return "automatic"
	case Parked:
		return "parked"
	case Blocking:
		return "blocking"
	}
	return fmt.Sprintf("Strategy(%d)", int(s))
}

// A sleeper waits on the epoll descriptor until it has events. first says whether
// this is the first sleep of a Wait. close also closes the descriptor.
type sleeper interface {
	wait(events []Event, first bool) (int, error)
	close() error
}

// A Poller is an epoll instance whose Wait another goroutine can end. Make one with
// Open. It is concurrency-safe, also while a Wait is in progress, except Wait, Run, and
// the methods that are for the goroutine that calls these.
type Poller struct {
	sleeper sleeper
	holding atomic.Int32 // a Hold
	spinner spinner
	alarm   alarm
	epfd    int
	wakefd  int

	simulated bool // the kernel is

	// waking is set from the first Wake until Wait has taken it in, so that any
	// number of calls of Wake in between makes one system call.
	waking atomic.Bool

	// closing tells a Wait to return. mu keeps the descriptors open while a call
	// uses them: calls hold it shared, and Close exclusively.
	closing atomic.Bool
	mu      sync.RWMutex
	closed  bool
}

// Open makes a Poller that sleeps by the given strategy. It takes three
// descriptors. Parked fails where Go's scheduler does not watch an epoll
// descriptor; Blocking works everywhere.
func Open(strategy Strategy) (*Poller, error) { return OpenOn(nil, strategy) }

// OpenOn is Open on a simulated kernel, as package simnet has one; nil is the real one. A
// simulated one has the strategy Blocking alone, and then waiting holds no thread.
func OpenOn(k sys.Kernel, strategy Strategy) (*Poller, error) {
	if k != nil && strategy == Automatic {
		strategy = Blocking
	}
	switch strategy {
	case Automatic:
		if p, err := Open(Parked); err == nil {
			return p, nil
		} // else as Blocking
	case Parked, Blocking:
		if k != nil && strategy == Parked {
			return nil, errors.New("poller: open: a simulated kernel has no strategy Parked")
		}
	default:
		return nil, fmt.Errorf("poller: open: unknown strategy %d", int(strategy))
	}
	epfd, err := sys.EpollCreate(k)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	p := &Poller{epfd: epfd, simulated: k != nil}
	p.sleeper = &blocking{epfd: epfd, spinner: &p.spinner}
	if strategy == Parked {
		p.spinner.yield = true // a blocking Wait may be on a locked thread, for which yielding costs thread switches
		if p.sleeper, err = newParked(epfd, &p.holding, &p.alarm, &p.spinner); err != nil {
			return nil, err
		}
	}
	if err := p.watchOwn(k); err != nil {
		p.sleeper.close()
		return nil, err
	}
	return p, nil
}

// BusyPoll has Wait poll for at most d before it sleeps, as long as two in three of
// such polls find an event. With 0, the default, Wait does not poll before it sleeps.
// Call BusyPoll on the goroutine that calls Wait, or before the first Wait.
func (p *Poller) BusyPoll(d time.Duration) { p.spinner.most = d }

// A Hold says whether a Wait of the Parked strategy may keep its P for a while, to
// poll or to block in epoll_wait(2), before it parks.
type Hold int

const (
	// HoldAuto lets a Wait keep its P while the scheduler has no other.
	HoldAuto Hold = iota
	// HoldAlways is for a program that has its processors to itself and whose
	// events come from other processes.
	HoldAlways
	// HoldNever parks at once.
	HoldNever
)

// Hold sets whether a Wait may keep its P. The default is HoldAuto. The Blocking
// strategy does not park, and always polls as BusyPoll says.
func (p *Poller) Hold(h Hold) { p.holding.Store(int32(h)) }

// Holds reports whether a Wait may keep its P now. It is for the goroutine that calls
// Wait.
func (p *Poller) Holds() bool {
	if p.simulated {
		return Hold(p.holding.Load()) == HoldAlways
	}
	x, parks := p.sleeper.(*parked)
	return !parks || x.mayHold()
}

// watchOwn opens and watches the descriptors that end a Wait. They are watched
// edge-triggered and so need not be read: each write to the eventfd, and each expiry of
// the timerfd, is an edge.
func (p *Poller) watchOwn(k sys.Kernel) (err error) {
	if p.wakefd, err = sys.Eventfd(k); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	if err = p.alarm.open(k); err != nil {
		sys.Close(p.wakefd)
		return err
	}
	err = errors.Join(
		p.control(unix.EPOLL_CTL_ADD, p.wakefd, wakeKey, Readable),
		p.control(unix.EPOLL_CTL_ADD, p.alarm.fd, alarmKey, Readable))
	if err != nil {
		err = errors.Join(err, p.closeOwn())
	}
	return err
}

func (p *Poller) closeOwn() error {
	return errors.Join(
		os.NewSyscallError("close", sys.Close(p.wakefd)),
		os.NewSyscallError("close", sys.Close(p.alarm.fd)))
}

// Add watches fd, edge-triggered, for the conditions in interest, and reports them
// under key. Conditions that hold already are reported at once. The error is EEXIST
// for an fd that is watched already, EPERM for one that epoll cannot watch (a regular
// file), EBADF for one that is not open. The two highest keys are refused, and so are
// Failed and HungUp as an interest.
func (p *Poller) Add(fd int, key uint64, interest Readiness) error {
	return p.change(unix.EPOLL_CTL_ADD, fd, key, interest)
}

// Modify replaces the key and interest of a watched fd. Conditions that hold at that
// moment are reported again. The error is ENOENT for an fd that is not watched.
func (p *Poller) Modify(fd int, key uint64, interest Readiness) error {
	return p.change(unix.EPOLL_CTL_MOD, fd, key, interest)
}

// Delete stops watching fd. Call it before closing fd: epoll watches the open file,
// which a duplicate or a child process may keep open. A Wait in progress may still
// report an event that it has already taken from the kernel. The error is ENOENT for an
// fd that is not watched, EBADF for one that is not open.
func (p *Poller) Delete(fd int) error {
	return p.change(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

func (p *Poller) change(op, fd int, key uint64, interest Readiness) error {
	if interest&^interestMask != 0 {
		return fmt.Errorf("poller: %s fd %d: interest %v cannot be asked for", opName(op), fd, interest&^interestMask)
	}
	if key >= firstReservedKey {
		return fmt.Errorf("poller: %s fd %d: key %#x is reserved", opName(op), fd, key)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return ErrClosed
	}
	return p.control(op, fd, key, interest)
}

func (p *Poller) control(op, fd int, key uint64, interest Readiness) error {
	ev := unix.EpollEvent{
		Events: uint32(interest) | unix.EPOLLET,
		Fd:     int32(uint32(key)),
		Pad:    int32(uint32(key >> 32)),
	}
	for {
		switch err := sys.EpollCtl(p.epfd, op, fd, &ev); err {
		case nil:
			return nil
		case unix.EINTR:
		default:
			return os.NewSyscallError(opName(op), err)
		}
	}
}

func opName(op int) string {
	switch op {
	case unix.EPOLL_CTL_ADD:
		return "epoll_ctl add"
	case unix.EPOLL_CTL_MOD:
		return "epoll_ctl modify"
	}
	return "epoll_ctl delete"
}

// Wait waits until there are events, stores them in events, and returns their number.
// It returns 0 when the deadline has passed, or the earlier one that Hasten gave, or
// when Wake was called. It returns ErrClosed when the Poller is closed, also when
// another goroutine closes it meanwhile. The zero deadline never passes; with one that
// has passed already, Wait does not sleep. It never ends early, and is late by some
// microseconds plus the time that the machine is busy. It allocates nothing.
func (p *Poller) Wait(events []Event, deadline time.Time) (int, error) {
	if len(events) == 0 {
		return 0, errors.New("poller: wait: no room for events")
	}
	look, err := p.enter(deadline)
	if err != nil {
		return 0, err
	}
	defer p.leave()
	wait := p.sleeper.wait
	if look {
		wait = p.look
	}
	for first := true; ; first = false {
		n, err := wait(events, first)
		if err != nil {
			return 0, err
		}
		n, ended, err := p.sift(events[:n])
		switch {
		case err != nil:
			return 0, err
		case p.closing.Load():
			return 0, ErrClosed
		case n > 0 || ended || look:
			return n, nil
		}
	}
}

// enter begins a Wait, and keeps the descriptors open until leave, which must follow
// unless there is an error. look is true if the deadline has passed already.
func (p *Poller) enter(deadline time.Time) (look bool, err error) {
	p.mu.RLock()
	if p.closed || p.closing.Load() {
		p.mu.RUnlock()
		return false, ErrClosed
	}
	if look = !deadline.IsZero() && time.Until(deadline) <= 0; !look {
		if err := p.alarm.hasten(deadline); err != nil {
			p.leave()
			return false, err
		}
	}
	return look, nil
}

// leave ends a Wait.
func (p *Poller) leave() {
	p.alarm.reset()
	p.mu.RUnlock()
}

func (p *Poller) look(events []Event, _ bool) (int, error) { return pollNow(p.epfd, events) }

// sift removes the Poller's own events, and reports whether they end the Wait. n is
// the number of events that are left.
func (p *Poller) sift(events []Event) (n int, ended bool, err error) {
	for i := range events {
		switch events[i].Key() {
		case wakeKey:
			// waking is cleared before the caller looks for the reason of the
			// Wake, so that a reason which is stored later wakes it again.
			p.waking.Store(false)
			p.spinner.counts.Wakes++
			ended = true
		case alarmKey:
			var due bool
			if due, err = p.alarm.expired(); err != nil {
				return 0, true, err
			}
			ended = ended || due
		default:
			events[n] = events[i]
			n++
		}
	}
	return n, ended, nil
}

// Hasten makes the Wait in progress, or the next one if there is none, end no later
// than deadline. The zero deadline changes nothing.
func (p *Poller) Hasten(deadline time.Time) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return ErrClosed
	}
	return p.alarm.hasten(deadline)
}

// Wake makes the Wait in progress, or the next one if there is none, return. Several
// calls before that Wait returns count as one.
func (p *Poller) Wake() error {
	if !p.waking.CompareAndSwap(false, true) {
		return nil
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return ErrClosed
	}
	return p.ring()
}

func (p *Poller) ring() error {
	// Each write is an edge until the counter, which nobody reads, is full: after
	// 2^64 - 2 writes of 1.
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	for {
		switch _, err := sys.Write(p.wakefd, one[:]); err {
		case nil:
			return nil
		case unix.EINTR:
		default:
			return os.NewSyscallError("write eventfd", err)
		}
	}
}

// Close ends a Wait in progress and closes the Poller's own descriptors; those that it
// watches stay open. It returns when no call uses the Poller any more. A second Close
// returns ErrClosed, maybe before the first has returned.
func (p *Poller) Close() error {
	if !p.closing.CompareAndSwap(false, true) {
		return ErrClosed
	}
	ringErr := p.ring()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock() // no call uses the descriptors any more, but Run's may still be waiting for a turn to end
	return errors.Join(ringErr, p.sleeper.close(), p.closeOwn())
}
