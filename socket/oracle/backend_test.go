package oracle

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A backend is a way to make sockets: the kernel's, or Weir's.
type backend interface {
	name() string
	// open makes a socket, and binds it if local is not nil.
	open(family, typ int, local *target) (endpoint, syscall.Errno)
	// run makes a call in the background, where it may block.
	run(func() outcome) *call
}

// An endpoint is a socket under test. Its methods are the system calls.
type endpoint interface {
	fd() int
	listen(backlog int) syscall.Errno
	accept() (endpoint, syscall.Errno)
	connect(to target) syscall.Errno
	recv(buf []byte, flags int) (int, syscall.Errno)
	send(buf []byte, flags int) (int, syscall.Errno)
	shutdown(how int) syscall.Errno
	close() syscall.Errno
	setTimeout(option int, d time.Duration) syscall.Errno
	timeout(option int) time.Duration
}

// A target is an address, as the kernel has it and as Weir's methods take it.
type target struct {
	sa            unix.Sockaddr
	host, service string
}

// An outcome is what a step gave.
type outcome struct {
	text  string        // empty for a step that has nothing to compare
	took  time.Duration // of a call
	limit time.Duration // the timeout in force for it; 0 is none
}

// A call is one that was started.
type call struct {
	done    chan outcome
	blocked func() bool // is it, at this moment?
}

// start makes a call that is run by spawn.
func start(spawn func(func()), blocked func() bool, f func() outcome) *call {
	c := &call{done: make(chan outcome, 1), blocked: blocked}
	spawn(func() { c.done <- f() })
	return c
}

// retry makes a system call again for as long as it is interrupted. It is for
// the peers and the preparations: the calls under test are never interrupted.
func retry(f func() error) syscall.Errno {
	for {
		err := f()
		if err == nil {
			return 0
		}
		if errno := err.(syscall.Errno); errno != unix.EINTR {
			return errno
		}
	}
}
