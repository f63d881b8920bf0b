package chaos

import (
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { weirtest.Main(m) }

// A service sends all input back, and checks it.
type service struct {
	name string
	addr string       // where it listens
	open func() int   // how many connections it has
	bad  *atomic.Bool // wrong bytes have arrived

	server *server.Server // serves it, or nil
	group  *loop.Group    // of the server
}

// A place is where services listen.
type place struct {
	address string
	do      func(func()) // calls a function where sockets belong to the place
}

var here = place{"127.0.0.1:0", func(f func()) { f() }}

// startAll starts a service of each kind: Events, Handler, package net, and a proxy of
// package net that moves the bytes by splice(2) to one with Events.
func startAll(t *testing.T, p place, timeouts server.Timeouts) []*service {
	events := startEvents(t, p, timeouts)
	return []*service{events, startHandler(t, p, timeouts), startNet(t, p), startProxy(t, p, events)}
}

func newService(name string) *service { return &service{name: name, bad: new(atomic.Bool)} }

// check checks input, and notes what is wrong.
func (s *service) check(t *testing.T, c *Checker, p []byte) error {
	err := c.Check(p)
	if err != nil && s.bad.CompareAndSwap(false, true) {
		t.Errorf("%s got wrong bytes: %v", s.name, err)
	}
	return err
}

func (s *service) serve(t *testing.T, p place, srv *server.Server) *service {
	srv.Log = slog.New(slog.DiscardHandler)
	group, err := loop.NewGroup(runtime.GOMAXPROCS(0), loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	srv.Group = group
	s.server, s.group = srv, group
	t.Cleanup(func() {
		srv.Close()
		group.Close()
	})
	p.do(func() {
		addr, err := srv.Listen("tcp4", p.address)
		require.NoError(t, err)
		s.addr = addr.String()
	})
	s.open = func() int { return srv.Stats().Conns }
	return s
}

func startEvents(t *testing.T, p place, timeouts server.Timeouts) *service {
	s := newService("Events")
	return s.serve(t, p, &server.Server{Timeouts: timeouts, Chunk: 16 << 10, HighWater: 16 << 10, Events: server.Events{
		Open: func(c *server.Conn) error { c.User = new(Checker); return nil },
		Data: func(c *server.Conn) error {
			p := c.Next(-1)
			if err := s.check(t, c.User.(*Checker), p); err != nil {
				return err
			}
			_, err := c.Write(p)
			return err
		},
	}})
}

func startHandler(t *testing.T, p place, timeouts server.Timeouts) *service {
	s := newService("Handler")
	return s.serve(t, p, &server.Server{
		Timeouts: timeouts,
		Begin:    func(x *server.Session) error { x.User = new(Checker); return nil },
		Handler:  func(x *server.Session) error { return s.echoOnce(t, x, x.User.(*Checker)) },
	})
}

// echoOnce sends back what one read gives.
func (s *service) echoOnce(t *testing.T, x io.ReadWriter, c *Checker) error {
	buf := make([]byte, 8<<10)
	n, err := x.Read(buf)
	if err == nil {
		err = s.check(t, c, buf[:n])
	}
	if err == nil {
		_, err = x.Write(buf[:n])
	}
	return err
}

// listen accepts connections and has each served on a goroutine of its own.
func (s *service) listen(t *testing.T, p place, serve func(*weirnet.TCPConn)) *service {
	var l net.Listener
	p.do(func() {
		var err error
		l, err = weirnet.Listen("tcp4", p.address)
		require.NoError(t, err)
	})
	var open atomic.Int64
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Add(1)
			conns.Go(func() {
				serve(c.(*weirnet.TCPConn))
				c.Close()
				open.Add(-1)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	s.addr, s.open = l.Addr().String(), func() int { return int(open.Load()) }
	return s
}

func startNet(t *testing.T, p place) *service {
	s := newService("net")
	return s.listen(t, p, func(c *weirnet.TCPConn) {
		x := new(Checker)
		for {
			c.SetDeadline(time.Now().Add(patience()))
			if s.echoOnce(t, c, x) != nil {
				return
			}
		}
	})
}

// startProxy starts a proxy before another service. It does not see the bytes.
func startProxy(t *testing.T, p place, behind *service) *service {
	return newService("splice").listen(t, p, func(front *weirnet.TCPConn) {
		var back net.Conn
		var err error
		p.do(func() { back, err = weirnet.Dial("tcp4", behind.addr) })
		if err != nil {
			t.Errorf("the proxy cannot dial: %v", err)
			return
		}
		defer back.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			relay(front, back.(*weirnet.TCPConn))
		}()
		relay(back.(*weirnet.TCPConn), front)
		<-done
	})
}

// relay moves the bytes of one direction, piece by piece, so that patience is with a piece.
// An error ends both directions.
func relay(to, from *weirnet.TCPConn) {
	for {
		until := time.Now().Add(patience())
		from.SetReadDeadline(until)
		to.SetWriteDeadline(until)
		switch _, err := io.CopyN(to, from, 64<<10); err {
		case nil:
		case io.EOF:
			to.CloseWrite()
			return
		default:
			to.Close()
			from.Close()
			return
		}
	}
}

// settled requires that the services have no connections left.
func settled(t *testing.T, services []*service) {
	t.Helper()
	for _, s := range services {
		require.Eventually(t, func() bool { return s.open() == 0 }, patience(), 5*time.Millisecond, "%s has connections left", s.name)
	}
}
