package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestHandleErrorsCloseAndAreLogged(t *testing.T) {
	for _, end := range []struct {
		name string
		do   func(*server.Session) error
		log  string
	}{
		{"eof", func(*server.Session) error { return io.EOF }, ""},
		{"own", func(*server.Session) error { return errors.New("the handler's own error") }, "the handler's own error"},
		{"panic", func(*server.Session) error { panic("on purpose") }, "on purpose"},
		{"closed", func(s *server.Session) error { return s.Close() }, ""},
		{"closed, then used", func(s *server.Session) error {
			if err := s.Close(); err != nil {
				return err
			}
			_, err := s.Write([]byte("x"))
			return err
		}, ""},
		{"reset", func(*server.Session) error { return unix.ECONNRESET }, ""},
		{"goexit", func(*server.Session) error { runtime.Goexit(); return nil }, ""},
	} {
		t.Run(end.name, func(t *testing.T) {
			var log journal
			srv := &server.Server{Log: log.logger(), Handler: func(s *server.Session) error {
				if _, err := s.ReadLine(); err != nil {
					return err
				}
				return end.do(s)
			}}
			c := client(t, serve(t, srv))
			send(t, c, "x\n")
			expectEnd(t, c)
			weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "it is counted out")
			if end.log == "" {
				require.Empty(t, log.all())
			} else {
				require.NotZero(t, log.count(end.log))
			}
			require.EqualValues(t, btoi(end.name == "panic"), srv.Stats().Panics)
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A client that has sent more than the handler reads gets all that the handler wrote,
// and then an end that is not a reset.
func TestHandleClosesInGoodOrder(t *testing.T) {
	both(t, func(t *testing.T, listen func(*server.Server) socket.Addr) {
		const size = 1 << 20
		srv := &server.Server{SendBuffer: 4 << 20, Handler: func(s *server.Session) error {
			if _, err := s.ReadLine(); err != nil {
				return err
			}
			if _, err := s.Write(make([]byte, size)); err != nil {
				return err
			}
			return io.EOF
		}}
		c := client(t, listen(srv))
		send(t, c, "request\n"+strings.Repeat("more\n", 20<<10)) // more than the Socket reads ahead
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Len(t, got, size)
		require.NoError(t, c.Close())
		weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "the connection is counted out")
	})
}

// The program has kept a Socket. It closes the Socket while no Handler runs.
func TestHandleNoticesThatAnIdleSocketWasClosed(t *testing.T) {
	sockets := make(chan *server.Session, 1)
	srv := &server.Server{Handler: func(s *server.Session) error {
		if err := lines(s); err != nil {
			return err
		}
		sockets <- s
		return nil
	}}
	c := client(t, serve(t, srv))
	send(t, c, "x\n")
	expect(t, c, "<x>")
	s := weirtest.Take(t, sockets)
	weirtest.Eventually(t, func() bool { return len(s.Registration().Observers()) == 1 }, "it is idle")
	require.NoError(t, s.Close())
	expectEnd(t, c)
	weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "it is counted out")
}

// Close ends a handler that waits for input, on the server's loops and on the program's
// loops.
func TestHandleCloseEndsACall(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	running, ended := make(chan struct{}), make(chan error, 1)
	srv := &server.Server{Group: g, Handler: func(s *server.Session) error {
		if _, err := s.ReadLine(); err != nil {
			return err
		}
		close(running)
		_, err := s.ReadLine()
		ended <- err
		return err
	}}
	c := client(t, serve(t, srv))
	send(t, c, "x\n")
	weirtest.Take(t, running)
	require.NoError(t, srv.Close())
	require.ErrorIs(t, weirtest.Take(t, ended), net.ErrClosed)
	expectReset(t, c)
	weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "it ends")
}

func TestHandleShutdown(t *testing.T) {
	running, release := make(chan struct{}, 1), make(chan struct{})
	srv := &server.Server{Handler: func(s *server.Session) error {
		line, err := s.ReadLine()
		if err != nil {
			return err
		}
		if line == "slow" {
			running <- struct{}{}
			<-release
		}
		_, err = s.WriteString("<" + line + ">")
		return err
	}}
	addr := serve(t, srv)
	idle, slow := client(t, addr), client(t, addr)
	send(t, idle, "x\n")
	expect(t, idle, "<x>")
	send(t, slow, "slow\nnext\n")
	weirtest.Take(t, running)
	down := make(chan error, 1)
	go func() { down <- srv.Shutdown(context.Background()) }()
	expectEnd(t, idle)
	require.Empty(t, down, "it waits for the other")
	close(release)
	expect(t, slow, "<slow><next>")
	expectEnd(t, slow)
	require.NoError(t, weirtest.Take(t, down))
	_, err := net.Dial("tcp", addr.String())
	require.ErrorIs(t, err, unix.ECONNREFUSED)
}

func TestHandleShutdownAtTheDeadline(t *testing.T) {
	running := make(chan struct{}, 1)
	ended := make(chan error, 1)
	srv := &server.Server{Handler: func(s *server.Session) error {
		running <- struct{}{}
		for {
			if _, err := s.ReadLine(); err != nil {
				ended <- err
				return err
			}
		}
	}}
	c := client(t, serve(t, srv))
	send(t, c, "x\n")
	weirtest.Take(t, running)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, srv.Shutdown(ctx), context.DeadlineExceeded)
	require.ErrorIs(t, weirtest.Take(t, ended), net.ErrClosed)
	expectReset(t, c)
	weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "it ends")
}

// The server calls Finish once for each Begin, with the reason of the end.
func TestSessionFinishSaysWhy(t *testing.T) {
	own := errors.New("enough")
	for _, test := range []struct {
		name string
		srv  *server.Server
		do   func(t *testing.T, srv *server.Server, c net.Conn)
		want error
	}{
		{"end", &server.Server{}, func(t *testing.T, _ *server.Server, c net.Conn) { c.Close() }, io.EOF},
		{"error of Begin", &server.Server{Begin: func(*server.Session) error { return own }}, nil, own},
		{"panic of Begin", &server.Server{Begin: func(*server.Session) error { panic("on purpose") }}, nil, nil},
		{"error of Handler", &server.Server{Handler: func(*server.Session) error { return own }},
			func(t *testing.T, _ *server.Server, c net.Conn) { send(t, c, "x") }, own},
		{"idle", &server.Server{Timeouts: server.Timeouts{Idle: 10 * time.Millisecond}}, nil, &server.TimeoutError{Of: "idle", After: 10 * time.Millisecond}},
		{"first byte", &server.Server{Timeouts: server.Timeouts{FirstByte: 10 * time.Millisecond}}, nil, &server.TimeoutError{Of: "first byte", After: 10 * time.Millisecond}},
		{"Close", &server.Server{}, func(t *testing.T, srv *server.Server, _ net.Conn) { require.NoError(t, srv.Close()) }, server.ErrClosed},
		{"Shutdown", &server.Server{}, func(t *testing.T, srv *server.Server, _ net.Conn) { require.NoError(t, srv.Shutdown(t.Context())) }, server.ErrClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			why := make(chan error, 2)
			begun := make(chan struct{}, 1)
			srv := test.srv
			if srv.Handler == nil {
				srv.Handler = lines
			}
			begin := srv.Begin
			srv.Begin = func(s *server.Session) error {
				begun <- struct{}{}
				if begin != nil {
					return begin(s)
				}
				return nil
			}
			srv.Finish = func(_ *server.Session, err error) { why <- err; panic("on purpose") } // the server logs the panic
			c := client(t, serve(t, srv))
			weirtest.Take(t, begun)
			if test.do != nil {
				test.do(t, srv, c)
			}
			err := weirtest.Take(t, why)
			if test.want == nil {
				require.ErrorContains(t, err, "panicked")
			} else {
				require.Equal(t, test.want, err)
			}
			weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "it is counted out")
			require.Empty(t, why, "once")
		})
	}
}

// A reset that arrives while the Handler runs, and that the Handler does not see, is what
// Finish gets. It is not the end of the stream.
func TestHandleFinishGetsTheReset(t *testing.T) {
	called, why := make(chan struct{}), make(chan error, 1)
	addr := serve(t, &server.Server{
		Handler: func(s *server.Session) error {
			_, err := s.ReadLine()
			if err != nil {
				return err
			}
			close(called)
			fds := []unix.PollFd{{Fd: int32(s.Fd())}} // an error is always asked for
			for {
				if n, err := unix.Poll(fds, -1); n == 1 || err != unix.EINTR {
					return nil
				}
			}
		},
		Finish: func(_ *server.Session, err error) { why <- err },
	})
	c := client(t, addr)
	send(t, c, "hello\n")
	weirtest.Take(t, called)
	require.NoError(t, c.(*net.TCPConn).SetLinger(0))
	require.NoError(t, c.Close())
	require.ErrorIs(t, weirtest.Take(t, why), unix.ECONNRESET)
}

// A session ends while another goroutine still looks at its Socket, for a moment. The
// client gets the answer, and no reset.
func TestSessionEndsWhileItIsLookedAt(t *testing.T) {
	addr := serve(t, &server.Server{Handler: func(s *server.Session) error {
		if _, err := s.WriteString("answer"); err != nil {
			return err
		}
		if err := s.Registration().Use(); err != nil {
			return err
		}
		time.AfterFunc(time.Millisecond, s.Registration().Done)
		return errors.New("that is all") // the input is unread
	}})
	for range 10 {
		c := client(t, addr)
		send(t, c, "input that the handler does not read")
		expect(t, c, "answer")
		expectEnd(t, c)
	}
}
