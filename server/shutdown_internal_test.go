package server

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a connection has received when Shutdown begins, it may still pass on to
// any other: none is closed before.
func TestShutdownPresentsBeforeItCloses(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	var conns sync.Map // by engine
	var opened sync.WaitGroup
	opened.Add(2)
	srv := &Server{Loops: 2}
	srv.Events = Events{
		Open: func(c *Conn) error {
			conns.Store(c.eng, c)
			opened.Done()
			return nil
		},
		Data: func(c *Conn) error {
			if string(c.Next(-1)) == "hold" {
				close(held)
				<-release
				return nil
			}
			other, _ := conns.Load(srv.engines[0])
			_, err := other.(*Conn).Write([]byte("passed on"))
			return err
		},
	}
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.Equal(t, addr, srv.Addrs()[0])
	clients := make(map[string]net.Conn)
	for range 2 {
		c, err := net.Dial("tcp", addr.String())
		require.NoError(t, err)
		defer c.Close()
		clients[c.LocalAddr().String()] = c
	}
	opened.Wait()
	client := func(i int) net.Conn {
		c, _ := conns.Load(srv.engines[i])
		return clients[c.(*Conn).RemoteAddr().String()]
	}
	// The second loop is held up, and its connection has something unread.
	_, err = client(1).Write([]byte("hold"))
	require.NoError(t, err)
	<-held
	_, err = client(1).Write([]byte("this"))
	require.NoError(t, err)
	over := make(chan error)
	go func() { over <- srv.Shutdown(context.Background()) }()

	buf := make([]byte, 16)
	require.NoError(t, client(0).SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, err = client(0).Read(buf)
	require.ErrorContains(t, err, "timeout", "it is closed before the other was presented its input")
	close(release)
	require.NoError(t, client(0).SetReadDeadline(time.Now().Add(20*time.Second)))
	n, err := client(0).Read(buf)
	require.NoError(t, err)
	require.Equal(t, "passed on", string(buf[:n]))
	require.NoError(t, <-over)
	require.Empty(t, srv.Addrs())
}
