package httpd_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/net/httpd"
	"github.com/stretchr/testify/require"
)

// A site is a server whose connections linger for a millisecond only.
type site struct {
	*http.Server
	*httpd.Yard
	listener net.Listener
	secure   bool // with TLS
	served   chan error
}

func serve(t *testing.T, srv *http.Server, linger ...time.Duration) *site {
	t.Helper()
	l, err := weirnet.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return serveOn(t, srv, l, linger...)
}

// serveOn serves on a listener. linger may have the bounds of how long connections linger,
// instead of a millisecond.
func serveOn(t *testing.T, srv *http.Server, l net.Listener, linger ...time.Duration) *site {
	t.Helper()
	front, secure := httpd.NewListener(srv, l), srv.TLSConfig != nil
	if secure {
		var err error
		front, err = httpd.NewTLSListener(srv, l)
		require.NoError(t, err)
	}
	return start(t, &site{Server: srv, listener: l, secure: secure}, front, linger...)
}

func start(t *testing.T, s *site, front net.Listener, linger ...time.Duration) *site {
	t.Helper()
	s.Yard, s.served = httpd.YardOf(front), make(chan error, 1)
	if linger == nil {
		linger = []time.Duration{time.Millisecond, time.Millisecond}
	}
	s.SetLinger(linger[0], linger[1])
	go func() { s.served <- s.Serve(front) }()
	t.Cleanup(func() {
		s.Close()
		s.Done(t)
	})
	return s
}

// hello answers with the path and the body.
var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %v", r.URL, body, err)
})

// onBoth runs a test without and with TLS. over gives a server TLS, if it is to have it.
func onBoth(t *testing.T, test func(t *testing.T, over func(*http.Server) *http.Server)) {
	t.Run("plain", func(t *testing.T) { test(t, func(srv *http.Server) *http.Server { return srv }) })
	t.Run("TLS", func(t *testing.T) { test(t, overTLS) })
}

// A client speaks HTTP by hand.
type client struct {
	net.Conn
	in *bufio.Reader
	t  *testing.T
}

func (s *site) dial(t *testing.T) *client {
	t.Helper()
	c, err := net.Dial(s.listener.Addr().Network(), s.listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(weirtest.Patience)))
	if s.secure {
		c = tls.Client(c, clientConfig())
	}
	return &client{c, reader(c), t}
}

func reader(c net.Conn) *bufio.Reader { return bufio.NewReader(c) }

func (c *client) send(text string) {
	c.t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(c.t, err)
}

func (c *client) answer() (code int, body string) {
	c.t.Helper()
	r, err := http.ReadResponse(c.in, nil)
	require.NoError(c.t, err)
	text, err := io.ReadAll(r.Body)
	require.NoError(c.t, err)
	return r.StatusCode, string(text)
}

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// get asks for a path, and requires that the answer has a text.
func (c *client) get(path, want string) {
	c.t.Helper()
	c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
	code, body := c.answer()
	require.Equal(c.t, 200, code)
	require.Contains(c.t, body, want)
}

// requireEnd requires that the server closes the connection without another byte.
func (c *client) requireEnd() {
	c.t.Helper()
	_, err := c.in.ReadByte()
	require.ErrorIs(c.t, err, io.EOF)
}

func TestAParkedConnectionServesOn(t *testing.T) {
	onBoth(t, func(t *testing.T, over func(*http.Server) *http.Server) {
		for _, network := range []string{"tcp", "unix"} {
			t.Run(network, func(t *testing.T) {
				l, err := weirnet.Listen(network, map[string]string{"tcp": "127.0.0.1:0", "unix": t.TempDir() + "/s"}[network])
				require.NoError(t, err)
				s := serveOn(t, over(&http.Server{Handler: hello}), l)
				c := s.dial(t)
				for i := range 5 {
					path := fmt.Sprintf("/%d", i)
					c.get(path, path)
					s.AwaitParked(t, 1)
				}
				require.GreaterOrEqual(t, s.Parks(), 5)
			})
		}
	})
}

// A program that counts by the hooks of http.Server counts the same as with net/http.
func TestTheProgramSeesOneConnection(t *testing.T) {
	onBoth(t, func(t *testing.T, over func(*http.Server) *http.Server) {
		type key struct{}
		states := make(chan string, 100)
		var conns []net.Conn
		base, ofConn := 0, 0
		l, err := weirnet.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		s := serveOn(t, over(&http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, r.Context().Value(key{}), " ", r.Context().Value(http.LocalAddrContextKey))
			}),
			ConnState: func(c net.Conn, state http.ConnState) {
				conns = append(conns, c)
				states <- state.String()
			},
			BaseContext: func(got net.Listener) context.Context {
				require.Equal(t, l, got)
				base++
				return context.WithValue(t.Context(), key{}, "base")
			},
			ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
				ofConn++
				return context.WithValue(ctx, key{}, fmt.Sprint(ctx.Value(key{}), " ", ofConn))
			},
		}), l)
		c := s.dial(t)
		for range 3 {
			c.get("/", "base 1 "+l.Addr().String())
			s.AwaitParked(t, 1)
		}
		c.Close()
		for _, want := range []string{"new", "active", "idle", "active", "idle", "active", "idle", "closed"} {
			require.Equal(t, want, weirtest.Take(t, states))
		}
		for _, c := range conns {
			require.Same(t, conns[0], c)
		}
		require.Equal(t, 1, base)
		require.Equal(t, 1, ofConn)
	})
}

// A second listener of the same server does not install the hooks twice.
func TestTwoListenersOfOneServer(t *testing.T) {
	states := make(chan http.ConnState, 100)
	srv := &http.Server{Handler: hello, ConnState: func(_ net.Conn, state http.ConnState) { states <- state }}
	for range 2 {
		l, err := weirnet.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		s := start(t, &site{Server: srv, listener: l}, httpd.NewListener(srv, l))
		s.dial(t).get("/", "/")
		s.AwaitParked(t, 1)
		for _, want := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle} {
			require.Equal(t, want, weirtest.Take(t, states))
		}
		require.Empty(t, states)
	}
}

func TestIdleTimeoutOfAParkedConnection(t *testing.T) {
	onBoth(t, func(t *testing.T, over func(*http.Server) *http.Server) {
		machine.WithTime(t, 50*time.Millisecond, func(idle time.Duration) bool {
			s := serve(t, over(&http.Server{Handler: hello, IdleTimeout: idle}))
			c := s.dial(t)
			begun := time.Now()
			for s.Parks() <= 5 { // the timers of earlier idle times do not end the last one
				before := begun
				begun = time.Now()
				_, _ = io.WriteString(c, get)
				r, err := http.ReadResponse(c.in, nil)
				if err != nil { // the connection had ended
					require.GreaterOrEqual(t, time.Since(before), idle)
					return false
				}
				body, err := io.ReadAll(r.Body)
				require.NoError(t, err)
				require.Contains(t, string(body), "/")
				weirtest.Eventually(t, func() bool { return s.Parked() == 1 || time.Since(begun) > idle }, "it is parked")
			}
			c.requireEnd()
			require.GreaterOrEqual(t, time.Since(begun), idle)
			s.AwaitParked(t, 0)
			return true
		})
	})
}

// An idle time that is shorter than the linger time ends the connection in net/http.
func TestIdleTimeoutOfALingeringConnection(t *testing.T) {
	onBoth(t, func(t *testing.T, over func(*http.Server) *http.Server) {
		s := serve(t, over(&http.Server{Handler: hello, IdleTimeout: time.Millisecond}), time.Hour, time.Hour)
		c := s.dial(t)
		c.get("/", "/")
		c.requireEnd()
		require.Zero(t, s.Parks())
	})
}

// The deadline that net/http has set for a request's header holds for a connection that was
// parked, and the time that it lingers is over with the first byte.
func TestReadHeaderTimeoutOfAResumedConnection(t *testing.T) {
	onBoth(t, func(t *testing.T, over func(*http.Server) *http.Server) {
		const limit = 100 * time.Millisecond
		s := serve(t, over(&http.Server{Handler: hello, ReadHeaderTimeout: limit, IdleTimeout: time.Hour, ErrorLog: log.New(io.Discard, "", 0)}))
		var c *client
		for s.Parked() == 0 { // on a busy machine the first request may be too late
			c = s.dial(t)
			if _, err := io.WriteString(c, get); err != nil {
				continue
			}
			if _, err := http.ReadResponse(c.in, nil); err == nil {
				_, err = c.in.Discard(len("/  <nil>"))
				require.NoError(t, err)
				s.AwaitParked(t, 1)
			}
		}
		begun := time.Now()
		c.send("GET / HT")
		all, err := io.ReadAll(c.in)
		require.NoError(t, err)
		require.Contains(t, string(all), "400 Bad Request")
		require.GreaterOrEqual(t, time.Since(begun), limit)
	})
}

// While net/http has the beginning of a request, the connection is not parked, and may take
// its time.
func TestASlowRequestIsNotParked(t *testing.T) {
	onBoth(t, func(t *testing.T, over func(*http.Server) *http.Server) {
		const pause = 20 * time.Millisecond // longer than the connection lingers
		for _, first := range []string{"", get + get} {
			s := serve(t, over(&http.Server{Handler: hello}))
			c := s.dial(t)
			if first != "" {
				c.get("/", "/")
				s.AwaitParked(t, 1)
			}
			parks := s.Parks()
			c.send(get + "P")
			c.answer()
			for _, piece := range []string{"OS", "T / HTTP/1.1\r\nHo", "st: x\r\nContent-Length: 10\r\n\r\n", "12345"} {
				time.Sleep(pause)
				c.send(piece)
			}
			time.Sleep(pause)
			require.Equal(t, parks, s.Parks())
			c.send("67890")
			_, body := c.answer()
			require.Equal(t, "/ 1234567890 <nil>", body)
		}
	})
}

func TestRequestContextOfAResumedConnectionEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, over func(*http.Server) *http.Server) {
		begun, ended := make(chan bool, 1), make(chan error, 1)
		s := serve(t, over(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				begun <- true
				<-r.Context().Done()
				ended <- r.Context().Err()
			}
		})}))
		c := s.dial(t)
		c.get("/", "")
		s.AwaitParked(t, 1)
		c.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
		weirtest.Take(t, begun)
		c.Close()
		require.ErrorIs(t, weirtest.Take(t, ended), context.Canceled)
	})
}

func TestResponseControllerOnAResumedConnection(t *testing.T) {
	onBoth(t, func(t *testing.T, over func(*http.Server) *http.Server) {
		s := serve(t, over(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				_, err := io.ReadAll(r.Body)
				fmt.Fprint(w, err)
			}
		})}))
		c := s.dial(t)
		c.get("/", "")
		s.AwaitParked(t, 1)
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
		_, body := c.answer()
		require.Contains(t, body, "i/o timeout")
		c.requireEnd()
	})
}

// A connection that is woken without input is parked again.
func TestWakeUpWithoutInput(t *testing.T) {
	s := serve(t, &http.Server{Handler: hello, IdleTimeout: time.Hour})
	c := s.dial(t)
	c.get("/", "/")
	s.AwaitParked(t, 1)
	before := s.Parks()
	s.Wake()
	weirtest.Eventually(t, func() bool { return s.Parks() == before+1 }, "the connection is parked again")
	c.get("/", "/")
}

// An empty line before a request is skipped, and does not keep the connection in net/http.
func TestEmptyLinesBeforeARequest(t *testing.T) {
	s := serve(t, &http.Server{Handler: hello})
	c := s.dial(t)
	c.get("/", "/")
	s.AwaitParked(t, 1)
	before := s.Parks()
	c.send("\r\n")
	weirtest.Eventually(t, func() bool { return s.Parks() == before+1 }, "the connection is parked again")
	c.send("\r\n")
	c.get("/next", "/next")
}

// A hijacked connection is an ordinary one: nothing that it does is taken for parking.
func TestHijackOfAResumedConnection(t *testing.T) {
	onBoth(t, func(t *testing.T, over func(*http.Server) *http.Server) {
		ended := make(chan error, 1)
		s := serve(t, over(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/hijack" {
				return
			}
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				ended <- err
				return
			}
			defer conn.Close()
			_, err = io.WriteString(conn, "hijacked\n")
			buf := make([]byte, 4096)
			for err == nil {
				var n int
				_ = conn.SetReadDeadline(time.Time{})
				if n, err = rw.Read(buf); err == nil {
					_, err = conn.Write(buf[:n])
				}
			}
			ended <- err
		})}))
		c := s.dial(t)
		c.get("/", "")
		s.AwaitParked(t, 1)
		c.send("GET /hijack HTTP/1.1\r\nHost: x\r\n\r\nmore\n")
		for _, want := range []string{"hijacked\n", "more\n"} {
			line, err := c.in.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, want, line)
		}
		time.Sleep(10 * time.Millisecond) // longer than a connection lingers
		c.send("later\n")
		line, err := c.in.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "later\n", line)
		require.NoError(t, c.Conn.(interface{ CloseWrite() error }).CloseWrite())
		c.requireEnd()
		require.ErrorIs(t, weirtest.Take(t, ended), io.EOF)
	})
}

// A connection lingers for twice as long as the pause before its last request, unless that
// was too long.
func TestABusyConnectionLingers(t *testing.T) {
	const pause = 10 * time.Millisecond
	for longest, want := range map[time.Duration][2]time.Duration{
		time.Hour:       {2 * pause, time.Hour},
		time.Nanosecond: {time.Millisecond, time.Millisecond},
	} {
		s := serve(t, &http.Server{Handler: hello}, time.Millisecond, longest)
		c := s.dial(t)
		c.get("/", "/")
		s.AwaitParked(t, 1)
		time.Sleep(pause)
		c.get("/", "/")
		s.AwaitParked(t, 1)
		got := s.Lingers()[0]
		require.GreaterOrEqual(t, got, want[0])
		require.LessOrEqual(t, got, want[1])
	}
}

// After SetKeepAlivesEnabled(false) a parked connection ends with its next response.
func TestKeepAlivesAreDisabled(t *testing.T) {
	onBoth(t, func(t *testing.T, over func(*http.Server) *http.Server) {
		s := serve(t, over(&http.Server{Handler: hello}))
		c := s.dial(t)
		c.get("/", "/")
		s.AwaitParked(t, 1)
		s.SetKeepAlivesEnabled(false)
		c.get("/", "/")
		c.requireEnd()
	})
}
