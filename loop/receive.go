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
func (r *Registration) Receive(c *Call, buf []byte) (n int, errno syscall.Errno, done bool, err error) {
	if c.Timeout < 0 || c.Context != nil || len(buf) == 0 || len(buf) > longestReceive {
		return 0, 0, false, r.Wait(Read, c)
	}
	w := waiters.Get().(*waiter)
	w.deadline = c.fix(r.loop)
	w.reception = reception{&buf[0], int32(len(buf)), unreceived}
	parked, err := r.hang(Read, w, true)
	if parked {
		err = w.sleep()
	}
	got := w.reception.result
	w.reception = reception{}
	waiters.Put(w)
	switch {
	case got >= 0:
		return int(got), 0, true, err
	case got == unreceived:
		return 0, 0, false, err
	}
	return 0, syscall.Errno(-got), true, err
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
