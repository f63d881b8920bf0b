package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// When Shutdown begins, a connection may pass the input that it has received to any other
// connection, because Shutdown closes no connection before.
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
	// The second loop is blocked, and its connection has unread input.
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
	require.NoError(t, client(0).SetReadDeadline(time.Now().Add(time.Minute)))
	n, err := client(0).Read(buf)
	require.NoError(t, err)
	require.Equal(t, "passed on", string(buf[:n]))
	require.NoError(t, <-over)
	require.Empty(t, srv.Addrs())
}

// When a server ends, the callbacks get all input that the kernel has, even if the loop
// has had no event for it, and even if it is more than the server reads in one turn.
func TestCatchUpAsksTheKernel(t *testing.T) {
	var got []byte
	srv := &Server{Loops: 1, Chunk: 10, Events: Events{Data: func(c *Conn) error {
		got = append(got, c.Next(-1)...)
		return nil
	}}}
	c, peer := attached(t, srv)
	want := bytes.Repeat([]byte("0123456789"), 20)
	c.eng.do(func() {
		if _, err := peer.Write(want); err != nil {
			panic(err)
		}
		c.eng.catchUp()
		want = append(want, got...)
	})
	require.Equal(t, want[:200], want[200:])
}

// An attached connection reaches its loop when the loop has closed all others for
// Shutdown. The server serves it once and closes it.
func TestWhoComesDuringShutdownIsClosed(t *testing.T) {
	srv := &Server{Loops: 1, Events: Events{Data: func(c *Conn) error {
		_, err := c.Write(c.Next(-1))
		return err
	}}}
	c, peer := attached(t, srv)
	c.eng.do(c.eng.stopReading)
	c.eng.do(c.eng.retire)
	_, err := peer.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	a, late, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	defer late.Close()
	_, err = late.WriteString("hello")
	require.NoError(t, err)
	require.NoError(t, srv.Attach(a, nil))
	require.NoError(t, late.SetRecvTimeout(time.Minute))
	got, err := io.ReadAll(late)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
}

// An attached connection reaches its loop after Close has closed all others. The server
// closes it, too.
func TestWhoComesAfterCloseIsClosed(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	srv := &Server{Group: g, Events: Events{Data: func(*Conn) error { return nil }}}
	c, _ := attached(t, srv)
	require.True(t, srv.enter())
	a, late, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	defer late.Close()
	fd, _, err := a.Release()
	require.NoError(t, err)
	require.NoError(t, srv.Close())
	c.eng.do(func() { c.eng.open(arrival{fd: fd}) })
	require.NoError(t, late.SetRecvTimeout(time.Minute))
	_, err = late.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.EqualValues(t, 0, srv.conns.Load())
}

// While a listener that ends serves its backlog, no new client gets into the backlog.
func TestListenerThatEndsShutsOutNewClients(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = t.TempDir() + "/s"
			} else {
				machine.NeedFilters(t) // see shut
			}
			late := make(chan error, 1)
			var addr socket.Addr
			srv := &Server{Loops: 1, KeepPath: true, Events: Events{
				Open: func(*Conn) error {
					another, err := net.DialTimeout(network, addr.String(), 100*time.Millisecond)
					if err == nil {
						another.Close()
					}
					select {
					case late <- err:
					default: // the server has accepted it, too
					}
					return nil
				},
				Data: func(c *Conn) error { _, err := c.Write(c.Next(-1)); return err },
			}}
			defer srv.Close()
			bound, err := srv.Listen(network, address)
			require.NoError(t, err)
			addr = bound
			var c net.Conn
			srv.engines[0].do(func() { // the loop handles the client's event after this function
				if c, err = net.Dial(network, addr.String()); err == nil {
					srv.listeners[0].close(true)
				}
			})
			require.NoError(t, err)
			defer c.Close()
			if err := <-late; network == "unix" {
				require.ErrorIs(t, err, unix.ECONNREFUSED)
			} else {
				var failed net.Error // the time ends before connect(2) or during its wait: two errors
				require.ErrorAs(t, err, &failed)
				require.True(t, failed.Timeout(), "the kernel drops the request: %v", err)
			}
			_, err = c.Write([]byte("x"))
			require.NoError(t, err)
			_, err = io.ReadFull(c, make([]byte, 1))
			require.NoError(t, err, "who was in the backlog is served")
		})
	}
}

// Shutdown does not shut a listener that a successor may have, even if the successor has
// failed, because both have the same socket of the kernel.
func TestShutdownLeavesASharedListenerOpen(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = t.TempDir() + "/s"
			}
			srv := &Server{Loops: 1, KeepPath: true, Events: Events{Data: func(*Conn) error { return nil }}}
			addr, err := srv.Listen(network, address)
			require.NoError(t, err)
			files, _, err := srv.files()
			require.NoError(t, err)
			require.Len(t, files, 1)
			defer files[0].Close()
			require.NoError(t, srv.Shutdown(t.Context()))
			c, err := net.DialTimeout(network, addr.String(), time.Minute)
			require.NoError(t, err, "the other process can accept it")
			require.NoError(t, c.Close())
		})
	}
}
