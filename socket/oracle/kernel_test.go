package oracle

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernel is the backend with the kernel's blocking sockets.
type kernel struct{}

func (kernel) name() string { return "kernel" }

func (kernel) open(k kind, local *target) (endpoint, syscall.Errno) {
	fd, err := unix.Socket(k.family, k.typ|unix.SOCK_CLOEXEC, k.proto)
	if err != nil {
		return nil, err.(syscall.Errno)
	}
	if local != nil {
		if err := unix.Bind(fd, local.sa); err != nil {
			unix.Close(fd)
			return nil, err.(syscall.Errno)
		}
	}
	return newBlocking(fd), 0
}

// run makes the call on a thread of its own, which ends after the call. The thread blocks
// all signals. The Go runtime sends signals to its threads, and the kernel does not
// restart a socket call that has a timeout after a signal.
func (kernel) run(f func() outcome) *call {
	var tid atomic.Int64
	return start(func(body func()) {
		go func() {
			runtime.LockOSThread() // without UnlockOSThread: the thread ends with the goroutine
			var all unix.Sigset_t
			for i := range all.Val {
				all.Val[i] = ^all.Val[i]
			}
			// A fault while its signal is blocked would kill the process without a report.
			for _, fault := range []syscall.Signal{unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP} {
				all.Val[0] &^= 1 << (fault - 1)
			}
			if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil); err != nil {
				panic(err)
			}
			tid.Store(int64(unix.Gettid()))
			body()
			tid.Store(0)
		}()
	}, func() bool { return threadBlocked(tid.Load()) }, f)
}

// blockingCalls are the system calls in which a socket blocks.
var blockingCalls = []int{
	unix.SYS_RECVFROM, unix.SYS_SENDTO, unix.SYS_ACCEPT4, unix.SYS_CONNECT,
	unix.SYS_RECVMSG, unix.SYS_SENDMSG, unix.SYS_RECVMMSG, unix.SYS_SENDMMSG,
}

// threadBlocked reports whether a thread sleeps in one of blockingCalls.
func threadBlocked(tid int64) bool {
	if tid == 0 {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", tid))
	if err != nil {
		return false
	}
	number, _, _ := strings.Cut(string(b), " ") // the file says "running" if the thread does not sleep
	for _, n := range blockingCalls {
		if number == strconv.Itoa(n) {
			return true
		}
	}
	return false
}

// A blocking is a kernel socket under test.
type blocking struct{ number atomic.Int64 }

func newBlocking(fd int) *blocking {
	b := &blocking{}
	b.number.Store(int64(fd))
	return b
}

// fd is -1 after a close, because another file may then have the number.
func (b *blocking) fd() int { return int(b.number.Load()) }

func (b *blocking) listen(backlog int) syscall.Errno {
	return errnoOf(unix.Listen(b.fd(), backlog))
}

func (b *blocking) accept() (endpoint, syscall.Errno) {
	fd, _, err := unix.Accept4(b.fd(), unix.SOCK_CLOEXEC)
	if err != nil {
		return nil, err.(syscall.Errno)
	}
	return newBlocking(fd), 0
}

func (b *blocking) connect(to target) syscall.Errno { return errnoOf(unix.Connect(b.fd(), to.sa)) }

func (b *blocking) recv(buf []byte, flags int) (int, syscall.Errno) {
	return transfer(unix.SYS_RECVFROM, b.fd(), buf, flags)
}

func (b *blocking) send(buf []byte, flags int) (int, syscall.Errno) {
	return transfer(unix.SYS_SENDTO, b.fd(), buf, flags|unix.MSG_NOSIGNAL)
}

func transfer(trap uintptr, fd int, buf []byte, flags int) (int, syscall.Errno) {
	n, _, errno := unix.Syscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func (b *blocking) shutdown(how int) syscall.Errno { return errnoOf(unix.Shutdown(b.fd(), how)) }

func (b *blocking) close() syscall.Errno {
	return errnoOf(unix.Close(int(b.number.Swap(-1))))
}

// setTimeout passes a negative fraction of a second as usec < 0. It passes negative whole
// seconds, with or without a fraction, as sec < 0.
func (b *blocking) setTimeout(option int, d time.Duration) syscall.Errno {
	tv := unix.Timeval{Sec: int64(d / time.Second), Usec: int64(d % time.Second / time.Microsecond)}
	if tv.Sec < 0 && tv.Usec < 0 {
		tv.Sec, tv.Usec = tv.Sec-1, tv.Usec+1e6
	}
	if d == forever {
		tv = unix.Timeval{Sec: math.MaxInt64}
	}
	return errnoOf(unix.SetsockoptTimeval(b.fd(), unix.SOL_SOCKET, option, &tv))
}

func (b *blocking) setDuration(option int, d time.Duration) syscall.Errno {
	return b.setTimeout(option, d)
}

func (b *blocking) setOption(o sockopt, value int) syscall.Errno {
	return errnoOf(unix.SetsockoptInt(b.fd(), o.level, o.number, value))
}

func (b *blocking) option(o sockopt) (int, syscall.Errno) {
	v, err := unix.GetsockoptInt(b.fd(), o.level, o.number)
	return v, errnoOf(err)
}

func (b *blocking) timeout(option int) time.Duration {
	var tv unix.Timeval
	size := uint32(unsafe.Sizeof(tv))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(b.fd()), unix.SOL_SOCKET, uintptr(option), uintptr(unsafe.Pointer(&tv)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return time.Duration(tv.Sec)*time.Second + time.Duration(tv.Usec)*time.Microsecond
}

func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	return err.(syscall.Errno)
}
