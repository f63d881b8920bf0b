package server_test

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const (
	mostMemory = 32 << 20
	// What a server and its test use beside MaxMemory: the loops' buffers, the pools, and
	// twice the batch in which each loop counts.
	besides = 6 << 20
)

// heap returns how many bytes of the heap are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the first one keeps what the pools have
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// crowd runs a client in n goroutines and waits until all have returned.
func crowd(n int, f func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(f)
	}
	all.Wait()
}

// Each of 40 clients sends 15 MB of a request that never ends, 600 MB together.
func TestMaxMemoryBoundsUnfinishedInput(t *testing.T) {
	closed, onClosed := ended()
	before := heap()
	srv := &server.Server{MaxMemory: mostMemory, MaxInput: 16 << 20, Events: server.Events{
		Data:   func(*server.Conn) error { return nil },
		Closed: onClosed,
	}}
	addr := serve(t, srv)
	piece := make([]byte, 64<<10)
	var sent atomic.Int64
	clients := make(chan net.Conn, 40)
	crowd(40, func() {
		c := client(t, addr)
		clients <- c
		for n := 0; n < 15<<20; n += len(piece) {
			if _, err := c.Write(piece); err != nil {
				return
			}
			sent.Add(int64(len(piece)))
		}
	})
	require.LessOrEqual(t, srv.Stats().Memory, int64(mostMemory))
	require.Eventually(t, func() bool { return heap()-before <= mostMemory+besides }, weirtest.Patience, time.Millisecond)
	require.Greater(t, sent.Load(), int64(2*mostMemory))
	require.Positive(t, srv.Stats().Ended)
	require.ErrorIs(t, weirtest.Take(t, closed), server.ErrMemoryFull)
	for len(clients) > 0 {
		(<-clients).Close()
	}
	require.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, weirtest.Patience, time.Millisecond)
	require.Zero(t, srv.Stats().Memory)
}

// Each of 60 clients asks for 12 MB and never reads.
func TestMaxMemoryBoundsQueuedOutput(t *testing.T) {
	before := heap()
	reply := make([]byte, 1<<20)
	var full atomic.Int64
	srv := &server.Server{MaxMemory: mostMemory, HighWater: 16 << 20, Events: server.Events{Data: func(c *server.Conn) error {
		c.Discard(1)
		for range 12 {
			if _, err := c.Write(reply); errors.Is(err, server.ErrMemoryFull) {
				full.Add(1)
				return err
			} else if err != nil {
				return err
			}
		}
		return nil
	}}}
	addr := serve(t, srv)
	crowd(60, func() { send(t, client(t, addr), "x") })
	require.Eventually(t, func() bool { return int64(srv.Stats().Ended)+full.Load() >= 40 }, weirtest.Patience, time.Millisecond)
	// A connection that is to end, of another loop, counts until that loop has ended it.
	require.Eventually(t, func() bool { return srv.Stats().Memory <= int64(mostMemory) }, weirtest.Patience, time.Millisecond)
	require.Eventually(t, func() bool { return heap()-before <= mostMemory+besides }, weirtest.Patience, time.Millisecond)
}

// The memory counts pieces of WriteAsync, too.
func TestMaxMemoryCountsPieces(t *testing.T) {
	conns, onOpen := opened()
	srv := &server.Server{Loops: 1, Events: server.Events{Open: onOpen, Data: echo}, SendBuffer: 16 << 10}
	peer := client(t, serve(t, srv))
	c := weirtest.Take(t, conns)
	fill := make([]byte, 1<<20)
	_, err := c.Write(fill)
	require.NoError(t, err)
	turned(t, c)
	before := srv.Stats().Memory
	const n, each = 1000, 100
	for range n {
		require.NoError(t, c.WriteAsync(fill[:each], func(error) {}))
	}
	require.Equal(t, int64(n*(each+64)), srv.Stats().Memory-before)
	_, err = io.CopyN(io.Discard, peer, int64(len(fill)+n*each))
	require.NoError(t, err)
	require.NoError(t, peer.Close())
	require.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, weirtest.Patience, time.Millisecond)
	require.Zero(t, srv.Stats().Memory)
}

// The largest connection ends. One that holds little goes on.
func TestMaxMemoryEndsTheLargest(t *testing.T) {
	closed, onClosed := ended()
	srv := &server.Server{MaxMemory: mostMemory, MaxInput: 1 << 30, Events: server.Events{
		Data: func(c *server.Conn) error {
			if in := c.Peek(-1); in[len(in)-1] == '\n' {
				return echo(c)
			}
			return nil
		},
		Closed: onClosed,
	}}
	addr := serve(t, srv)
	small, large := client(t, addr), client(t, addr)
	send(t, small, "un")
	_, err := large.Write(make([]byte, 4*mostMemory))
	require.Error(t, err)
	require.ErrorIs(t, weirtest.Take(t, closed), server.ErrMemoryFull)
	send(t, small, "finished\n")
	expect(t, small, "unfinished\n")
	require.Equal(t, uint64(1), srv.Stats().Ended)
}

// A buffer that has to grow finds no room before the policy acts. With one of the two
// bounds that happens, however the buffer grows.
func TestMaxMemoryEndsTheLargestThatCannotGrow(t *testing.T) {
	for _, most := range []int64{4 << 20, 5 << 20} {
		srv := &server.Server{MaxMemory: most, MaxInput: 1 << 30, Events: server.Events{Data: func(*server.Conn) error { return nil }}}
		_, err := client(t, serve(t, srv)).Write(make([]byte, 32<<20))
		require.ErrorIs(t, err, unix.ECONNRESET)
		require.Equal(t, uint64(1), srv.Stats().Ended)
	}
}

// Output alone reaches the bound: nothing is read, and no other write comes.
func TestMaxMemoryEndsTheLargestWithoutFurtherWrites(t *testing.T) {
	conns, onOpen := opened()
	srv := &server.Server{MaxMemory: 8 << 20, Loops: 1, SendBuffer: 16 << 10, Events: server.Events{Open: onOpen, Data: echo}}
	client(t, serve(t, srv))
	_, err := weirtest.Take(t, conns).Write(make([]byte, 15<<19))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return srv.Stats().Ended == 1 }, weirtest.Patience, time.Millisecond)
}

// With PauseReading all connections wait, and none ends, until memory is free.
func TestMaxMemoryPausesReading(t *testing.T) {
	conns, onOpen := opened()
	srv := &server.Server{MaxMemory: 1 << 20, MemoryPolicy: server.PauseReading, Loops: 1, SendBuffer: 16 << 10,
		Events: server.Events{Open: onOpen, Data: echo}}
	addr := serve(t, srv)
	large := client(t, addr)
	require.NoError(t, large.(*net.TCPConn).SetReadBuffer(16<<10)) // it does not grow
	first := weirtest.Take(t, conns)
	written := 0
	require.Eventually(t, func() bool { // until the kernel takes no more of it
		n := stuffed(t, first, 15<<16)
		written += n
		return n == 0
	}, weirtest.Patience, 20*time.Millisecond)
	small := client(t, addr)
	other := weirtest.Take(t, conns)
	send(t, small, "x")
	turned(t, other)
	require.NoError(t, small.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	_, err := small.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, small.SetReadDeadline(time.Now().Add(weirtest.Patience)))
	_, err = io.CopyN(io.Discard, large, int64(written))
	require.NoError(t, err)
	expect(t, small, "x")
	require.Zero(t, srv.Stats().Ended)
}

// A write that needs more than is left is refused, and so is one behind other output.
func TestMaxMemoryRefusesWrites(t *testing.T) {
	conns, onOpen := opened()
	srv := &server.Server{MaxMemory: 8 << 20, MemoryPolicy: server.PauseReading, Loops: 1, SendBuffer: 16 << 10, Events: server.Events{Open: onOpen, Data: echo}}
	addr := serve(t, srv)
	_, fast := client(t, addr), client(t, addr)
	slow, other := weirtest.Take(t, conns), weirtest.Take(t, conns)
	if slow.RemoteAddr().String() == fast.LocalAddr().String() {
		slow, other = other, slow
	}
	n, err := slow.Write(make([]byte, 9<<20))
	require.Zero(t, n)
	require.ErrorIs(t, err, server.ErrMemoryFull)
	require.ErrorIs(t, err, unix.ENOMEM)
	for err = nil; err == nil; {
		_, err = slow.Write(make([]byte, 100<<10))
	}
	require.ErrorIs(t, err, server.ErrMemoryFull)
	_, err = other.Write(make([]byte, 100<<10))
	require.ErrorIs(t, err, server.ErrMemoryFull)
	require.ErrorIs(t, other.WriteAsync(make([]byte, 100<<10), func(error) {}), server.ErrMemoryFull)
	_, err = other.Write([]byte("little")) // the kernel takes it
	require.NoError(t, err)
	expect(t, fast, "little")
	require.LessOrEqual(t, srv.Stats().Memory, int64(8<<20))
}

func TestMaxMemoryHasADefault(t *testing.T) {
	srv := &server.Server{Events: server.Events{Data: echo}}
	serve(t, srv)
	require.GreaterOrEqual(t, srv.MaxMemory, int64(1<<20))
	var info unix.Sysinfo_t
	require.NoError(t, unix.Sysinfo(&info))
	require.LessOrEqual(t, srv.MaxMemory, int64(info.Totalram)*int64(info.Unit)/4)
}
