package lisp_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The target receives the end of the client's stream, and answers after it.
func TestProxy(t *testing.T) {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer target.Close()
	go func() {
		for c, err := target.Accept(); err == nil; c, err = target.Accept() {
			go func() {
				defer c.Close()
				all, _ := io.ReadAll(c)
				io.WriteString(c, strings.ToUpper(string(all)))
			}()
		}
	}()
	host, port, err := net.SplitHostPort(target.Addr().String())
	require.NoError(t, err)
	addr := serve(t, "proxy.lisp", host, port, "127.0.0.1", "0")
	long := strings.Repeat("0123456789abcdef", 1<<16)
	for range 3 {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		_, err = io.WriteString(c, long)
		require.NoError(t, err)
		require.NoError(t, c.(*net.TCPConn).CloseWrite())
		all, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, strings.ToUpper(long), string(all))
		c.Close()
	}
}
