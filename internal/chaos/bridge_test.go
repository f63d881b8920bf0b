package chaos

import (
	"errors"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// bridge returns a bridge, or skips the test where there can be none.
func bridge(t *testing.T, seed uint64, f Faults) *Bridge {
	b, err := NewBridge(seed, f)
	if err != nil {
		machine.Missing(t, "there is no bridge between network namespaces: %v", err)
	}
	t.Cleanup(b.Close)
	return b
}

// A wire is a Socket in the namespace B.
type wire struct{ *socket.Socket }

func (w wire) CloseWrite() error { return w.Shutdown(unix.SHUT_WR) }

// connect connects from B to a service in A.
func connect(b *Bridge, s *service) (w wire, err error) {
	b.B.Do(func() { w.Socket, err = socket.New(socket.Inet, socket.Stream, 0) })
	if err != nil {
		return w, err
	}
	err = errors.Join(w.SetRecvTimeout(patience()), w.SetSendTimeout(patience()),
		w.ConnectAddr(socket.AddrFrom(netip.MustParseAddrPort(s.addr))))
	if err != nil {
		w.Close()
	}
	return w, err
}

func inA(b *Bridge) place { return place{b.AddrA.String() + ":0", b.A.Do} }

// Every byte arrives once, in order, and right, over a line that does all that is bad.
func TestTransfersOverABadLine(t *testing.T) {
	b := bridge(t, *seed, Faults{
		Lose: 0.01, Duplicate: 0.01, Corrupt: 0.01, Reorder: 0.02, Delay: time.Millisecond, Jitter: time.Millisecond,
		CutEvery: 900 * time.Millisecond, CutFor: 150 * time.Millisecond,
	})
	// With the default of 5 s the servers would reset connections whose last segments TCP
	// sends again for longer, as it does on a busy machine.
	services := startAll(t, inA(b), server.Timeouts{Linger: patience()})
	lookout := watch(t, b, services)
	rounds(func(seed uint64) {
		var all sync.WaitGroup
		for i, s := range services {
			for j := range 3 {
				all.Go(func() {
					c, err := connect(b, s)
					if err == nil {
						err = lookout.run(s.name, newTransfer(seed*100+uint64(i*10+j), 150<<10), c)
						c.Close()
					}
					if err != nil {
						t.Errorf("%s: %v", s.name, err)
					}
				})
			}
		}
		all.Wait()
		settled(t, services)
	})
	counts := b.Counts()
	t.Log(counts)
	require.Positive(t, counts.Lost)
	require.Positive(t, counts.Duplicated)
	require.Positive(t, counts.Corrupted)
	require.Positive(t, counts.Reordered)
}

// The line is cut for good while transfers run. The servers' timeouts end their
// connections, and those of the clients end the clients' calls.
func TestLineIsCutForGood(t *testing.T) {
	const limit = 300 * time.Millisecond
	b := bridge(t, *seed, Faults{})
	services := []*service{
		startEvents(t, inA(b), server.Timeouts{Idle: limit, Write: limit}),
		startHandler(t, inA(b), server.Timeouts{Idle: limit, Write: limit}),
	}
	for _, s := range services {
		c, err := connect(b, s)
		require.NoError(t, err)
		defer c.Close()
		_, err = c.Write(AppendHeader(nil, 1))
		require.NoError(t, err)
		_, err = io.ReadFull(c, make([]byte, HeaderSize))
		require.NoError(t, err)
		require.NoError(t, c.SetRecvTimeout(limit))
		defer func() {
			_, err := c.Recv(make([]byte, 1), 0)
			require.ErrorIs(t, err, unix.EAGAIN)
		}()
	}
	b.Sever()
	settled(t, services)
}
