package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestDialServesAConnectionByEvents(t *testing.T) {
	listener, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	defer listener.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := listener.Accept()
		if err == nil {
			accepted <- c
		}
	}()
	got, ended := make(chan string, 1), make(chan error, 1)
	srv := &server.Server{Events: server.Events{
		Open: func(c *server.Conn) error {
			_, err := c.WriteString(c.User.(string))
			return err
		},
		Data:   func(c *server.Conn) error { got <- string(c.Next(-1)); return nil },
		Closed: func(_ *server.Conn, err error) { ended <- err },
	}}
	defer srv.Close()
	c, err := srv.Dial(t.Context(), weirnet.Dialer{}, "tcp", listener.Addr().String(), "hello")
	require.NoError(t, err)
	require.Equal(t, listener.Addr().String(), c.RemoteAddr().String())
	peer := <-accepted
	buf := make([]byte, 5)
	_, err = io.ReadFull(peer, buf)
	require.NoError(t, err)
	require.Equal(t, "hello", string(buf))
	_, err = peer.Write([]byte("answer"))
	require.NoError(t, err)
	require.Equal(t, "answer", <-got)
	require.NoError(t, peer.Close())
	require.ErrorIs(t, <-ended, io.EOF)
}

func TestDialFails(t *testing.T) {
	srv := &server.Server{Events: server.Events{Data: func(*server.Conn) error { return nil }}}
	defer srv.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	_, err = srv.Dial(t.Context(), weirnet.Dialer{}, "tcp", closed.Addr().String(), nil)
	require.ErrorIs(t, err, unix.ECONNREFUSED)

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	full := fullListener(t)
	_, err = srv.Dial(ctx, weirnet.Dialer{}, "tcp", full, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, srv.Stats().Conns)

	require.NoError(t, srv.Close())
	_, err = srv.Dial(t.Context(), weirnet.Dialer{}, "tcp", full, nil)
	require.ErrorIs(t, err, server.ErrClosed)

	blocking := &server.Server{Handler: func(*server.Session) error { return nil }}
	defer blocking.Close()
	_, err = blocking.Dial(t.Context(), weirnet.Dialer{}, "tcp", full, nil)
	require.Error(t, err)
}

// fullListener returns the address of a listener whose backlog is full. The listener does
// not answer.
func fullListener(t *testing.T) string {
	l, err := socket.Config{Address: "127.0.0.1"}.New(socket.Inet, socket.Stream, 0)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	require.NoError(t, l.Listen(0))
	for range 2 { // a backlog of 0 holds one connection
		c, err := socket.New(socket.Inet, socket.Stream, 0)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		require.NoError(t, c.SetSendTimeout(20*time.Millisecond))
		if err := c.ConnectAddr(l.LocalAddr()); err != nil {
			break
		}
	}
	return l.LocalAddr().String()
}

func TestServeDetach(t *testing.T) {
	both(t, func(t *testing.T, listen func(*server.Server) socket.Addr) {
		for _, where := range []string{"data", "wake", "end"} {
			t.Run(where, func(t *testing.T) {
				conns, open := opened()
				got := make(chan *socket.Socket, 1)
				detach := func(c *server.Conn) error {
					if _, err := c.WriteString("+"); err != nil {
						return err
					}
					s, err := c.Detach()
					if err != nil {
						return err
					}
					if _, err := c.WriteString("no"); !errors.Is(err, net.ErrClosed) {
						panic("written after Detach")
					}
					if _, err := c.Detach(); !errors.Is(err, net.ErrClosed) {
						panic("detached twice")
					}
					got <- s
					return nil
				}
				srv := &server.Server{Events: server.Events{
					Open: open,
					Data: func(c *server.Conn) error {
						if where == "data" && c.Buffered() > 5 || where == "wake" && c.User != nil {
							if where == "data" {
								c.Next(1)
							}
							return detach(c)
						}
						return nil
					},
					End: func(c *server.Conn) error {
						if where == "end" {
							return detach(c)
						}
						c.Close()
						return nil
					},
					Closed: func(*server.Conn, error) { panic("called") },
				}}
				addr := listen(srv)
				c := client(t, addr)
				conn := weirtest.Take(t, conns)
				onLoop(t, conn, func() {
					_, err := conn.Detach()
					require.ErrorContains(t, err, "outside")
				})
				send(t, c, "hello")
				turned(t, conn)
				want := "hello"
				switch where {
				case "data":
					send(t, c, "world")
					want = "elloworld"
				case "wake":
					onLoop(t, conn, func() { conn.User = true })
					conn.Wake()
				case "end":
					require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
				}
				s := weirtest.Keep(t, weirtest.Take(t, got), nil)
				expect(t, c, "+")
				buf := make([]byte, len(want))
				_, err := io.ReadFull(s, buf)
				require.NoError(t, err)
				require.Equal(t, want, string(buf))
				_, err = s.WriteString("from the socket")
				require.NoError(t, err)
				expect(t, c, "from the socket")
				if where != "end" {
					send(t, c, "to the socket")
					buf = make([]byte, len("to the socket"))
					_, err = io.ReadFull(s, buf)
					require.NoError(t, err)
					require.Equal(t, "to the socket", string(buf))
				}
				weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "it is counted out")
				require.NoError(t, s.Close())
			})
		}
	})
}

func TestServeDetachWithOutputQueuedIsRefused(t *testing.T) {
	conns, open := opened()
	result := make(chan error, 1)
	addr := serve(t, &server.Server{Events: server.Events{Open: open, Data: func(c *server.Conn) error {
		c.Next(-1)
		_, err := c.Detach()
		result <- err
		return nil
	}}})
	c := client(t, addr)
	conn := weirtest.Take(t, conns)
	written := stuffed(t, conn, 1<<20)
	conn.Wake()
	err := weirtest.Take(t, result)
	require.ErrorContains(t, err, "queued")
	_, err = io.CopyN(io.Discard, c, int64(written))
	require.NoError(t, err, "it goes on")
}

// When Pressure reports the end, the queue is empty. Then Detach succeeds. The Socket has
// the unread input.
func TestServeDetachInPressureTakesTheInput(t *testing.T) {
	conns, open := opened()
	got, told := make(chan *socket.Socket, 1), make(chan bool, 16)
	addr := serve(t, &server.Server{HighWater: 1, Events: server.Events{
		Open: open,
		Data: func(c *server.Conn) error { return nil },
		Pressure: func(c *server.Conn, on bool) {
			if on {
				told <- true
			} else if s, err := c.Detach(); err == nil {
				got <- s
			}
		},
	}})
	c := client(t, addr)
	conn := weirtest.Take(t, conns)
	send(t, c, "left")
	turned(t, conn)
	written := stuffed(t, conn, 100)
	weirtest.Take(t, told)
	_, err := io.CopyN(io.Discard, c, int64(written))
	require.NoError(t, err)
	s := weirtest.Keep(t, weirtest.Take(t, got), nil)
	buf := make([]byte, 4)
	_, err = io.ReadFull(s, buf)
	require.NoError(t, err)
	require.Equal(t, "left", string(buf))
}

func TestServeAttach(t *testing.T) {
	for _, how := range []string{"data", "detach in open"} {
		t.Run(how, func(t *testing.T) {
			got := make(chan string, 16)
			users := make(chan any, 1)
			detached := make(chan *socket.Socket, 1)
			over, closing := ended()
			srv := &server.Server{Events: server.Events{
				Open: func(c *server.Conn) error {
					users <- c.User
					if how == "data" {
						return nil
					}
					s, err := c.Detach()
					detached <- s
					return err
				},
				Data:   func(c *server.Conn) error { got <- string(c.Next(-1)); _, err := c.WriteString("ok"); return err },
				Closed: closing,
			}}
			t.Cleanup(func() { srv.Close() })
			a, b := weirtest.Pair(t, socket.Stream)
			_, err := b.WriteString("line\nread ahead")
			require.NoError(t, err)
			line, err := a.ReadLine()
			require.NoError(t, err)
			require.Equal(t, "line", line)
			require.NotZero(t, a.Buffered())
			require.NoError(t, srv.Attach(a, "the user"))
			require.Equal(t, "the user", weirtest.Take(t, users))
			_, err = a.Write([]byte("x"))
			require.ErrorIs(t, err, net.ErrClosed, "it is the server's")
			if how == "data" {
				require.Equal(t, "read ahead", weirtest.Take(t, got))
				_, err = b.WriteString("more")
				require.NoError(t, err)
				require.Equal(t, "more", weirtest.Take(t, got))
				expect(t, b, "okok")
				require.NoError(t, b.Close())
				require.Equal(t, io.EOF, weirtest.Take(t, over))
				return
			}
			s := weirtest.Keep(t, weirtest.Take(t, detached), nil)
			buf := make([]byte, len("read ahead"))
			_, err = io.ReadFull(s, buf)
			require.NoError(t, err)
			require.Equal(t, "read ahead", string(buf))
			require.Zero(t, srv.Stats().Conns)
		})
	}
}

// After a Close, the server does not present input that it has read ahead, even while the
// output takes long.
func TestServeCloseInOpenLeavesTheInputOfAttachAlone(t *testing.T) {
	const size = 1 << 20 // more than the kernel takes in one call
	var presented atomic.Int64
	over, closing := ended()
	srv := &server.Server{Events: server.Events{
		Open: func(c *server.Conn) error {
			_, err := c.Write(make([]byte, size))
			c.Close()
			return err
		},
		Data:   func(c *server.Conn) error { presented.Add(1); return nil },
		Closed: closing,
	}}
	t.Cleanup(func() { srv.Close() })
	a, b := weirtest.Pair(t, socket.Stream)
	_, err := b.WriteString("line\nread ahead")
	require.NoError(t, err)
	_, err = a.ReadLine()
	require.NoError(t, err)
	require.NotZero(t, a.Buffered())
	require.NoError(t, srv.Attach(a, nil))
	require.NoError(t, b.SetRecvTimeout(weirtest.Patience))
	got, err := io.ReadAll(b)
	require.NoError(t, err)
	require.Len(t, got, size)
	require.NoError(t, weirtest.Take(t, over))
	require.Zero(t, presented.Load())
}

func TestServeAttachRefuses(t *testing.T) {
	srv := &server.Server{Events: server.Events{Data: echo}}
	require.ErrorContains(t, srv.Attach(nil, nil), "nil")
	a, _ := weirtest.Pair(t, socket.Dgram)
	require.ErrorContains(t, srv.Attach(a, nil), "not a stream")
	_, err := a.Write([]byte("still the caller's"))
	require.NoError(t, err)
	s, other := weirtest.Pair(t, socket.Stream)
	reading := make(chan error, 1)
	go func() { _, err := s.Read(make([]byte, 1)); reading <- err }()
	weirtest.Eventually(t, func() bool {
		err := srv.Attach(s, nil) // the reader may not have begun
		return err != nil
	}, "a call is in progress")
	_, _ = other.WriteString("x")
	weirtest.Take(t, reading)
	require.NoError(t, srv.Close())
	a, _ = weirtest.Pair(t, socket.Stream)
	require.ErrorIs(t, srv.Attach(a, nil), server.ErrClosed)
	_, err = a.Write([]byte("still the caller's"))
	require.NoError(t, err)
}

// A connection that Dial or Attach begins may have the callbacks of a Service.
func TestDialAndAttachUseAService(t *testing.T) {
	addr := serve(t, &server.Server{Events: server.Events{Data: echo}})
	got := make(chan string, 4)
	service := &server.Service{Events: server.Events{
		Data:   func(c *server.Conn) error { got <- c.User.(string) + string(c.Next(-1)); return nil },
		Packet: func(p *server.PacketConn, b []byte, _ socket.Addr) { got <- p.User.(string) + string(b) },
	}}
	srv := &server.Server{Loops: 2, Events: server.Events{Data: func(*server.Conn) error { got <- "the wrong Data"; return nil }}}
	defer srv.Close()
	c, err := srv.DialService(t.Context(), weirnet.Dialer{}, "tcp", addr.String(), service, "dialed ")
	require.NoError(t, err)
	send(t, c, "one")
	require.Equal(t, "dialed one", weirtest.Take(t, got))

	a, b := weirtest.Pair(t, socket.Stream)
	require.NoError(t, srv.AttachService(a, service, "attached "))
	send(t, b, "two")
	require.Equal(t, "attached two", weirtest.Take(t, got))

	handled := &server.Service{Handler: func(s *server.Session) error {
		line, err := s.ReadLine()
		if err == nil {
			got <- s.User.(string) + line
		}
		return err
	}}
	a, b = weirtest.Pair(t, socket.Stream)
	require.NoError(t, srv.AttachService(a, handled, "handled "))
	send(t, b, "three\n")
	require.Equal(t, "handled three", weirtest.Take(t, got))

	udp := serveOn(t, &server.Server{Events: server.Events{Packet: echoPackets}}, "udp4", "127.0.0.1:0")
	p, err := srv.DialPacketsService(t.Context(), weirnet.Dialer{}, "udp", udp.String(), service, "packet ")
	require.NoError(t, err)
	require.NoError(t, p.Loop().Post(func() { p.Send([]byte("four")) }))
	require.Equal(t, "packet four", weirtest.Take(t, got))

	_, err = srv.DialService(t.Context(), weirnet.Dialer{}, "tcp", addr.String(), handled, nil)
	require.ErrorContains(t, err, "Handler")
	_, err = srv.DialPackets(t.Context(), weirnet.Dialer{}, "udp", udp.String(), nil)
	require.ErrorContains(t, err, "Events.Packet")
	_, err = srv.Dial(t.Context(), weirnet.Dialer{}, "udp", udp.String(), nil)
	require.EqualError(t, err, "server: dial udp "+udp.String()+": datagrams need DialPackets")
}

// Input that the Socket has read ahead counts as the first byte.
func TestAttachWithInputHasItsFirstByte(t *testing.T) {
	const limit = 20 * time.Millisecond
	data := make(chan *server.Conn, 1)
	over, closed := ended()
	srv := &server.Server{Timeouts: server.Timeouts{FirstByte: limit}, Events: server.Events{
		Data:   func(c *server.Conn) error { c.Next(-1); data <- c; return nil },
		Closed: closed,
	}}
	defer srv.Close()
	s, peer := weirtest.TCP(t)
	send(t, peer, "ab")
	_, _, err := s.ReadRune()
	require.NoError(t, err)
	require.NoError(t, srv.Attach(s, nil))
	c := weirtest.Take(t, data)
	// A timer of the same loop that ends later shows that the timeout has not run.
	later := make(chan struct{})
	_, err = c.Loop().AfterFunc(3*limit, func() { close(later) })
	require.NoError(t, err)
	weirtest.Take(t, later)
	require.Empty(t, over)
	send(t, peer, "more")
	weirtest.Take(t, data)
}

// A Socket that a call uses stays the caller's, and does not count.
func TestAttachOfABusySocket(t *testing.T) {
	for name, srv := range map[string]*server.Server{
		"Events":  {Events: server.Events{Data: echo}},
		"Handler": {Handler: lines},
	} {
		t.Run(name, func(t *testing.T) {
			defer srv.Close()
			s, peer := weirtest.TCP(t)
			require.NoError(t, s.Registration().Use())
			require.ErrorIs(t, srv.Attach(s, nil), unix.EBUSY)
			s.Registration().Done()
			require.Zero(t, srv.Stats().Conns)
			send(t, peer, "x") // the caller still has it
			expect(t, s, "x")
		})
	}
}
