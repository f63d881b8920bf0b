package loop

import (
	"syscall"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// longestReceive is the largest buffer, in bytes, that the loop receives into. A
// call with a larger one makes its own system call, which does not hold the loop up.
const longestReceive = 16 << 10

// mostAlone is the largest buffer of a call that waits alone. A reception has 32 bits.
const mostAlone = 1 << 30

// A reception is the system call that the loop makes for a waiter, and its result.
type reception struct {
	buf    *byte // nil if the loop makes none
	size   int32 // bytes
	result int32 // bytes received, or an errno, negated, or unreceived
}

const unreceived = -1 << 31

// Receive is Wait for the read direction, except that the loop may make the system
// call, recv(2) without flags, before it wakes the caller. Then done is true, and n
// and errno are the result. If done is false, the caller goes on as after Wait. The
// loop receives into buffers of up to 16 KiB, for calls without a context. A loop
// that finds many sockets readable so makes all their system calls, and then the
// woken goroutines run; that suits the processor's caches better than a system call
// and a goroutine in turn. Only the call that has the turn may call it.
func (r *Blocking) Receive(c *Call, buf []byte) (n int, errno syscall.Errno, done bool, err error) {
	if c.Timeout == 0 || c.Context != nil || len(buf) == 0 {
		return 0, 0, false, r.Wait(Read, c)
	}
	if r.loop.lone.key.Load() == r.key {
		// Here the caller receives, and not the loop, so the buffer may be large.
		if n, errno, done, err, ok := r.receiveAlone(c, buf[:min(len(buf), mostAlone)]); ok {
			return n, errno, done, err
		}
	}
	if len(buf) > longestReceive {
		return 0, 0, false, r.Wait(Read, c)
	}
	if c.Timeout > 0 || r.limits.Load() != nil {
		return r.receiveLocking(c, buf)
	}
	// From here on all is in one function, because a goroutine that comes back from its
	// wait pays for every function that it returns from.
	if !r.hangReceiver(reception{&buf[0], int32(len(buf)), unreceived}, Read.watched()) {
		return r.receiveLocking(c, buf)
	}
	w := r.receiver
	w.park()
	err = w.resume()
	n, errno, done = w.reception.outcome()
	return n, errno, done, err
}

// hangReceiver makes the receiver wait, for a call without a deadline: that needs no lock.
// It returns false, and has done nothing, if the call must not park, or if the state lacks
// one of the bits of need. hang handles these cases.
func (r *Blocking) hangReceiver(got reception, need uint64) bool {
	w := r.receiver // used by the call that has the turn, and by the goroutine that clears the receiving bit
	if w == nil {
		w = r.loop.newWaiter()
		r.receiver = w
	}
	w.reception = got
	w.cause = nil
	for {
		s := r.state.Load()
		if s&(stateClosed|Read.of(readyBit)|Read.interrupted()) != 0 || s&need != need {
			w.reception.buf = nil
			return false
		}
		if r.state.CompareAndSwap(s, s|stateReceiving) {
			break
		}
	}
	if r.limits.Load() != nil {
		// A deadline was set since the caller has looked. SetDeadline may have found no
		// waiter, and so may not have armed the timer.
		r.mu.Lock()
		if r.state.Load()&stateReceiving != 0 {
			r.arm(r.limit(Read))
		}
		r.mu.Unlock()
	}
	return true
}

// receiveLocking is Receive by way of the lock: it parks as other calls do.
func (r *Blocking) receiveLocking(c *Call, buf []byte) (n int, errno syscall.Errno, done bool, err error) {
	w := r.loop.takeWaiter()
	w.deadline = c.fix(r.loop)
	w.reception = reception{&buf[0], int32(len(buf)), unreceived}
	parked, err := r.hang(Read, w, hangWatched)
	if parked {
		err = w.sleep()
	}
	n, errno, done = w.reception.outcome()
	r.loop.giveWaiter(w)
	return n, errno, done, err
}

// outcome returns the result of the loop's system call, if it has made one, and
// forgets the buffer.
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

// receive makes the system call, if there is one to make, and keeps the result, unless
// it is EAGAIN. The waiter's call keeps the descriptor open, and no other call has the
// turn.
func (c *reception) receive(fd int32) {
	if c.buf == nil {
		return
	}
	if fd >= sys.FirstSimulated {
		c.receiveSimulated(fd)
		return
	}
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(c.buf)), uintptr(c.size), 0, 0, 0)
		switch errno {
		case 0:
			c.result = int32(n)
			return
		case unix.EINTR:
		case unix.EAGAIN: // the event was of data that is gone: the call tries for itself
			return
		default:
			c.result = -int32(errno)
			return
		}
	}
}

// receiveSimulated is receive for a simulated descriptor.
func (c *reception) receiveSimulated(fd int32) {
	n, errno := sys.Recv(int(fd), unsafe.Slice(c.buf, c.size), 0)
	if errno == 0 {
		c.result = int32(n)
	} else if errno != unix.EAGAIN {
		c.result = -int32(errno)
	}
}
