package socket

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// A goroutine that serves a connection keeps the stack that it was born with:
// neither its waits nor what they need for the first time make it grow.
func TestServingGoroutineKeepsASmallStack(t *testing.T) {
	if racing {
		t.Skip("instrumented code has bigger frames")
	}
	const conns = 200
	l, err := New(Inet, Stream, 0, Address("127.0.0.1"))
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, l.Listen(conns))
	var clients []*Socket
	for range conns {
		c, err := New(Inet, Stream, 0)
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.ConnectAddr(l.LocalAddr()))
		clients = append(clients, c)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	size := len(clients) // not a constant, or the buffer would be on the stack
	done := make(chan struct{})
	for range conns {
		s, err := l.Accept()
		require.NoError(t, err)
		defer s.Close()
		go func() {
			defer func() { done <- struct{}{} }()
			buf := make([]byte, size)
			for {
				n, err := s.Recv(buf, 0)
				if err != nil {
					return
				}
				if _, err = s.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
	buf := make([]byte, 1)
	for range 2 {
		for _, c := range clients {
			_, err := c.Write(buf)
			require.NoError(t, err)
			_, err = c.Recv(buf, 0)
			require.NoError(t, err)
		}
	}
	runtime.ReadMemStats(&after)
	each := int(after.StackInuse-before.StackInuse) / conns
	t.Logf("%d bytes of stack each", each)
	require.Less(t, each, 3000, "it has grown from 2048")
	for _, c := range clients {
		c.Close()
		<-done
	}
}
