package httpd_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/httpd"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
)

const patience = 30 * time.Second

// A site is a server whose connections linger for a millisecond only.
type site struct {
	*http.Server
	*httpd.Yard
	addr   string
	served chan error
}

func serve(t *testing.T, srv *http.Server) *site {
	t.Helper()
	l, err := weirnet.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	front := httpd.NewListener(srv, l)
	s := &site{Server: srv, Yard: httpd.YardOf(front), addr: l.Addr().String(), served: make(chan error, 1)}
	s.SetLinger(time.Millisecond, time.Millisecond)
	go func() { s.served <- srv.Serve(front) }()
	t.Cleanup(func() {
		srv.Close()
		<-s.served
		s.Done(t)
	})
	return s
}

func hello(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "hello %s %s", r.URL, body)
}

// A client speaks HTTP by hand.
type client struct {
	net.Conn
	in *bufio.Reader
	t  *testing.T
}

func (s *site) dial(t *testing.T) *client {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return &client{c, bufio.NewReader(c), t}
}

func (c *client) send(text string) {
	c.t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(c.t, err)
}

func (c *client) answer() (*http.Response, string) {
	c.t.Helper()
	r, err := http.ReadResponse(c.in, nil)
	require.NoError(c.t, err)
	body, err := io.ReadAll(r.Body)
	require.NoError(c.t, err)
	return r, string(body)
}

func (c *client) get(path string) string {
	c.t.Helper()
	c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
	_, body := c.answer()
	return strings.TrimSpace(body)
}

func (c *client) closed() {
	c.t.Helper()
	_, err := c.in.ReadByte()
	require.ErrorIs(c.t, err, io.EOF)
}

func TestParkedConnectionsServeOn(t *testing.T) {
	s := serve(t, &http.Server{Handler: http.HandlerFunc(hello)})
	c := s.dial(t)
	for i := range 5 {
		require.Equal(t, fmt.Sprintf("hello /%d", i), c.get(fmt.Sprintf("/%d", i)))
		s.AwaitParked(t, 1)
	}
}

func TestPeerClosesAParkedConnection(t *testing.T) {
	states := make(chan string, 100)
	s := serve(t, &http.Server{Handler: http.HandlerFunc(hello), ConnState: func(_ net.Conn, st http.ConnState) { states <- st.String() }})
	c := s.dial(t)
	for range 3 {
		c.get("/")
		s.AwaitParked(t, 1)
	}
	c.Close()
	for _, want := range []string{"new", "active", "idle", "active", "idle", "active", "idle", "closed"} {
		require.Equal(t, want, <-states)
	}
	s.AwaitParked(t, 0)
}

func TestIdleTimeout(t *testing.T) {
	const idle = 50 * time.Millisecond
	s := serve(t, &http.Server{Handler: http.HandlerFunc(hello), IdleTimeout: idle})
	c := s.dial(t)
	c.get("/")
	s.AwaitParked(t, 1)
	begun := time.Now()
	c.get("/")
	c.closed()
	require.GreaterOrEqual(t, time.Since(begun), idle)
	s.AwaitParked(t, 0)
}

func TestShutdownClosesParked(t *testing.T) {
	s := serve(t, &http.Server{Handler: http.HandlerFunc(hello)})
	c := s.dial(t)
	c.get("/")
	s.AwaitParked(t, 1)
	require.NoError(t, s.Shutdown(context.Background()))
	c.closed()
}
