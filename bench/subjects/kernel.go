package subjects

import (
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

var kernelSubject = Subject{
	Name:      "kernel",
	About:     "a blocking descriptor with the kernel's SO_RCVTIMEO, on a thread of its own (timeouts)",
	NewWaiter: newKernelWaiter,
	NewInlet:  newKernelInlet,
}

// newKernelWaiter locks the calling goroutine to its thread until close.
func newKernelWaiter(timeout time.Duration) (*Waiter, error) {
	fds, err := kernelPair(timeout)
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	buf := make([]byte, 1)
	wait := func() error {
		n, err := unix.Read(fds[0], buf)
		switch err {
		case unix.EAGAIN:
			return nil
		case unix.EINTR:
			return errInterrupted
		}
		return errNotTimeout(n, err)
	}
	return &Waiter{wait: wait, close: func() { runtime.UnlockOSThread(); closePair(fds) }}, nil
}

func newKernelInlet(timeout time.Duration) (*Inlet, error) {
	fds, err := kernelPair(timeout)
	if err != nil {
		return nil, err
	}
	return &Inlet{
		fill:    func(p []byte) error { _, err := unix.Write(fds[1], p); return err },
		receive: func(p []byte) (int, error) { return unix.Read(fds[0], p) },
		close:   func() { closePair(fds) },
	}, nil
}

// kernelPair opens a blocking unix socket pair. The first socket receives with a timeout.
func kernelPair(timeout time.Duration) ([2]int, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fds, os.NewSyscallError("socketpair", err)
	}
	limit := unix.NsecToTimeval(int64(timeout)) // 0: no timeout
	if err := unix.SetsockoptTimeval(fds[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		closePair(fds)
		return fds, os.NewSyscallError("setsockopt", err)
	}
	return fds, nil
}

func closePair(fds [2]int) {
	for _, fd := range fds {
		unix.Close(fd) //nolint:errcheck // there is nobody to tell
	}
}
