//go:build linux

package poller

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/procs"
	"golang.org/x/sys/unix"
)

// parked sleeps in Go's scheduler. The epoll descriptor is itself a pollable file: the
// runtime's network poller watches it, and a goroutine that finds no events parks as
// the reader of a net.Conn does.
//
// Parking and waking in this way takes four system calls. While events follow one
// another closely, as the requests of a single client do, it is cheaper to linger
// inside epoll_wait(2), which takes one. That holds the thread and its P. So a linger
// lasts a millisecond at most, before the scheduler may run something else, and lingers
// are skipped while they find nothing, or while parking is faster (see choice). The
// alarm ends a linger. epoll_wait's own timeout would cost more, because the kernel
// sets a timer for each call, while one setting of the alarm serves many lingers.
type parked struct {
	epfd int
	file *os.File
	conn syscall.RawConn

	// poll is called by conn.Read, and works on the fields that follow. They are
	// fields, and not variables of a closure, so that a Wait allocates nothing.
	poll   func(fd uintptr) bool
	events []Event
	n      int
	err    error

	holding *atomic.Int32 // a Hold
	procs   procs.Count   // the waiting goroutine's
	choice  choice
	spinner *spinner

	roused atomic.Bool // a Lookout has set the file's deadline
	looks  uint64      // counts the epoll_wait(2) calls of Run that do not sleep

	alarm  *alarm
	hits   uint // lingers that found events since the alarm last ended one
	misses uint // how often in succession the alarm has ended a linger, without a hit before
	skip   uint // the number of waits that will not linger
}

const (
	linger = time.Millisecond // the longest linger
	// maxMisses lets 1 wait in 1024 linger while no linger finds anything.
	maxMisses = 10
)

// newParked owns epfd from then on, and closes it when it fails.
func newParked(epfd int, holding *atomic.Int32, alarm *alarm, spinner *spinner) (*parked, error) {
	// The runtime polls a descriptor only if it is non-blocking.
	if err := unix.SetNonblock(epfd, true); err != nil {
		unix.Close(epfd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &parked{epfd: epfd, holding: holding, alarm: alarm, spinner: spinner, file: os.NewFile(uintptr(epfd), "epoll")}
	err := p.file.SetReadDeadline(time.Time{}) // fails if the runtime does not poll the file
	if err == nil {
		p.conn, err = p.file.SyscallConn()
	}
	if err != nil {
		p.file.Close()
		return nil, fmt.Errorf("poller: the Go scheduler does not poll an epoll descriptor here: %w", err)
	}
	p.poll = func(uintptr) bool {
		p.n, p.err = pollNow(p.epfd, p.events)
		if p.n == 0 && p.err == nil {
			p.spinner.counts.Sleeps++
			return false
		}
		return true
	}
	return p, nil
}

func (p *parked) wait(events []Event, first bool) (n int, err error) {
	if first && p.mayHold() && !p.choice.park() {
		n, err = p.hold(events)
	}
	if n == 0 && err == nil {
		n, err = p.park(events)
	}
	p.choice.events += n
	return n, err
}

// mayHold reports whether a wait may keep its P. With several Ps the goroutines that
// the last events have woken run on this one, another loop or Go's own poller may need
// it, and another thread is woken for each event anyway; then it is better to park at
// once. Measured with two Ps and a load generator on the same two cores, parking at
// once took 0.8 to 1.0 of net's processor time for a request, and holding 1.2 to 1.5.
func (p *parked) mayHold() bool {
	switch Hold(p.holding.Load()) {
	case HoldAlways:
		return true
	case HoldNever:
		return false
	}
	return p.procs.Number() == 1
}

// hold waits for events without giving up the P. It returns 0 if the goroutine should
// park.
func (p *parked) hold(events []Event) (int, error) {
	if n, err := p.spinner.spin(p.epfd, events); n != 0 || err != nil {
		return n, err
	}
	return p.linger(events)
}

// park parks the goroutine until there are events.
func (p *parked) park(events []Event) (int, error) {
	p.events = events
	// Read forgets earlier edges and calls poll. If poll finds nothing, Read parks,
	// and calls poll again after each edge.
	err := p.conn.Read(p.poll)
	for errors.Is(err, os.ErrDeadlineExceeded) {
		p.calm()
		err = p.conn.Read(p.poll)
	}
	p.events = nil
	if err != nil {
		return 0, err
	}
	return p.n, p.err
}

// linger waits for events inside epoll_wait(2) until the alarm ends it, unless lingers
// have found nothing lately. It returns 0 if the goroutine should park.
func (p *parked) linger(events []Event) (int, error) {
	if p.skip > 0 {
		p.skip--
		return 0, nil
	}
	if err := p.alarm.within(linger); err != nil {
		return 0, err
	}
	p.spinner.counts.Lingers++
	n, errno := block(p.epfd, events)
	switch {
	case errno == unix.EINTR:
		return 0, nil
	case errno != 0:
		return 0, os.NewSyscallError("epoll_wait", errno)
	case n > 1 || events[0].Key() != alarmKey:
		p.hits++
		return n, nil
	}
	if p.misses++; p.hits > 0 {
		p.misses, p.hits = 0, 0
		p.choice.missed()
	}
	p.misses = min(p.misses, maxMisses)
	p.skip = 1<<p.misses - 1
	return n, nil
}

func (p *parked) close() error { return p.file.Close() }
