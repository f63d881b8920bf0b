package server

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A listener or a datagram socket that comes while the server ends is not served. The server
// closes the listener, and the caller the socket for datagrams.
func TestListenersThatComeTooLate(t *testing.T) {
	srv := &Server{Loops: 1, Events: Events{Data: func(*Conn) error { return nil }, Packet: func(*PacketConn, []byte, socket.Addr) {}}}
	require.NoError(t, srv.start())
	ls, err := srv.openListener("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	gram, err := srv.openListener("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer gram.Close()
	address := ls.LocalAddr().String()
	require.True(t, srv.endListeners(t.Context(), false))
	require.Equal(t, ErrClosed, srv.add(srv.engines[0], srv.engines, ls, origin{}))
	require.Equal(t, ErrClosed, srv.add(srv.engines[0], srv.engines, gram, origin{}))
	require.Empty(t, srv.listeners)
	require.Empty(t, srv.packets)
	_, err = net.Dial("tcp", address)
	require.ErrorIs(t, err, unix.ECONNREFUSED)
	require.GreaterOrEqual(t, gram.Fd(), 0)
	require.False(t, srv.endListeners(t.Context(), false), "once")
	_, err = srv.enginesFor(&Service{Events: srv.Events})
	require.Equal(t, ErrClosed, err)
	require.False(t, srv.enter())
	require.NoError(t, srv.end())
}

// Only a unix socket at which no process listens is stale.
func TestStalePaths(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(at("file"), nil, 0o600))
	require.NoError(t, os.Mkdir(at("dir"), 0o700))
	listen := func(name string) *net.UnixListener {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: at(name), Net: "unix"})
		require.NoError(t, err)
		l.SetUnlinkOnClose(false)
		return l
	}
	defer listen("alive").Close()
	require.NoError(t, listen("dead").Close())
	gram, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at("gram"), Net: "unixgram"})
	require.NoError(t, err)
	defer gram.Close()
	for name, want := range map[string]bool{"nothing": false, "file": false, "dir": false, "alive": false, "dead": true, "gram": false} {
		require.Equal(t, want, isStale(at(name)), name)
	}
	inUse := &socket.Error{Op: "bind", Errno: unix.EADDRINUSE}
	for _, test := range []struct {
		address string
		err     error
		calls   int
		kept    bool
	}{
		{"", inUse, 1, true}, {"@name", inUse, 1, true}, {at("alive"), inUse, 1, true}, {at("file"), inUse, 1, true}, {at("dead"), unix.EACCES, 1, true}, {at("dead"), nil, 1, true}, {at("dead"), inUse, 2, false},
		{"/no/such/directory/x", nil, 0, true},
	} {
		calls := 0
		_, err := listenReplacing(test.address, func() (*socket.Socket, error) { calls++; return nil, test.err })
		require.Equal(t, test.calls, calls, "%+v", test)
		if test.calls == 0 {
			require.ErrorIs(t, err, os.ErrNotExist)
		} else {
			require.Equal(t, test.err, err)
		}
		if _, err := os.Lstat(test.address); filepath.Dir(test.address) == dir {
			require.Equal(t, test.kept, err == nil, "%+v", test)
		}
	}
	// A lock that is held keeps others out until it is released.
	unlock, err := lockDirectory(dir)
	require.NoError(t, err)
	got := make(chan func())
	go func() {
		second, err := lockDirectory(dir)
		if err != nil {
			second = nil
		}
		got <- second
	}()
	select {
	case <-got:
		require.Fail(t, "two have the lock")
	default:
	}
	unlock()
	second := <-got
	require.NotNil(t, second)
	second()
}

// complete calls the completions of what has left first, and then, with an error, those of
// what will never leave; so many at most.
func TestComplete(t *testing.T) {
	onConn(t, &Server{Loops: 1}, func(c *Conn, _ *socket.Socket) {
		lost := errors.New("lost")
		for _, test := range []struct {
			finished, pieces, most int
			lost                   error
			calls, lostCalls       int
			more                   bool
		}{
			{0, 0, 9, nil, 0, 0, false}, {2, 0, 9, nil, 2, 0, false}, {2, 0, 1, nil, 1, 0, true}, {2, 0, 2, nil, 2, 0, false}, {2, 0, 0, nil, 0, 0, true},
			{1, 2, 9, nil, 1, 0, false}, {1, 2, 9, lost, 1, 2, false}, {1, 2, 2, lost, 1, 1, true}, {1, 2, 3, lost, 1, 2, false}, {0, 2, 1, lost, 0, 1, true},
		} {
			o := &output{conn: c}
			calls, lostCalls := 0, 0
			done := func(err error) {
				require.True(t, c.mu.TryLock(), "a completion may write")
				c.mu.Unlock()
				switch err {
				case nil:
					calls++
				case lost:
					require.Equal(t, test.finished, calls, "in order")
					lostCalls++
				}
			}
			for range test.finished {
				o.finished.push(done)
			}
			for range test.pieces {
				o.appendPiece([]byte("x"), done)
			}
			o.append([]byte("rest"))
			c.mu.Lock()
			more := c.complete(o, test.most, test.lost)
			c.mu.Unlock()
			require.Equal(t, test.more, more, "%+v", test)
			require.Equal(t, [2]int{test.calls, test.lostCalls}, [2]int{calls, lostCalls}, "%+v", test)
			if test.lost != nil && !more {
				require.Equal(t, output{conn: c, pieces: o.pieces, finished: o.finished}, *o, "nothing is left")
			} else {
				require.Positive(t, o.size)
			}
		}
		c.signals.Store(0)
	})
}

// The completions of a detached connection are called over several turns, each once.
func TestCompletionsOfADetachedConnection(t *testing.T) {
	const n = 2*completionsPerTurn + 5
	c, _ := attached(t, &Server{Loops: 1})
	calls := 0
	all := make(chan struct{})
	c.eng.do(func() {
		o := &output{conn: c}
		for range n {
			o.finished.push(func(error) {
				if calls++; calls == n {
					close(all)
				}
			})
		}
		c.completeLater(o)
		require.Zero(t, calls, "not inside the callback that detaches")
		c.completeLater(new(output)) // without completions it does nothing
	})
	<-all
	c.eng.do(func() { require.Equal(t, n, calls) })
}

// A closed descriptor has neither an address nor a state.
func TestInspectOfWhatIsClosed(t *testing.T) {
	require.Equal(t, socket.Addr{}, addrOf(-1))
	c, _ := attached(t, &Server{Loops: 1})
	var info ConnInfo
	require.True(t, info.ask(&c.reg.Registration))
	require.Nil(t, info.TCP, "a unix connection")
	c.eng.do(func() { c.abort(ErrAborted) })
	require.False(t, info.ask(&c.reg.Registration))
	_, open := c.inspect(0)
	require.False(t, open)
	_, err := tcpInfo(&c.reg.Registration)
	require.Error(t, err)
	resetOnClose(&c.reg.Registration) // does nothing
	require.ErrorIs(t, c.Control(func(int) error { return nil }), unix.EBADF)
	require.False(t, c.LocalAddr().IsValid())
}

// The options for multicasts are set for both families on a dual-stack socket.
func TestMulticastOptions(t *testing.T) {
	srv := &Server{Loops: 1, Events: Events{Packet: func(*PacketConn, []byte, socket.Addr) {}}}
	defer srv.Close()
	for _, network := range []string{"udp4", "udp"} {
		_, err := srv.Listen(network, ":0")
		require.NoError(t, err)
		p := srv.packets[len(srv.packets)-1]
		get := func(four, six int) (values []int) {
			for _, o := range [][2]int{{unix.IPPROTO_IP, four}, {unix.IPPROTO_IPV6, six}} {
				if o[0] == unix.IPPROTO_IPV6 && p.sock.Family() != socket.Inet6 {
					continue
				}
				v, err := p.sock.GetsockoptInt(o[0], o[1])
				require.NoError(t, err)
				values = append(values, v)
			}
			return values
		}
		same := func(want int, got []int) {
			for _, v := range got {
				require.Equal(t, want, v, network)
			}
		}
		for _, on := range []bool{false, true} {
			require.NoError(t, p.SetMulticastLoop(on))
			want := 0
			if on {
				want = 1
			}
			same(want, get(unix.IP_MULTICAST_LOOP, unix.IPV6_MULTICAST_LOOP))
		}
		for _, ttl := range []int{0, 1, 7, 255} {
			require.NoError(t, p.SetMulticastTTL(ttl))
			same(ttl, get(unix.IP_MULTICAST_TTL, unix.IPV6_MULTICAST_HOPS))
		}
		for _, ttl := range []int{-1, 256} {
			require.ErrorContains(t, p.SetMulticastTTL(ttl), "it is from 0 to 255")
		}
		require.NoError(t, p.Close())
		require.ErrorIs(t, p.SetMulticastTTL(1), net.ErrClosed)
	}
}
