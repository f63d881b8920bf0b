package server_test

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The tests of this file hold a loop up until a flood and the byte of an onlooker wait in
// the kernel. Then the order in which the loop serves them does not depend on time.

// A holdup holds a loop up. release lets it go on, first with after.
type holdup struct{ held, goOn chan struct{} }

func holdUp(t *testing.T, c *server.Conn, after func()) *holdup {
	t.Helper()
	h := &holdup{make(chan struct{}), make(chan struct{})}
	require.NoError(t, c.Loop().Post(func() { close(h.held); <-h.goOn; after() }))
	weirtest.Take(t, h.held)
	return h
}

func (h *holdup) release() { close(h.goOn) }

// An onlooker is a connection that sends one byte. Its Data tells how far a flood was then.
type onlooker struct {
	peer net.Conn
	conn *server.Conn
}

func newOnlooker(t *testing.T, srv *server.Server, conns chan *server.Conn) onlooker {
	t.Helper()
	peer := client(t, serve(t, srv))
	c := weirtest.Take(t, conns)
	onLoop(t, c, func() { c.User = "onlooker" })
	return onlooker{peer, c}
}

// A connection that sends without end does not keep the loop from others: before the byte
// of the onlooker is served, the loop reads at most one portion from it in each turn.
func TestFairToOthersWhileOneSends(t *testing.T) {
	const chunk = 64 << 10
	var flood atomic.Int64
	seen := make(chan int64, 1)
	conns, open := opened()
	srv := &server.Server{Loops: 1, Chunk: chunk, RecvBuffer: 4 << 20, Events: server.Events{Open: open, Data: func(c *server.Conn) error {
		n := len(c.Next(-1))
		if c.User != nil {
			seen <- flood.Load()
			return nil
		}
		flood.Add(int64(n))
		return nil
	}}}
	by := newOnlooker(t, srv, conns)
	sender := client(t, srv.Addrs()[0])
	weirtest.Take(t, conns)
	h := holdUp(t, by.conn, func() {})
	require.NoError(t, sender.(*net.TCPConn).SetWriteBuffer(4<<20))
	raw, err := sender.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	var sent int
	require.NoError(t, raw.Control(func(fd uintptr) {
		for p := make([]byte, 64<<10); ; {
			n, err := unix.SendmsgN(int(fd), p, nil, nil, unix.MSG_DONTWAIT)
			if err != nil {
				return
			}
			sent += n
		}
	}))
	require.Greater(t, sent, 8*chunk, "a flood waits in the kernel")
	send(t, by.peer, "x")
	h.release()
	require.LessOrEqual(t, weirtest.Take(t, seen), int64(4*chunk), "of %d bytes", sent)
}

// A connection whose peer takes all that it is sent does not keep the loop from others,
// whether one callback has written it, or each progress causes more.
func TestFairToOthersWhileOneDrains(t *testing.T) {
	const chunk, all = 64 << 10, 64 << 20
	seen := make(chan int, 1)
	conns, open := opened()
	var writer *server.Conn
	written := -1 << 40 // the byte of the onlooker must not come first
	srv := &server.Server{Loops: 1, Chunk: chunk, MaxOutput: all, Events: server.Events{Open: open, Data: func(c *server.Conn) error {
		c.Next(-1)
		seen <- written - writer.Queued()
		return nil
	}}}
	by := newOnlooker(t, srv, conns)
	reader := client(t, srv.Addrs()[0])
	writer = weirtest.Take(t, conns)
	h := holdUp(t, by.conn, func() {
		for range 4 {
			if writer.WriteAsync(make([]byte, all/4), func(error) {}) != nil {
				writer.Abort()
			}
		}
		written = all
	})
	send(t, by.peer, "x")
	go func() {
		for p := make([]byte, 1<<20); ; {
			if _, err := reader.Read(p); err != nil {
				return
			}
		}
	}()
	h.release()
	// Each of the four writes may send a portion at once, and another one when it is queued.
	sent := weirtest.Take(t, seen)
	require.Positive(t, sent)
	require.LessOrEqual(t, sent, 16*chunk)
}

// Very many clients that connect at once do not keep the loop from others: it accepts a
// bounded number in each turn.
func TestFairToOthersWhileManyConnect(t *testing.T) {
	const clients = 1000
	machine.NeedFiles(t, 2*clients+100)
	seen := make(chan uint64, 1)
	conns, open := opened()
	srv := &server.Server{Loops: 1}
	srv.Events.Open = func(c *server.Conn) error {
		if srv.Stats().Accepted == 1 {
			return open(c)
		}
		return nil
	}
	srv.Events.Data = func(c *server.Conn) error {
		c.Next(-1)
		seen <- srv.Stats().Accepted
		return nil
	}
	by := newOnlooker(t, srv, conns)
	h := holdUp(t, by.conn, func() {})
	addr := srv.Addrs()[0]
	to := &unix.SockaddrInet4{Port: addr.Port(), Addr: [4]byte{127, 0, 0, 1}}
	for range clients {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		require.NoError(t, err)
		defer unix.Close(fd)
		if err := unix.Connect(fd, to); err != nil {
			require.ErrorIs(t, err, unix.EINPROGRESS) // the backlog is full
		}
	}
	send(t, by.peer, "x")
	h.release()
	require.LessOrEqual(t, weirtest.Take(t, seen), uint64(1+8), "it accepts few in the turn in which they come")
}
