package oracle

import (
	"math"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A backend makes sockets: those of the kernel, or those of Weir.
type backend interface {
	name() string
	// open makes a socket, and binds it if local is not nil.
	open(k kind, local *target) (endpoint, syscall.Errno)
	// run makes a call in the background. The call may block.
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
	// setTimeout sets SO_RCVTIMEO or SO_SNDTIMEO by setsockopt(2). setDuration uses the
	// method for this purpose, if the socket has one.
	setTimeout(option int, d time.Duration) syscall.Errno
	setDuration(option int, d time.Duration) syscall.Errno
	timeout(option int) time.Duration
	setOption(o sockopt, value int) syscall.Errno
	option(o sockopt) (int, syscall.Errno)
}

// forever is a timeout with the greatest number of seconds of a struct timeval.
const forever = time.Duration(math.MaxInt64)

// A sockopt is a socket option with an integer value.
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

// A target is an address in two forms: for the kernel, and for Weir's methods.
type target struct {
	sa            unix.Sockaddr
	host, service string
	addr          socket.Addr
}

// A message is an argument of recvmsg(2) or sendmsg(2).
type message struct {
	parts   [][]byte
	control []byte
	to      *target // nil if the message has no address

	// The call sets these.
	n, controlLen, flags int
	from                 string
}

// An outcome is the result of a step.
type outcome struct {
	text  string        // empty for a step that has nothing to compare
	rest  string        // also compared, but it differs from host to host
	took  time.Duration // how long the call took
	limit time.Duration // the timeout of the call; 0 if it has none
}

// A call is a call that a step has started.
type call struct {
	done    chan outcome
	blocked func() bool // reports whether the call is blocked now
}

// start makes a call. spawn runs it.
func start(spawn func(func()), blocked func() bool, f func() outcome) *call {
	c := &call{done: make(chan outcome, 1), blocked: blocked}
	spawn(func() { c.done <- f() })
	return c
}

// retry repeats a system call until a signal does not interrupt it. The peers and the
// preparations use retry; signals never interrupt the calls under test.
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
