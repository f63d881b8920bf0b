// Package subjects has what bench compares: the same small servers, and the same waits and
// receives, written for Weir, for its peers and for bare system calls. Each subject is a file and
// a line in All. All uses of Weir's servers and sockets by the suites are here, or in packages
// finders and scripts.
package subjects

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// A Subject is one way to write the same program. A field is nil if the subject cannot do that:
// it then takes no part in the suites that need it.
type Subject struct {
	Name  string
	About string // one line, for -h

	// ByRequest subjects are measured only when -subjects names them, or says "all".
	ByRequest bool

	// ServeEcho sends back what it receives on each TCP connection, with TCP_NODELAY set. A buffer
	// that belongs to a connection holds a whole message.
	ServeEcho ServeFunc

	// ServePipeline answers the frames (package wire) that it receives on every TCP connection,
	// with TCP_NODELAY set, one by one and in their order.
	ServePipeline ServeFunc

	// ServeTLS is ServeEcho over TLS.
	ServeTLS ServeFunc

	// ServeFlood serves the frames of the fairness suite: wire.Take says what each asks for.
	ServeFlood ServeFunc

	// ServeUDP sends each datagram back to where it came from.
	ServeUDP ServeFunc

	// ServeOrdinary does the same as an ordinary program does it: with as many loops as the
	// runtime has processors, and with a computation for each message.
	ServeOrdinary func(task Task, ready func(addr string) error) error

	// Dial connects over TCP, with TCP_NODELAY set.
	Dial func(addr string) (io.ReadWriteCloser, error)

	// Listen listens on a free port of 127.0.0.1, for packages that take a net.Listener.
	Listen func() (net.Listener, error)

	// ServeHTTP serves HTTP on a listener of Listen, or HTTPS if srv.TLSConfig is set. If it is
	// nil, net/http does so itself.
	ServeHTTP func(srv *http.Server, l net.Listener) error

	// NewWaiter makes a receive on a silent socket, with a timeout.
	NewWaiter func(timeout time.Duration) (*Waiter, error)

	// NewInlet makes a socket to fill and to receive from. Timeout 0 is no timeout.
	NewInlet func(timeout time.Duration) (*Inlet, error)
}

// A ServeFunc listens on a free port of 127.0.0.1, tells ready its address, and serves until
// the process ends. Messages are of size bytes.
type ServeFunc func(size int, ready func(addr string) error) error

// A Task is what an ordinary server has to do. It reads messages that arrive in one piece, so a
// size of more than a few hundred bytes makes no sense.
type Task struct {
	Size  int // of a message, in bytes
	Steps int // of Compute for each message
}

// A Waiter is a socket that never gets input.
type Waiter struct {
	wait  func() error // makes one receive; returns nil when that timed out
	close func()
}

// errInterrupted says that a signal ended a wait. Such a wait does not count: Go's runtime sends
// signals to itself, and the kernel does not restart a receive that has a timeout (signal(7)).
var errInterrupted = errors.New("a signal ended the receive")

// An Inlet is a stream that has its input before the receive asks for it.
type Inlet struct {
	fill    func(p []byte) error
	receive func(p []byte) (int, error)
	close   func()
}

// errNotTimeout returns the error of a Waiter whose receive ended without a timeout.
func errNotTimeout(n int, err error) error {
	return fmt.Errorf("a receive on a silent socket gave %d bytes and %v, not a timeout", n, err)
}
