package oracle

import (
	"math"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A backend is a way to make sockets: the kernel's, or Weir's.
type backend interface {
	name() string
	// open makes a socket, and binds it if local is not nil.
	open(k kind, local *target) (endpoint, syscall.Errno)
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
	recvFrom(buf []byte, flags int) (n int, from string, errno syscall.Errno)
	sendTo(buf []byte, to target, flags int) (int, syscall.Errno)
	recvMsg(m *message, flags int) syscall.Errno
	sendMsg(m *message, flags int) syscall.Errno
	recvBatch(ms []message, flags int) (int, syscall.Errno)
	sendBatch(ms []message, flags int) (int, syscall.Errno)
	shutdown(how int) syscall.Errno
	close() syscall.Errno
	// setTimeout is setsockopt(2) of SO_RCVTIMEO or SO_SNDTIMEO, setDuration
	// the method that has only this purpose, if there is one.
	setTimeout(option int, d time.Duration) syscall.Errno
	setDuration(option int, d time.Duration) syscall.Errno
	timeout(option int) time.Duration
	setOption(o sockopt, value int) syscall.Errno
	option(o sockopt) (int, syscall.Errno)
}

// forever is a timeout of as many seconds as a struct timeval can have.
const forever = time.Duration(math.MaxInt64)

// A sockopt is an option with an integer as its value.
type sockopt struct {
	levelName, name string
	level, number   int
}

var (
	soErrorOption = sockopt{"socket", "SO_ERROR", unix.SOL_SOCKET, unix.SO_ERROR}
	rcvlowat      = sockopt{"socket", "SO_RCVLOWAT", unix.SOL_SOCKET, unix.SO_RCVLOWAT}
	passcred      = sockopt{"socket", "SO_PASSCRED", unix.SOL_SOCKET, unix.SO_PASSCRED}
	ipRecverr     = sockopt{"ip", "IP_RECVERR", unix.IPPROTO_IP, unix.IP_RECVERR}
	ipv6Recverr   = sockopt{"ipv6", "IPV6_RECVERR", unix.IPPROTO_IPV6, unix.IPV6_RECVERR}
)

// A target is an address, as the kernel has it and as Weir's methods take it.
type target struct {
	sa            unix.Sockaddr
	host, service string
	addr          socket.Addr
}

// A message is one of recvmsg(2) or sendmsg(2).
type message struct {
	parts   [][]byte
	control []byte
	to      *target // nil if it has no address

	// What a call tells.
	n, controlLen, flags int
	from                 string
}

// An outcome is what a step gave.
type outcome struct {
	text  string        // empty for a step that has nothing to compare
	rest  string        // compared too, but differs from host to host
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
