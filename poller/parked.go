package poller

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// parked sleeps in Go's scheduler. The epoll descriptor is itself a pollable
// file: the runtime's network poller watches it, and a goroutine that finds it
// empty parks as a net.Conn's reader would.
type parked struct {
	epfd int
	file *os.File
	conn syscall.RawConn

	// What poll works on. It is a field and not a closure's variable so that
	// a wait allocates nothing.
	poll   func(fd uintptr) bool
	events []Event
	n      int
	err    error

	// armed is the file's read deadline; zero if it has none.
	armed time.Time
}

// newParked takes charge of epfd: it closes it when it fails.
func newParked(epfd int) (*parked, error) {
	// The runtime takes a descriptor for pollable only if it is non-blocking.
	if err := unix.SetNonblock(epfd, true); err != nil {
		unix.Close(epfd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &parked{epfd: epfd, file: os.NewFile(uintptr(epfd), "epoll")}
	err := p.file.SetReadDeadline(time.Time{})
	if err == nil {
		p.conn, err = p.file.SyscallConn()
	}
	if err != nil {
		p.file.Close()
		return nil, fmt.Errorf("poller: the Go scheduler does not poll an epoll descriptor here: %w", err)
	}
	p.poll = func(uintptr) bool {
		p.n, p.err = pollNow(p.epfd, p.events)
		return p.n != 0 || p.err != nil
	}
	return p, nil
}

func (p *parked) wait(events []Event, deadline time.Time) (int, error) {
	p.events = events
	defer func() { p.events = nil }()
	for {
		if !deadline.IsZero() && time.Until(deadline) <= 0 {
			return pollNow(p.epfd, events)
		}
		if err := p.arm(deadline); err != nil {
			return 0, err
		}
		// Read forgets earlier edges, calls poll, and parks when that finds
		// nothing; poll is called again after each edge.
		err := p.conn.Read(p.poll)
		switch {
		case err == nil:
			return p.n, p.err
		case errors.Is(err, os.ErrDeadlineExceeded):
			p.armed = past
		case errors.Is(err, os.ErrClosed):
			return 0, ErrClosed
		default:
			return 0, err
		}
	}
}

// past marks a read deadline that has struck: it must be set anew before the
// next read.
var past = time.Unix(1, 0)

// arm sees to it that the file's deadline strikes no later than deadline.
// Setting it costs hundreds of nanoseconds, so an earlier one is left to
// strike in vain, once, rather than moved with every wait.
func (p *parked) arm(deadline time.Time) error {
	switch {
	case p.armed.Equal(past):
	case deadline.IsZero():
		return nil
	case !p.armed.IsZero() && !deadline.Before(p.armed):
		return nil
	}
	p.armed = deadline
	return p.file.SetReadDeadline(deadline)
}

func (p *parked) close() error { return p.file.Close() }
