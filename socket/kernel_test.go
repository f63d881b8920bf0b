package socket

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// unsignalled makes a blocking system call, for comparison, on a thread that takes no
// signals. Otherwise a signal by which the Go runtime preempts would end a socket call
// that has a timeout.
func unsignalled(call func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before); err != nil {
		panic(err)
	}
	call()
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil); err != nil {
		panic(err)
	}
}
