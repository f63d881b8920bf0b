// Package poller is epoll(7) for one event loop.
//
// A Poller watches file descriptors, each under an opaque 64-bit key, and its
// Wait reports which of them became ready. Every registration is
// edge-triggered (EPOLLET): readiness is reported when it arises, once, and
// the caller remembers it until a system call says EAGAIN.
//
//	p, err := poller.Open(poller.Parked)
//	err = p.Add(fd, 42, poller.Readable|poller.PeerClosed)
//	events := make([]poller.Event, 128)
//	n, err := p.Wait(events, time.Now().Add(time.Second))
//	for i := range events[:n] {
//		fmt.Println(events[i].Key(), events[i].Ready())
//	}
//
// One goroutine at a time may Wait. All other methods may be called by any
// goroutine at any time, also while another one waits or closes.
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

	"golang.org/x/sys/unix"
)

// ErrClosed is what every method returns once the Poller is closed.
var ErrClosed = errors.New("poller is closed")

// FirstReservedKey and those above it are refused by Add: the Poller uses them
// itself.
const FirstReservedKey = alarmKey

const (
	wakeKey  uint64 = math.MaxUint64
	alarmKey uint64 = math.MaxUint64 - 1
)

// Readiness is a set of epoll(7) event bits, asked for or reported.
type Readiness uint32

const (
	Readable   Readiness = unix.EPOLLIN    // data, a connection, or the end of a stream can be read
	Writable   Readiness = unix.EPOLLOUT   // there is room to write, or a connect has ended
	PeerClosed Readiness = unix.EPOLLRDHUP // the peer will send no more; data may still be queued
	Priority   Readiness = unix.EPOLLPRI   // out-of-band data

	// Failed and HungUp are reported whether or not they were asked for.
	Failed Readiness = unix.EPOLLERR
	HungUp Readiness = unix.EPOLLHUP
)

const interestMask = Readable | Writable | PeerClosed | Priority

// String gives the bits' names as epoll_ctl(2) has them, joined by "|".
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

// An Event is one descriptor's readiness, as the kernel wrote it.
type Event struct{ raw unix.EpollEvent }

// Key is what the descriptor was added under.
func (e *Event) Key() uint64 {
	return uint64(uint32(e.raw.Fd)) | uint64(uint32(e.raw.Pad))<<32
}

// Ready is the set of conditions that hold.
func (e *Event) Ready() Readiness { return Readiness(e.raw.Events) }

// A Strategy is the way in which Wait sleeps.
type Strategy int

const (
	// Automatic is Parked where the system allows it, and Blocking elsewhere.
	Automatic Strategy = iota
	// Parked makes the epoll descriptor itself pollable by Go's scheduler:
	// a waiting goroutine holds no thread, and waking it costs no thread
	// switch. This is the strategy to prefer.
	Parked
	// Blocking sleeps inside epoll_wait(2) and holds the thread. It suits a
	// loop locked to its thread, and systems that refuse Parked.
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

// A sleeper waits on the epoll descriptor until it has events. It is told
// whether this is a Wait's first sleep. Its close also closes the descriptor.
type sleeper interface {
	wait(events []Event, first bool) (int, error)
	close() error
}

// A Poller is an epoll instance with a way to wake its waiter.
type Poller struct {
	sleeper sleeper
	spinner spinner
	alarm   alarm
	epfd    int
	wakefd  int

	// waking is set from the first Wake until Wait has seen it, so that any
	// number of calls in between cost one write.
	waking atomic.Bool

	// closing tells a Wait that it should leave. mu keeps the descriptors
	// open while a call uses them: calls hold it shared, Close exclusively.
	closing atomic.Bool
	mu      sync.RWMutex
	closed  bool
}

// Open makes a Poller that sleeps by the given strategy. It takes three
// descriptors. Parked fails where Go's scheduler does not watch an epoll
// descriptor; Blocking works everywhere.
func Open(strategy Strategy) (*Poller, error) {
	switch strategy {
	case Automatic:
		if p, err := Open(Parked); err == nil {
			return p, nil
		}
		strategy = Blocking
	case Parked, Blocking:
	default:
		return nil, fmt.Errorf("poller: open: unknown strategy %d", int(strategy))
	}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	p := &Poller{epfd: epfd}
	p.sleeper = &blocking{epfd: epfd, spinner: &p.spinner}
	if strategy == Parked {
		p.spinner.yield = true // it may be on a locked thread otherwise, which is dear to yield
		if p.sleeper, err = newParked(epfd, &p.alarm, &p.spinner); err != nil {
			return nil, err
		}
	}
	if err := p.watchOwn(); err != nil {
		p.sleeper.close()
		return nil, err
	}
	return p, nil
}

// BusyPoll has a Wait poll for at most d before it sleeps, as long as that
// proves to be of use: its events follow one another so closely that two in
// three come meanwhile. It is for the goroutine that calls Wait, or before the
// first. The default is 0, not at all.
func (p *Poller) BusyPoll(d time.Duration) { p.spinner.most = d }

// watchOwn adds the descriptors by which a wait is ended. Being edge-triggered,
// they need never be read: each write, and each expiry, is an edge of its own.
func (p *Poller) watchOwn() (err error) {
	if p.wakefd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	if err = p.alarm.open(); err != nil {
		unix.Close(p.wakefd)
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
		os.NewSyscallError("close", unix.Close(p.wakefd)),
		os.NewSyscallError("close", unix.Close(p.alarm.fd)))
}

// Add watches fd, edge-triggered, for the conditions in interest, and reports
// them under key. What already holds is reported at once. An fd that is
// watched already gives EEXIST, one that cannot be watched (a regular file)
// EPERM.
func (p *Poller) Add(fd int, key uint64, interest Readiness) error {
	return p.change(unix.EPOLL_CTL_ADD, fd, key, interest)
}

// Modify replaces the key and interest of a watched fd. What holds at that
// moment is reported anew. An fd that is not watched gives ENOENT.
func (p *Poller) Modify(fd int, key uint64, interest Readiness) error {
	return p.change(unix.EPOLL_CTL_MOD, fd, key, interest)
}

// Delete stops watching fd. Call it before closing fd: epoll watches the open
// file, which a dup(2) or a child process may keep alive. Events that a
// concurrent Wait already holds may still be reported after Delete. An fd that
// is not watched gives ENOENT, one that is closed EBADF.
func (p *Poller) Delete(fd int) error {
	return p.change(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

func (p *Poller) change(op, fd int, key uint64, interest Readiness) error {
	if interest&^interestMask != 0 {
		return fmt.Errorf("poller: %s fd %d: interest %v cannot be asked for", opName(op), fd, interest&^interestMask)
	}
	if key >= FirstReservedKey {
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
		switch err := unix.EpollCtl(p.epfd, op, fd, &ev); err {
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

// Wait fills events with what became ready and returns how many it filled. It
// returns as soon as there is one; with 0 when the deadline is past, or the one
// that Hasten gave, or when Wake was called; with ErrClosed when the Poller is
// closed, also by another goroutine while it waits. A zero deadline is never
// past; a past one makes Wait a poll. It is never early, and late by
// microseconds and what the machine is busy with. It allocates nothing.
func (p *Poller) Wait(events []Event, deadline time.Time) (int, error) {
	if len(events) == 0 {
		return 0, errors.New("poller: wait: no room for events")
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	defer p.alarm.reset()
	if p.closed || p.closing.Load() {
		return 0, ErrClosed
	}
	wait := p.sleeper.wait
	poll := !deadline.IsZero() && time.Until(deadline) <= 0
	if poll {
		wait = p.look
	} else if err := p.alarm.hasten(deadline); err != nil {
		return 0, err
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
		case n > 0 || ended || poll:
			return n, nil
		}
	}
}

func (p *Poller) look(events []Event, _ bool) (int, error) { return pollNow(p.epfd, events) }

// sift takes the Poller's own events out, and reports whether they end the
// wait.
func (p *Poller) sift(events []Event) (n int, ended bool, err error) {
	for i := range events {
		switch events[i].Key() {
		case wakeKey:
			// Cleared before the caller looks for the reason of the wake-up,
			// so that a reason stored later wakes it again.
			p.waking.Store(false)
			ended = true
		case alarmKey:
			var due bool
			if due, err = p.alarm.struck(); err != nil {
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

// Hasten makes the current Wait end no later than deadline, or the next one if
// none is waiting. A zero deadline changes nothing.
func (p *Poller) Hasten(deadline time.Time) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return ErrClosed
	}
	return p.alarm.hasten(deadline)
}

// Wake makes the current Wait return, or the next one if none is waiting.
// Calls before that Wait returns are coalesced.
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
	// Any value above zero is an edge, until the counter is full, for nobody
	// reads it. Of ones it takes 2^64.
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	for {
		switch _, err := unix.Write(p.wakefd, one[:]); err {
		case nil:
			return nil
		case unix.EINTR:
		default:
			return os.NewSyscallError("write eventfd", err)
		}
	}
}

// Close ends a Wait in progress and releases the Poller's descriptors; those
// that it watched stay open. It returns when no call uses the Poller any
// more. A second Close returns ErrClosed.
func (p *Poller) Close() error {
	if !p.closing.CompareAndSwap(false, true) {
		return ErrClosed
	}
	ringErr := p.ring()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return errors.Join(ringErr, p.sleeper.close(), p.closeOwn())
}
