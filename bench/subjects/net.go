package subjects

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/seed-2334f180/weir/bench/wire"
	"golang.org/x/sys/unix"
)

var netSubject = Subject{
	Name:          "net",
	About:         "Go's net package, a goroutine per connection",
	ServeEcho:     ServeEchoNet,
	ServePipeline: servePipelineNet,
	ServeTLS:      serveTLSNet,
	ServeFlood:    serveFloodNet,
	ServeUDP:      serveUDPNet,
	ServeOrdinary: serveOrdinaryNet,
	Dial:          func(addr string) (io.ReadWriteCloser, error) { return net.Dial("tcp4", addr) },
	Listen:        func() (net.Listener, error) { return net.Listen("tcp4", "127.0.0.1:0") },
	NewWaiter:     newNetWaiter,
	NewInlet:      newNetInlet,
}

func ServeEchoNet(size int, ready func(addr string) error) error {
	return serveNet(ready, func(conn net.Conn) { echoNet(conn, make([]byte, wire.Buffer(size)), 0) })
}

func servePipelineNet(size int, ready func(addr string) error) error {
	return serveNet(ready, func(conn net.Conn) {
		wire.AnswerFrames(conn, size) //nolint:errcheck // the client has gone
	})
}

func serveFloodNet(size int, ready func(addr string) error) error {
	return serveNet(ready, func(conn net.Conn) {
		takeBlocking(conn, size) //nolint:errcheck // the client has gone
	})
}

// serveNet serves each connection in a goroutine, and closes it afterwards.
func serveNet(ready func(addr string) error, serve func(net.Conn)) error {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := ready(listener.Addr().String()); err != nil {
		return err
	}
	for {
		conn, err := listener.Accept() // net sets TCP_NODELAY
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			serve(conn)
		}()
	}
}

func serveOrdinaryNet(task Task, ready func(addr string) error) error {
	return serveNet(ready, func(conn net.Conn) { echoNet(conn, make([]byte, wire.Buffer(task.Size)), task.Steps) })
}

// echoNet computes for each message that it sends back.
func echoNet(conn net.Conn, buf []byte, steps int) {
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		Compute(steps)
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

func serveUDPNet(size int, ready func(addr string) error) error {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	if err := ready(conn.LocalAddr().String()); err != nil {
		return err
	}
	for buf := make([]byte, max(size, 2048)); ; {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return err
		}
		if _, err := conn.WriteToUDPAddrPort(buf[:n], from); err != nil {
			return err
		}
	}
}

func newNetWaiter(timeout time.Duration) (*Waiter, error) {
	a, b, err := netPair()
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 1)
	wait := func() error {
		if err := a.SetReadDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		n, err := a.Read(buf)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return errNotTimeout(n, err)
		}
		return nil
	}
	return &Waiter{wait: wait, close: func() { a.Close(); b.Close() }}, nil
}

// newNetInlet sets a deadline before each read. A deadline of net is a point in time, so there
// is no other way to give every read the same timeout.
func newNetInlet(timeout time.Duration) (*Inlet, error) {
	a, b, err := netPair()
	if err != nil {
		return nil, err
	}
	receive := b.Read
	if timeout > 0 {
		receive = func(p []byte) (int, error) {
			if err := b.SetReadDeadline(time.Now().Add(timeout)); err != nil {
				return 0, err
			}
			return b.Read(p)
		}
	}
	return &Inlet{
		fill:    func(p []byte) error { _, err := a.Write(p); return err },
		receive: receive,
		close:   func() { a.Close(); b.Close() },
	}, nil
}

// netPair opens a unix socket pair.
func netPair() (a, b net.Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if a, err = netConn(fds[0]); err != nil {
		unix.Close(fds[1]) //nolint:errcheck // the first error is the one to tell
		return nil, nil, err
	}
	if b, err = netConn(fds[1]); err != nil {
		a.Close()
		return nil, nil, err
	}
	return a, b, nil
}

// netConn makes a net.Conn of fd, and closes fd.
func netConn(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "socketpair")
	defer file.Close() // FileConn has a duplicate of its own
	return net.FileConn(file)
}
