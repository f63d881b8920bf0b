package loop

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// A spot lets the goroutine of a call that waits alone park until its descriptor is
// readable, and lets other goroutines end the parking. The Go runtime watches a duplicate
// of the descriptor, because it watches only files of its own.
//
// A registration has a spot, or is in the loop's epoll set, or neither; watch and
// withdraw vacate its spot. So no duplicate keeps a connection open that was closed,
// and no packet makes two events.
type spot struct {
	holder atomic.Uint64 // the key of the registration that has the spot, or nobody

	// The goroutine that waits uses the next nine fields.
	got     reception          // what receive has got
	try     func(uintptr) bool // the system call in place of recv(2), or nil
	fd      int32              // of the registration
	ask     [1]unix.PollFd     // what peek asks the kernel
	edge    bool               // receive is called for an edge
	tried   bool               // for a look: the call has made its system call already
	ready   bool               // peek has found input, and neither an end nor an error
	receive func(uintptr) bool // is called by conn.Read, as peek is; a field, so that a wait allocates nothing
	peek    func(uintptr) bool

	// looksFirst is what Blocking.LooksFirst returns.
	looksFirst atomic.Bool

	dup atomic.Pointer[duplicate] // nil if nobody holds the spot; changed under mu

	mu     sync.Mutex // guards the next two; taken last
	until  time.Time  // the deadline of dup
	number int        // one more than the index in spots; 0 until there is one
}

// A duplicate is a duplicate of a descriptor, which the Go runtime watches.
type duplicate struct {
	file *os.File
	conn syscall.RawConn // of file
}

// maxSpots bounds the loops whose calls may park alone, and so the duplicates.
const maxSpots = 64

// spots are the spots in use: a waiter knows its spot by the number.
var spots [maxSpots]atomic.Pointer[spot]

// enter gives the spot to a registration. It returns false if that cannot be, and then
// nobody holds the spot. The caller has the registration's lock.
func (p *spot) enter(fd int32, key uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	for i := 0; p.number == 0; i++ {
		if i == maxSpots {
			return false
		}
		if spots[i].CompareAndSwap(nil, p) {
			p.number = i + 1
			p.receive = func(fd uintptr) bool { return p.receiveFrom(int32(fd)) }
			// recv(2) with MSG_PEEK would take an error from the next call.
			p.peek = func(fd uintptr) bool {
				readable := p.look(int32(fd))
				p.ready = p.ask[0].Revents == unix.POLLIN
				return readable
			}
		}
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false
	}
	file := os.NewFile(uintptr(dup), "")
	err = file.SetReadDeadline(time.Time{}) // fails if the runtime does not watch the file
	var conn syscall.RawConn
	if err == nil {
		conn, err = file.SyscallConn()
	}
	if err != nil {
		file.Close()
		return false
	}
	p.until, p.fd = time.Time{}, fd
	p.dup.Store(&duplicate{file, conn})
	p.holder.Store(key)
	return true
}

// look asks the kernel whether there is input, an end or an error.
func (p *spot) look(fd int32) bool {
	p.ask[0] = unix.PollFd{Fd: fd, Events: unix.POLLIN | unix.POLLRDHUP}
	return sys.Poll(p.ask[:]) == 0 && p.ask[0].Revents != 0
}

// mostTries bounds how often receiveFrom receives nothing although the kernel has
// reported input, as it may for ever if the read side of a datagram socket is shut.
const mostTries = 8

var receiveInSpot = (*reception).receive // only tests change it

// receiveFrom returns false when the goroutine is to park until the next edge. Before, it
// asks ppoll(2): recv(2) may say EAGAIN although there is input, of which no edge tells
// (see sys.StoppedAtMark).
func (p *spot) receiveFrom(fd int32) bool {
	if p.try != nil {
		if p.try(uintptr(p.fd)) {
			p.got.result = 0
		}
		return p.got.result != unreceived
	}
	if p.got.buf == nil {
		return p.input(fd)
	}
	for range mostTries {
		if !p.edge && !p.look(fd) {
			break
		}
		p.edge = false
		if receiveInSpot(&p.got, fd); p.got.result != unreceived {
			return true
		}
	}
	p.edge = true
	return false
}

// resultEnd is the result of a look that has found an end of the input.
const resultEnd = 1

// input is receiveFrom for a call that looks for input. It returns false when the goroutine
// is to park until the next edge. After a system call that has said EAGAIN, an error is
// one that stays, of the error queue.
func (p *spot) input(fd int32) bool {
	if p.edge {
		p.got.result = 0
		p.looksFirst.Store(true)
		return true
	}
	const input = unix.POLLIN | unix.POLLRDHUP
	p.edge = true
	if !p.look(fd) || p.tried && p.ask[0].Revents&input == 0 {
		return false
	}
	p.got.result = 0
	if p.ask[0].Revents&unix.POLLRDHUP != 0 {
		p.got.result = resultEnd
	}
	p.looksFirst.Store(false)
	return true
}

// vacate takes the spot from a registration. If a goroutine is parked, its park ends.
func (p *spot) vacate(key uint64) {
	if p.holder.Load() != key {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holder.Load() == key {
		p.clear()
	}
}

func (p *spot) clear() {
	p.holder.Store(nobody)
	if d := p.dup.Swap(nil); d != nil {
		d.file.Close()
	}
}

// close gives the spot's number to others.
func (p *spot) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	if p.number > 0 {
		spots[p.number-1].Store(nil)
	}
}

// linger parks the goroutine until there is input, and returns true. It returns false when
// most has passed, or half of it, when the spot is vacated, and at an end or an error.
func (p *spot) linger(most time.Duration) bool {
	p.mu.Lock()
	d, now := p.dup.Load(), time.Now()
	// To set the deadline each time would take a good part of a request's time.
	if left := p.until.Sub(now); d != nil && (left < most/2 || left > most) {
		p.until = now.Add(most)
		_ = d.file.SetReadDeadline(p.until)
	}
	p.mu.Unlock()
	p.ready = false
	return d != nil && d.conn.Read(p.peek) == nil && p.ready
}

// ring ends the park of the spot's goroutine, or its next one.
func (p *spot) ring() { p.expireAt(time.Unix(1, 0)) }

// silence undoes ring.
func (p *spot) silence() { p.expireAt(time.Time{}) }

func (p *spot) expireAt(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.dup.Load(); d != nil {
		p.until = t
		_ = d.file.SetReadDeadline(t) // it worked when the file was new
	}
}
