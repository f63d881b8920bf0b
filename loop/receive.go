package loop

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// longestReceive bounds what the loop copies for a waiting call at once. Who
// wants more does it in its own time.
const longestReceive = 16 << 10

// A reception is what the loop receives for a waiter.
type reception struct {
	buf    *byte // nil: nothing
	size   int32
	result int32 // bytes, or an errno below zero, or unreceived
}

const unreceived = -1 << 31

// Receive is Wait for the read direction that may have the loop make the system
// call, recv(2) without flags, before it wakes the caller: done says so, and n
// and errno are then its result. A loop that finds many sockets readable so
// receives from one after the other, and then the calls go on one after the
// other, which suits the processor's caches better than both in turn. It does so
// for buffers of up to 16 KiB. If it is not done, the caller goes on as after
// Wait.
func (r *Blocking) Receive(c *Call, buf []byte) (n int, errno syscall.Errno, done bool, err error) {
	if c.Timeout == 0 || c.Context != nil || len(buf) == 0 || len(buf) > longestReceive {
		return 0, 0, false, r.Wait(Read, c)
	}
	if c.Timeout > 0 || r.limits.Load() != nil {
		return r.receiveLocking(c, buf)
	}
	// Without a deadline there is no need for the lock. All of this is one
	// function, for a goroutine that comes back from its wait pays for every
	// function that it returns from.
	w := r.receiver // the turn's holder's alone, but for who clears the bit
	if w == nil {
		w = newWaiter()
		r.receiver = w
	}
	w.reception = reception{&buf[0], int32(len(buf)), unreceived}
	w.cause = nil
	for {
		s := r.state.Load()
		if s&(stateClosed|Read.of(readyBit)|Read.interrupted()) != 0 || s&Read.watched() == 0 {
			w.reception.buf = nil
			return r.receiveLocking(c, buf) // there is something to see to before
		}
		if r.state.CompareAndSwap(s, s|stateReceiving) {
			break
		}
	}
	if r.limits.Load() != nil {
		// A deadline was set since it was looked at. Who set it may have found
		// nobody to arm the timer for.
		r.mu.Lock()
		if r.state.Load()&stateReceiving != 0 {
			r.arm(r.limit(Read))
		}
		r.mu.Unlock()
	}
	w.park()
	err = w.resume()
	n, errno, done = w.reception.outcome()
	return n, errno, done, err
}

// receiveLocking is Receive that parks as other calls do, with the lock.
func (r *Blocking) receiveLocking(c *Call, buf []byte) (n int, errno syscall.Errno, done bool, err error) {
	w := waiters.Get().(*waiter)
	w.deadline = c.fix(r.loop)
	w.reception = reception{&buf[0], int32(len(buf)), unreceived}
	parked, err := r.hang(Read, w, true)
	if parked {
		err = w.sleep()
	}
	n, errno, done = w.reception.outcome()
	waiters.Put(w)
	return n, errno, done, err
}

// outcome is what the loop's system call gave, if it has made one. The buffer is
// forgotten.
func (c *reception) outcome() (n int, errno syscall.Errno, done bool) {
	got := c.result
	c.buf = nil
	switch {
	case got >= 0:
		return int(got), 0, true
	case got == unreceived:
		return 0, 0, false
	}
	return 0, syscall.Errno(-got), true
}

// receive receives, unless there is nothing. The waiter's call keeps the
// descriptor open, and nobody else has the turn.
func (c *reception) receive(fd int32) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(c.buf)), uintptr(c.size), 0, 0, 0)
		switch errno {
		case 0:
			c.result = int32(n)
			return
		case unix.EINTR:
		case unix.EAGAIN: // an event of what somebody else has taken: the call looks for itself
			return
		default:
			c.result = -int32(errno)
			return
		}
	}
}
