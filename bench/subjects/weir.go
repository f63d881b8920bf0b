package subjects

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/seed-2334f180/weir/bench/wire"
	"github.com/seed-2334f180/weir/loop"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/socket"
)

var weirSubject = Subject{
	Name:          "weir",
	About:         "Weir's socket class, a goroutine per connection",
	ServeEcho:     serveEchoWeir,
	ServePipeline: servePipelineWeir,
	ServeTLS:      serveTLSWeir,
	ServeFlood:    serveFloodWeir,
	ServeUDP:      serveUDPWeir,
	ServeOrdinary: serveOrdinaryWeir,
	Dial:          dialWeir,
	Listen:        func() (net.Listener, error) { return weirnet.Listen("tcp4", "127.0.0.1:0") },
	NewWaiter:     newWeirWaiter,
	NewInlet:      newWeirInlet,
}

// BusyPoll is how long a loop of Weir polls at most before it sleeps.
const BusyPoll = loop.DefaultBusyPoll

func serveEchoWeir(size int, ready func(addr string) error) error {
	return serveWeir(ready, func(conn *socket.Socket) { echoWeir(conn, make([]byte, wire.Buffer(size)), 0) })
}

func servePipelineWeir(size int, ready func(addr string) error) error {
	return serveWeir(ready, func(conn *socket.Socket) {
		wire.AnswerFrames(conn, size) //nolint:errcheck // the client has gone
	})
}

func serveFloodWeir(size int, ready func(addr string) error) error {
	return serveWeir(ready, func(conn *socket.Socket) {
		takeBlocking(conn, size) //nolint:errcheck // the client has gone
	})
}

// serveWeir serves each connection in a goroutine, and closes it afterwards.
func serveWeir(ready func(addr string) error, serve func(*socket.Socket)) error {
	listener, err := socket.Config{Address: "127.0.0.1"}.New(socket.Inet, socket.Stream, 0)
	if err != nil {
		return err
	}
	if err := listener.Listen(4096); err != nil {
		return err
	}
	if err := ready(listener.LocalAddr().String()); err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		if err := conn.SetNoDelay(true); err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			serve(conn)
		}()
	}
}

func serveOrdinaryWeir(task Task, ready func(addr string) error) error {
	return serveWeir(ready, func(conn *socket.Socket) { echoWeir(conn, make([]byte, wire.Buffer(task.Size)), task.Steps) })
}

func dialWeir(addr string) (io.ReadWriteCloser, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	s, err := socket.New(socket.Inet, socket.Stream, 0)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.Connect(host, port), s.SetNoDelay(true)); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// echoWeir computes for each message that it sends back.
func echoWeir(conn *socket.Socket, buf []byte, steps int) {
	for {
		n, err := conn.Recv(buf, 0)
		if err != nil {
			return
		}
		Compute(steps)
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

func newWeirWaiter(timeout time.Duration) (*Waiter, error) {
	a, b, err := weirPair(timeout)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 1)
	wait := func() error {
		n, err := a.Recv(buf, 0)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return errNotTimeout(n, err)
		}
		return nil
	}
	return &Waiter{wait: wait, close: func() { a.Close(); b.Close() }}, nil
}

func newWeirInlet(timeout time.Duration) (*Inlet, error) {
	a, b, err := weirPair(timeout)
	if err != nil {
		return nil, err
	}
	return &Inlet{
		fill:    func(p []byte) error { _, err := b.Write(p); return err },
		receive: func(p []byte) (int, error) { return a.Recv(p, 0) },
		close:   func() { a.Close(); b.Close() },
	}, nil
}

// weirPair opens a unix socket pair. The first socket receives with a timeout.
func weirPair(timeout time.Duration) (a, b *socket.Socket, err error) {
	if a, b, err = socket.Pair(socket.Unix, socket.Stream, 0); err != nil {
		return nil, nil, err
	}
	if err := a.SetRecvTimeout(timeout); err != nil {
		a.Close()
		b.Close()
		return nil, nil, err
	}
	return a, b, nil
}
