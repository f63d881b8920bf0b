package loop

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/procs"
	"golang.org/x/sys/unix"
)

// A seat lets one thread block in ppoll(2), and lets other goroutines end the ppoll. The
// thread keeps its P until the scheduler takes it away for other goroutines. So only
// some threads may do this at a time: each of them has a seat.
type seat struct {
	taken  atomic.Bool
	wakefd int32          // an eventfd
	fds    [2]unix.PollFd // for the goroutine that has taken the seat
}

// maxSeats bounds the seats of the process, and their descriptors.
const maxSeats = 8

// seats are made when a call first asks for one.
var seats struct {
	all [maxSeats]seat

	mu    sync.Mutex // guards the next two
	procs procs.Count
	made  int // seats that have an eventfd
}

// takeSeat returns a free seat and its number. It returns nil if half of the Ps have
// a seat already, or if there is no descriptor for one more.
func takeSeat() (s *seat, number int) {
	seats.mu.Lock()
	defer seats.mu.Unlock()
	for i := range min(seats.procs.Number()/2, maxSeats) {
		s := &seats.all[i]
		if i == seats.made {
			fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
			if err != nil {
				break
			}
			s.wakefd = int32(fd)
			seats.made++
		}
		if s.taken.CompareAndSwap(false, true) {
			return s, i
		}
	}
	return nil, 0
}

func (s *seat) leave() { s.taken.Store(false) }

// ring ends the ppoll of the seat's thread, or its next one.
func (s *seat) ring() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(int(s.wakefd), one[:])
}

// silence reads what ring has written. If a ring comes after silence, the next ppoll
// ends without a reason, which does no harm.
func (s *seat) silence() {
	var count [8]byte
	_, _ = unix.Read(int(s.wakefd), count[:])
}

func (s *seat) watch(fd int32) {
	s.fds = [2]unix.PollFd{{Fd: fd, Events: unix.POLLIN}, {Fd: s.wakefd, Events: unix.POLLIN}}
}

// block waits until the descriptor is readable, and returns true, or until most has
// passed, or the seat is rung.
func (s *seat) block(fd int32, most time.Duration) (ready bool) {
	s.watch(fd)
	limit := unix.NsecToTimespec(int64(most))
	_, _, errno := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&s.fds)), uintptr(len(s.fds)), uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		return errno == unix.EINTR // the caller tries
	}
	if s.fds[1].Revents != 0 {
		s.silence()
	}
	return s.fds[0].Revents != 0
}

// linger waits until the descriptor is readable, but no longer than most, and first
// polls for busy. It returns true if there is input, and neither an end nor an error.
func (s *seat) linger(fd int32, busy, most time.Duration) bool {
	s.watch(fd)
	s.fds[0].Events |= unix.POLLRDHUP
	var zero unix.Timespec
	for start := time.Now(); time.Since(start) < busy; {
		n, _, _ := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&s.fds)), 1, uintptr(unsafe.Pointer(&zero)), 0, 0, 0)
		if n == 1 {
			return s.fds[0].Revents == unix.POLLIN
		}
	}
	limit := unix.NsecToTimespec(int64(most))
	n, _, _ := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&s.fds)), 1, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	return n == 1 && s.fds[0].Revents == unix.POLLIN
}
