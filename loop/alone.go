package loop

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/procs"
	"github.com/seed-2334f180/weir/poller"
	"golang.org/x/sys/unix"
)

// A call waits alone if its registration is the only one of its loop that has had
// events lately, such as that of a server's only busy client, and if the loop may not
// keep its P while it waits, because there are several Ps. If the call waited by way of
// the loop, each event would wake two threads: the thread that polls for the loop, and
// then the thread that runs the goroutine. A call that waits alone takes its descriptor
// out of the epoll set, tries the system call for a while, and then blocks its own
// thread in ppoll(2). No goroutine switches, and only the kernel wakes the thread.
//
// The thread keeps its P until the scheduler takes it away for other goroutines. So
// only some threads may do this at a time: each of them has a seat. All other calls
// wait by way of the loop. As soon as another registration of the loop has an event,
// the next wait goes by way of the loop again.

// A seat lets one thread block in ppoll(2), and lets other goroutines end the ppoll.
type seat struct {
	taken  atomic.Bool
	wakefd int32 // an eventfd
	fds    [2]unix.PollFd

	// Only the goroutine that has taken the seat uses the rest.
	thrift thrift
	doubt  uint // grows with the polls that found nothing
	skip   uint // how many of the next waits do not poll
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

const (
	// failedPollDoubt is how much a poll that finds nothing adds to the doubt. A poll
	// that finds something subtracts 1.
	failedPollDoubt = 2
	// maxDoubt bounds the doubt: then one wait in 1024 still polls.
	maxDoubt = 10
	// aloneAfter is how many further events in succession must be of the registration
	// of the first one.
	aloneAfter = 16
)

// solo finds out whether all recent events belong to one registration.
func (l *Loop) solo(events []poller.Event) {
	if n := l.restarts.Load(); n != l.restarted {
		l.restarted, l.streak = n, 0
	}
	if len(events) > 1 {
		l.streak = 0
		if l.alone.Load() != nobody {
			l.alone.Store(nobody)
		}
		return
	}
	key := events[0].Key()
	if key != l.lastKey {
		l.lastKey, l.streak = key, 0
		if l.alone.Load() != nobody {
			l.alone.Store(nobody)
		}
		return
	}
	if l.streak++; l.streak == aloneAfter && !l.options.NoAlone && !l.poller.Holds() {
		l.alone.Store(key)
	}
}

// notAlone makes calls wait by way of the loop, until aloneAfter further events have
// belonged to one registration.
func (l *Loop) notAlone() {
	l.alone.Store(nobody)
	l.restarts.Add(1)
}

// nobody is no registration's key: a table has fewer slots.
const nobody = ^uint64(0)

// receiveAlone is Receive for a call that waits alone. It returns ok false, and has
// done nothing, if the call must not.
func (r *Blocking) receiveAlone(c *Call, buf []byte) (n int, errno syscall.Errno, done bool, err error, ok bool) {
	s, number := takeSeat()
	if s == nil {
		return 0, 0, false, nil, false
	}
	defer s.leave()
	if r.state.Load()&Read.watched() != 0 && !r.unwatch(0) {
		return 0, 0, false, nil, false
	}
	if s.thrift.poll() {
		if got := r.try(s, buf); got.result != unreceived {
			n, errno, done = got.outcome()
			return n, errno, done, nil, true
		}
	}
	err = r.blockAlone(c, s, number)
	return 0, 0, false, err, true
}

// try repeats the system call for as long as the loop's busy poll takes, if two in
// three of the last polls have found something.
func (r *Blocking) try(s *seat, buf []byte) reception {
	got := reception{&buf[0], int32(len(buf)), unreceived}
	most := r.loop.options.BusyPoll
	if most <= 0 {
		return got
	}
	if s.skip > 0 {
		s.skip--
		return got
	}
	for start := time.Now(); time.Since(start) < most && r.state.Load()&(stateClosed|Read.interrupted()) == 0 && !r.overdue(Read); {
		if got.receive(r.fd); got.result != unreceived {
			s.doubt -= min(s.doubt, 1)
			return got
		}
	}
	s.doubt = min(s.doubt+failedPollDoubt, maxDoubt)
	s.skip = 1<<s.doubt - 1
	return got
}

// blockAlone is Wait that blocks the thread until the descriptor is readable.
func (r *Blocking) blockAlone(c *Call, s *seat, number int) error {
	w := waiters.Get().(*waiter)
	defer waiters.Put(w)
	w.deadline = c.fix(r.loop)
	if parked, err := r.hang(Read, w, hangUnwatched); !parked {
		return err
	}
	if w.sit(number) {
		r.pollAlone(s)
		if !w.rise() {
			// Something else than input has ended the call, such as the read with which
			// net/http watches its client. Such calls are cheaper by way of the loop.
			r.loop.notAlone()
			s.silence() // the goroutine that has taken w off rings
		} else if !r.withdrawWaiter(w) {
			return w.sleep() // the goroutine that has taken w off is about to wake it
		} else {
			return nil
		}
	}
	return w.sleep()
}

// pollAlone returns when the descriptor is readable or the seat is rung.
func (r *Registration) pollAlone(s *seat) {
	s.watch(r.fd)
	for {
		_, _, errno := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&s.fds)), 2, 0, 0, 0, 0)
		if errno != unix.EINTR {
			break
		}
	}
	if s.fds[1].Revents != 0 {
		s.silence()
	}
}

func (s *seat) watch(fd int32) {
	s.fds = [2]unix.PollFd{{Fd: fd, Events: unix.POLLIN}, {Fd: s.wakefd, Events: unix.POLLIN}}
}

// Linger waits for input as a call that waits alone does, but no longer than most. It
// returns true if there is input, and neither an end nor an error. It returns false if
// the time is over, and at once if r is not the only busy registration of its loop.
//
// Linger is for a goroutine that has served a request and is about to leave r to its
// hooks. While Linger waits, and after it has returned true, the observers of these
// hooks are told of no events. After it has returned false they are told of events
// again, including those that came meanwhile. Interrupt and Close do not end a Linger
// early.
func (r *Registration) Linger(most time.Duration) (ready bool) {
	if r.loop.alone.Load() == r.key && r.Use() == nil {
		if s, _ := takeSeat(); s != nil {
			ready = r.unwatch(stateObserved) && r.lingerOn(s, most)
			s.leave()
			if !ready {
				r.loop.notAlone() // the requests pause
			}
		}
		r.Done()
	}
	return ready || !r.rewatch()
}

func (r *Registration) lingerOn(s *seat, most time.Duration) (ready bool) {
	s.watch(r.fd)
	s.fds[0].Events |= unix.POLLRDHUP
	busy := time.Duration(0)
	if s.thrift.poll() {
		busy = r.loop.options.BusyPoll
	}
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

// rewatch undoes unwatch. If it returns false, the kernel does not report input to the
// hooks, and the caller must look for input itself.
func (r *Registration) rewatch() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Load()&stateClosed != 0 || r.interest != 0 || r.hooks == nil || r.watch(Read) == nil
}

// withdrawWaiter takes w off the registration, because its wait is over. It returns
// false if another goroutine has taken w off, which then wakes it.
func (r *Blocking) withdrawWaiter(w *waiter) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.take(nil, func(_ Direction, x *waiter) bool { return x == w })
	return list.pop() != nil
}

// unwatch takes the descriptor out of the epoll set, unless a waiter or an observer
// needs its events. except may have stateObserved, and then observers do not count.
func (r *Registration) unwatch(except uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state.Load()
	if s&(stateClosed|stateObserved|Write.of(parkedBit))&^except != 0 || r.interest == 0 {
		return r.interest == 0
	}
	if r.loop.poller.Delete(int(r.fd)) != nil {
		return false // it was never in the set: a regular file's
	}
	r.interest = 0
	r.state.And(^(Read.watched() | Write.watched()))
	return true
}
