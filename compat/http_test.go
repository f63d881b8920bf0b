package compat

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

// fasthttpClient serves by fasthttp, and returns its client and the address.
func fasthttpClient(tb testing.TB, f face) (*fasthttp.HostClient, string) {
	l := listen(tb, f)
	s := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		fmt.Fprintf(ctx, "%s %s %s", ctx.Method(), ctx.Path(), ctx.PostBody())
	}}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	tb.Cleanup(func() {
		require.NoError(tb, s.Shutdown())
		require.NoError(tb, <-served)
	})
	address := l.Addr().String()
	c := &fasthttp.HostClient{Addr: address, Dial: func(address string) (net.Conn, error) {
		return f.Dial(context.Background(), "tcp", address)
	}}
	tb.Cleanup(c.CloseIdleConnections)
	return c, address
}

func TestFastHTTP(t *testing.T) {
	onFaces(t, func(t *testing.T, f face) {
		c, address := fasthttpClient(t, f)
		for i := range 20 {
			body := strings.Repeat("x", i*10000/19)
			r, w := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			r.SetRequestURI("http://" + address + "/path")
			r.Header.SetMethod("POST")
			r.SetBodyString(body)
			require.NoError(t, c.DoTimeout(r, w, patience))
			require.Equal(t, fasthttp.StatusOK, w.StatusCode())
			require.Equal(t, "POST /path "+body, string(w.Body()))
			fasthttp.ReleaseRequest(r)
			fasthttp.ReleaseResponse(w)
		}
	})
}

// httpServer serves by net/http.
func httpServer(tb testing.TB, f face, h http.HandlerFunc) string {
	l := listen(tb, f)
	s := &http.Server{Handler: h}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	tb.Cleanup(func() {
		s.Close()
		require.ErrorIs(tb, <-served, http.ErrServerClosed)
	})
	return l.Addr().String()
}

// gorillaClient serves WebSockets by gorilla, and returns its client.
func gorillaClient(tb testing.TB, f face) *gorilla.Conn {
	address := httpServer(tb, f, func(w http.ResponseWriter, r *http.Request) {
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
	d := gorilla.Dialer{NetDialContext: f.Dial, HandshakeTimeout: patience}
	c, _, err := d.DialContext(bounded(tb), "ws://"+address+"/", nil)
	require.NoError(tb, err)
	tb.Cleanup(func() { c.Close() })
	return c
}

func TestGorillaWebSocket(t *testing.T) {
	onFaces(t, func(t *testing.T, f face) {
		c := gorillaClient(t, f)
		for _, size := range []int{0, 1, 125, 126, 65536, 1 << 20} {
			data := []byte(strings.Repeat("m", size))
			require.NoError(t, c.WriteMessage(gorilla.BinaryMessage, data))
			kind, got, err := c.ReadMessage()
			require.NoError(t, err)
			require.Equal(t, gorilla.BinaryMessage, kind)
			require.Equal(t, data, append([]byte{}, got...))
		}
		require.NoError(t, c.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(gorilla.CloseNormalClosure, "")))
		_, _, err := c.ReadMessage()
		require.True(t, gorilla.IsCloseError(err, gorilla.CloseNormalClosure), "%v", err)
	})
}

// coderClient serves WebSockets by coder, and returns its client.
func coderClient(tb testing.TB, f face) *coder.Conn {
	address := httpServer(tb, f, func(w http.ResponseWriter, r *http.Request) {
		c, err := coder.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, data, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, data) != nil {
				return
			}
		}
	})
	client := &http.Client{Transport: &http.Transport{DialContext: f.Dial}}
	tb.Cleanup(client.CloseIdleConnections)
	c, _, err := coder.Dial(bounded(tb), "ws://"+address+"/", &coder.DialOptions{HTTPClient: client})
	require.NoError(tb, err)
	tb.Cleanup(func() { c.CloseNow() })
	return c
}

func TestCoderWebSocket(t *testing.T) {
	onFaces(t, func(t *testing.T, f face) {
		c, ctx := coderClient(t, f), bounded(t)
		for _, size := range []int{0, 1, 30000} {
			data := []byte(strings.Repeat("m", size))
			require.NoError(t, c.Write(ctx, coder.MessageText, data))
			kind, got, err := c.Read(ctx)
			require.NoError(t, err)
			require.Equal(t, coder.MessageText, kind)
			require.Equal(t, data, append([]byte{}, got...))
		}
		require.NoError(t, c.Close(coder.StatusNormalClosure, ""))
	})
}
