package compat

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/net/httpd"
	"github.com/stretchr/testify/require"
)

// serveHTTPD serves by package httpd.
func serveHTTPD(t *testing.T, h http.HandlerFunc) (address string) {
	t.Helper()
	l, err := weirnet.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := &http.Server{Handler: h}
	served := make(chan error, 1)
	go func() { served <- httpd.Serve(srv, l) }()
	t.Cleanup(func() {
		srv.Close()
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	return l.Addr().String()
}

// parkedConn returns a connection that has been used for a request and is parked.
func parkedConn(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = io.WriteString(c, "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, r.StatusCode)
	require.Eventually(t, func() bool {
		stacks := make([]byte, 1<<20)
		return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "net/http.(*conn).serve")
	}, patience, time.Millisecond, "no goroutine of net/http is left")
	return c
}

var messages = []int{0, 1, 125, 126, 4096, 65536, 1 << 20}

// The upgrade of a connection that was parked works, and afterwards it is an ordinary one.
func TestGorillaWebSocketOnAParkedConnection(t *testing.T) {
	address := serveHTTPD(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/plain" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		c, err := new(gorilla.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			kind, data, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, data) != nil {
				return
			}
		}
	})
	conn := parkedConn(t, address)
	d := gorilla.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }, HandshakeTimeout: patience}
	c, _, err := d.DialContext(bounded(t), "ws://"+address+"/", nil)
	require.NoError(t, err)
	for _, size := range messages {
		time.Sleep(20 * time.Millisecond) // longer than an idle connection keeps its goroutine
		data := []byte(strings.Repeat("m", size))
		require.NoError(t, c.WriteMessage(gorilla.BinaryMessage, data))
		_, got, err := c.ReadMessage()
		require.NoError(t, err)
		require.Equal(t, data, append([]byte{}, got...))
	}
}

func TestCoderWebSocketOnAParkedConnection(t *testing.T) {
	address := serveHTTPD(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/plain" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		c, err := coder.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		for {
			kind, data, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, data) != nil {
				return
			}
		}
	})
	conn := parkedConn(t, address)
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}}
	c, _, err := coder.Dial(bounded(t), "ws://"+address+"/", &coder.DialOptions{HTTPClient: client})
	require.NoError(t, err)
	defer c.CloseNow()
	c.SetReadLimit(-1)
	for _, size := range messages {
		time.Sleep(20 * time.Millisecond) // as above
		data := []byte(strings.Repeat("m", size))
		require.NoError(t, c.Write(bounded(t), coder.MessageBinary, data))
		_, got, err := c.Read(bounded(t))
		require.NoError(t, err)
		require.Equal(t, data, append([]byte{}, got...))
	}
}
