package httpd_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/stretchr/testify/require"
)

// When Shutdown returns, the parked connections are closed, and a request in progress has
// had its response.
func TestShutdown(t *testing.T) {
	onBoth(t, func(t *testing.T, over func(*http.Server) *http.Server) {
		begun, release, hook := make(chan bool), make(chan bool), make(chan bool)
		closed := make(chan http.ConnState, 10)
		s := serve(t, over(&http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					begun <- true
					<-release
				}
				io.WriteString(w, r.URL.Path)
			}),
			ConnState: func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					closed <- state
				}
			},
		}))
		s.RegisterOnShutdown(func() { close(hook) })
		idle, busy := s.dial(t), s.dial(t)
		for _, c := range []*client{idle, busy} {
			c.get("/", "/")
		}
		s.AwaitParked(t, 2)
		busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
		weirtest.Take(t, begun)
		down := make(chan error)
		go func() { down <- s.Shutdown(context.Background()) }()
		weirtest.Take(t, hook)
		idle.requireEnd()
		weirtest.Take(t, closed)
		require.ErrorIs(t, weirtest.Take(t, s.served), http.ErrServerClosed)
		release <- true
		_, body := busy.answer()
		require.Equal(t, "/slow", body)
		busy.requireEnd()
		require.NoError(t, weirtest.Take(t, down))
		weirtest.Take(t, closed)
	})
}

// Close closes parked connections. The program's ConnState may take locks that the
// server holds meanwhile.
func TestCloseOfTheServer(t *testing.T) {
	onBoth(t, func(t *testing.T, over func(*http.Server) *http.Server) {
		var s *site
		told := make(chan bool, 1)
		s = serve(t, over(&http.Server{Handler: hello, ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				s.RegisterOnShutdown(func() {})
				told <- true
			}
		}}))
		c := s.dial(t)
		c.get("/", "/")
		s.AwaitParked(t, 1)
		require.NoError(t, s.Close())
		c.requireEnd()
		weirtest.Take(t, told)
	})
}

// The program may close a parked connection that a hook has given to it, with a lock that
// ConnState takes.
func TestTheProgramClosesAParkedConnection(t *testing.T) {
	onBoth(t, func(t *testing.T, over func(*http.Server) *http.Server) {
		var mu sync.Mutex
		var conn net.Conn
		told := make(chan bool, 1)
		s := serve(t, over(&http.Server{Handler: hello, ConnState: func(c net.Conn, state http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			if conn = c; state == http.StateClosed {
				told <- true
			}
		}}))
		c := s.dial(t)
		c.get("/", "/")
		s.AwaitParked(t, 1)
		mu.Lock()
		require.NoError(t, conn.Close())
		mu.Unlock()
		c.requireEnd()
		weirtest.Take(t, told)
		s.AwaitParked(t, 0)
	})
}

// If the listener fails, the connections that are open are served on, parked or not.
func TestTheListenerEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, over func(*http.Server) *http.Server) {
		s := serve(t, over(&http.Server{Handler: hello}))
		c := s.dial(t)
		c.get("/", "/")
		s.AwaitParked(t, 1)
		require.NoError(t, s.listener.Close())
		require.ErrorIs(t, weirtest.Take(t, s.served), net.ErrClosed)
		for range 3 {
			c.get("/", "/")
			s.AwaitParked(t, 1)
		}
		c.Close()
		s.Done(t) // the yard ends with its last connection
	})
}

// Connections that come, are parked, wake up and go while the server ends: none is left.
func TestTheEndAtAnyMoment(t *testing.T) {
	for i := range 6 {
		s := serve(t, &http.Server{Handler: hello, IdleTimeout: 5 * time.Millisecond})
		var clients sync.WaitGroup
		for range 20 {
			clients.Go(func() {
				for {
					c, err := net.Dial("tcp", s.listener.Addr().String())
					if err != nil {
						return
					}
					in := client{Conn: c, t: t}
					_ = in
					buf := make([]byte, 4096)
					for err == nil {
						if _, err = io.WriteString(c, get); err == nil {
							_, err = c.Read(buf)
						}
						time.Sleep(time.Millisecond)
					}
					c.Close()
				}
			})
		}
		weirtest.Eventually(t, func() bool { return s.Parks() > 50 }, "connections are parked")
		if i%2 == 0 {
			require.NoError(t, s.Shutdown(context.Background()))
		} else {
			require.NoError(t, s.Close())
		}
		clients.Wait()
		require.True(t, errors.Is(<-s.served, http.ErrServerClosed))
		s.Done(t)
	}
}
