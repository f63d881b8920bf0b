package lisp_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHead(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead || r.URL.Path != "/page" || r.Host != "localhost" {
			http.Error(w, "what?", http.StatusBadRequest)
			return
		}
		w.Header().Set("X-Weir", "flows")
	}))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)

	out, err := script(t, "head.lisp", "localhost", port, "/page").Output()
	require.NoError(t, err)
	require.Regexp(t, `^HTTP/1.1 200 OK\n(.+\n)*X-Weir: flows\n(.+\n)*$`, string(out))
	out, err = script(t, "head.lisp", "127.0.0.1", port).Output()
	require.NoError(t, err)
	require.Regexp(t, `^HTTP/1.1 400 Bad Request\n`, string(out))
}

func TestHeadFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			c.Write([]byte("HTTP/1.1 200 OK\r\nX: in the mid"))
			c.(*net.TCPConn).CloseWrite()
			t.Cleanup(func() { c.Close() })
		}
	}()
	cmd := script(t, "head.lisp", "127.0.0.1", port)
	out, err := cmd.Output()
	require.Error(t, err)
	require.Equal(t, "HTTP/1.1 200 OK\nX: in the mid\nhead: read: the connection has ended\n", string(out))
	require.Equal(t, 1, cmd.ProcessState.ExitCode())

	require.NoError(t, l.Close())
	out, err = script(t, "head.lisp", "127.0.0.1", port).Output()
	require.Error(t, err)
	require.Equal(t, "head: 127.0.0.1: Connection refused\n", string(out))

	cmd = script(t, "head.lisp")
	out, err = cmd.Output()
	require.Error(t, err)
	require.Equal(t, "usage: weir-lisp head.lisp HOST [PORT [PATH]]\n", string(out))
	require.Equal(t, 2, cmd.ProcessState.ExitCode())
}
