package server_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// kept reports whether a port is free at a host. If so, it keeps the port, so that no
// other process gets it. Without IPv6 no port of ::1 is free.
func kept(t *testing.T, host string, port int) bool {
	family := socket.Inet
	if strings.Contains(host, ":") {
		if machine.IPv6() != nil {
			return true
		}
		family = socket.Inet6
	}
	s, err := socket.Config{Address: host, Port: port}.New(family, socket.Stream, 0)
	if err == nil {
		t.Cleanup(func() { s.Close() })
		return true
	}
	require.ErrorIs(t, err, unix.EADDRINUSE)
	return false
}

func TestServeNetworks(t *testing.T) {
	for _, test := range []struct{ network, address, dial, refused string }{
		{"tcp4", "127.0.0.1:0", "127.0.0.1", "::1"},
		{"tcp6", "[::1]:0", "::1", "127.0.0.1"},
		{"tcp6", "[::]:0", "::1", "127.0.0.1"},
		{"tcp", "127.0.0.1:0", "127.0.0.1", ""},
		{"tcp", "localhost:0", "localhost", ""},
		{"tcp", ":0", "127.0.0.1", ""},
		{"tcp", ":0", "::1", ""},
	} {
		for _, reuse := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %s from %s, %t", test.network, test.address, test.dial, reuse), func(t *testing.T) {
				if test.dial == "::1" {
					machine.NeedIPv6(t)
				}
				srv := &server.Server{Loops: 2, ReusePort: reuse, Events: server.Events{Data: echo}}
				addr := serveOn(t, srv, test.network, test.address)
				for tries := 1; test.refused != "" && !kept(t, test.refused, addr.Port()); tries++ {
					require.Less(t, tries, 100, "no port is free on both hosts")
					addr = serveOn(t, srv, test.network, test.address)
				}
				_, port, err := net.SplitHostPort(addr.String())
				require.NoError(t, err)
				c, err := net.Dial("tcp", net.JoinHostPort(test.dial, port))
				require.NoError(t, err)
				send(t, c, "x")
				expect(t, c, "x")
				require.NoError(t, c.Close())
				if test.refused != "" {
					_, err = net.Dial("tcp", net.JoinHostPort(test.refused, port))
					require.Error(t, err)
				}
			})
		}
	}
}

func TestServeSeveralListeners(t *testing.T) {
	srv := &server.Server{Events: server.Events{Data: echo}}
	addrs := []socket.Addr{serve(t, srv), serve(t, srv), serveOn(t, srv, "unix", t.TempDir()+"/s"), serveOn(t, srv, "unix", fmt.Sprintf("@weir-%s-%d", t.Name(), os.Getpid()))}
	for _, addr := range addrs {
		c := client(t, addr)
		send(t, c, "x")
		expect(t, c, "x")
	}
}

func TestServeUnixPathIsRemovedInTheEnd(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	srv := &server.Server{Events: server.Events{Data: echo}}
	serveOn(t, srv, "unix", "relative")
	abstract := "@" + filepath.Base(dir)
	serveOn(t, srv, "unix", abstract)
	require.NoError(t, os.WriteFile(abstract, nil, 0o600))
	require.FileExists(t, filepath.Join(dir, "relative"))
	_, err := srv.Listen("unix", "relative")
	require.ErrorIs(t, err, unix.EADDRINUSE)
	require.EqualError(t, err, "server: listen unix relative: bind: address already in use")
	require.FileExists(t, filepath.Join(dir, "relative"), "it is the other listener's")
	t.Chdir("/")
	require.NoError(t, srv.Close())
	require.NoFileExists(t, filepath.Join(dir, "relative"))
	require.FileExists(t, filepath.Join(dir, abstract), "the abstract name is no file's")
}

func TestServeListenRefuses(t *testing.T) {
	taken := weirtest.Listen(t).LocalAddr().String()
	for _, test := range []struct {
		name, network, address string
		srv                    *server.Server
		want                   string
	}{
		{"network", "sctp", "127.0.0.1:0", nil, "sctp"},
		{"address", "tcp", "127.0.0.1", nil, "missing port"},
		{"host", "tcp4", "[::1]:0", nil, "::1"},
		{"in use", "tcp", taken, nil, taken},
		{"path", "unix", "/no/such/directory/s", nil, "/no/such/directory/s"},
		{"without Packet", "udp", "127.0.0.1:0", nil, "Events.Packet"},
		{"without Data", "tcp", "127.0.0.1:0", &server.Server{}, "Events.Data"},
	} {
		t.Run(test.name, func(t *testing.T) {
			srv := test.srv
			if srv == nil {
				srv = &server.Server{Events: server.Events{Data: echo}}
			}
			defer srv.Close()
			_, err := srv.Listen(test.network, test.address)
			require.ErrorContains(t, err, "listen")
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, srv.ListenAndServe(test.network, test.address), test.want)
		})
	}
}

func TestServeListenOnRefuses(t *testing.T) {
	srv := &server.Server{Events: server.Events{Data: echo}}
	require.ErrorContains(t, srv.ListenOn(nil), "nil")
	s := weirtest.NewTCP(t)
	require.ErrorContains(t, srv.ListenOn(s), "does not listen")
	require.NoError(t, s.SetNoDelay(true), "it is still the caller's")
	closed := weirtest.Listen(t)
	require.NoError(t, closed.Close())
	require.ErrorIs(t, srv.ListenOn(closed), net.ErrClosed)
	require.NoError(t, srv.Close())
	late := weirtest.Listen(t)
	require.ErrorIs(t, srv.ListenOn(late), server.ErrClosed)
	require.ErrorIs(t, late.Close(), net.ErrClosed, "it was the server's, which has closed it")
	late, _ = weirtest.Pair(t, socket.Dgram)
	require.ErrorIs(t, srv.ListenOn(late), server.ErrClosed)
	require.ErrorIs(t, late.Close(), net.ErrClosed)
}

// Boot may close the server that is about to serve the socket.
func TestServeListenOnThatBootCloses(t *testing.T) {
	srv := &server.Server{Events: server.Events{Data: echo, Boot: func(s *server.Server) error { return s.Close() }}}
	ls := weirtest.Listen(t)
	require.ErrorIs(t, srv.ListenOn(ls), server.ErrClosed)
	require.ErrorIs(t, ls.Close(), net.ErrClosed)
}

func TestServeSocketOptions(t *testing.T) {
	type option struct{ level, name, want int }
	for _, test := range []struct {
		name    string
		srv     *server.Server
		options []option
	}{
		{"default", &server.Server{}, []option{
			{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
			{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9},
		}},
		{"other", &server.Server{Delay: true, KeepAlive: 1001 * time.Millisecond, RecvBuffer: 20_000, SendBuffer: 30_000}, []option{
			{unix.IPPROTO_TCP, unix.TCP_NODELAY, 0},
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 2},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15}, // the value of Go's net
			{unix.SOL_SOCKET, unix.SO_RCVBUF, 40_000},  // the kernel doubles it
			{unix.SOL_SOCKET, unix.SO_SNDBUF, 60_000},
		}},
		{"none", &server.Server{KeepAlive: -1}, []option{{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0}}},
	} {
		for _, how := range []string{"listen", "listen on"} {
			t.Run(test.name+", "+how, func(t *testing.T) {
				conns, open := opened()
				s := test.srv
				srv := &server.Server{Delay: s.Delay, KeepAlive: s.KeepAlive, RecvBuffer: s.RecvBuffer, SendBuffer: s.SendBuffer,
					Events: server.Events{Open: open, Data: echo}}
				var addr socket.Addr
				if how == "listen" {
					addr = serve(t, srv)
				} else {
					ls := weirtest.Listen(t)
					addr = ls.LocalAddr()
					t.Cleanup(func() { srv.Close() })
					require.NoError(t, srv.ListenOn(ls))
				}
				client(t, addr)
				conn := weirtest.Take(t, conns)
				for _, o := range test.options {
					require.NoError(t, conn.Control(func(fd int) error {
						got, err := unix.GetsockoptInt(fd, o.level, o.name)
						require.Equal(t, o.want, got, "option %d of level %d", o.name, o.level)
						return err
					}))
				}
			})
		}
	}
}

// The connections and datagrams of IPv4 clients of a dual-stack listener have IPv4
// addresses.
func TestServeDualStackUnmaps(t *testing.T) {
	machine.NeedIPv6(t)
	senders := make(chan socket.Addr, 1)
	conns, open := opened()
	srv := &server.Server{Events: server.Events{Open: open, Data: echo, Packet: func(_ *server.PacketConn, _ []byte, from socket.Addr) { senders <- from }}}
	tcp, udp := serveOn(t, srv, "tcp", ":0"), serveOn(t, srv, "udp", ":0")
	c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", tcp.Port()))
	require.NoError(t, err)
	defer c.Close()
	accepted := weirtest.Take(t, conns)
	require.Equal(t, c.LocalAddr().String(), accepted.RemoteAddr().String())
	require.Equal(t, c.RemoteAddr().String(), accepted.LocalAddr().String())
	u, err := net.Dial("udp", fmt.Sprint("127.0.0.1:", udp.Port()))
	require.NoError(t, err)
	defer u.Close()
	send(t, u, "x")
	require.Equal(t, u.LocalAddr().String(), weirtest.Take(t, senders).String())

	sessions := make(chan [2]string, 1)
	handled := serveOn(t, &server.Server{Handler: func(s *server.Session) error {
		sessions <- [2]string{s.RemoteAddr().String(), s.LocalAddr().String()}
		return io.EOF
	}}, "tcp", ":0")
	h, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", handled.Port()))
	require.NoError(t, err)
	defer h.Close()
	send(t, h, "x")
	require.Equal(t, [2]string{h.LocalAddr().String(), h.RemoteAddr().String()}, weirtest.Take(t, sessions))
}

// A successor has put its own socket at the path. The server does not remove it.
func TestServeCloseLeavesASuccessorsPath(t *testing.T) {
	for _, end := range []func(*server.Server) error{(*server.Server).Close, func(s *server.Server) error { return s.Shutdown(t.Context()) }} {
		path := filepath.Join(t.TempDir(), "s")
		old := &server.Server{Events: server.Events{Data: echo}}
		serveOn(t, old, "unix", path)
		require.NoError(t, os.Remove(path))
		successor := &server.Server{Events: server.Events{Data: echo}}
		addr := serveOn(t, successor, "unix", path)
		require.NoError(t, end(old))
		c := client(t, addr)
		send(t, c, "x")
		expect(t, c, "x")
		require.NoError(t, successor.Close())
		require.NoFileExists(t, path)
	}
}

func TestServeKeepPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	srv := &server.Server{KeepPath: true, Events: server.Events{Data: echo}}
	serveOn(t, srv, "unix", path)
	require.NoError(t, srv.Close())
	require.FileExists(t, path)

	// No process listens there any more, so a server can replace it.
	again := &server.Server{Events: server.Events{Data: echo}}
	defer again.Close()
	_, err := again.Listen("unix", path)
	require.ErrorIs(t, err, unix.EADDRINUSE)
	replacing := &server.Server{ReplacePath: true, Events: server.Events{Data: echo}}
	c := client(t, serveOn(t, replacing, "unix", path))
	send(t, c, "x")
	expect(t, c, "x")
}

// ReplacePath replaces neither a socket in use nor another kind of file.
func TestServeReplacePathRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o600))
	used := filepath.Join(dir, "used")
	c := client(t, serveOn(t, &server.Server{Events: server.Events{Data: echo}}, "unix", used))
	packets, err := net.ListenPacket("unixgram", filepath.Join(dir, "packets"))
	require.NoError(t, err)
	defer packets.Close()
	srv := &server.Server{ReplacePath: true, Events: server.Events{Data: echo}}
	defer srv.Close()
	for _, name := range []string{"file", "used", "packets"} {
		_, err := srv.Listen("unix", filepath.Join(dir, name))
		require.ErrorIs(t, err, unix.EADDRINUSE, name)
		require.FileExists(t, filepath.Join(dir, name))
	}
	_, err = srv.Listen("unix", filepath.Join(dir, "no", "such"))
	require.ErrorIs(t, err, unix.ENOENT)
	require.ErrorContains(t, err, "no/such")
	send(t, c, "x")
	expect(t, c, "x")
}

// If several servers replace a stale path at the same time, one wins and keeps the path.
func TestServeReplacePathOfSeveral(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "s")
		stale := &server.Server{KeepPath: true, Events: server.Events{Data: echo}}
		serveOn(t, stale, "unix", path)
		require.NoError(t, stale.Close())
		won := make(chan *server.Server, 4)
		for range cap(won) {
			go func() {
				srv := &server.Server{Loops: 1, ReplacePath: true, Events: server.Events{Data: echo}}
				if _, err := srv.Listen("unix", path); err != nil {
					srv.Close()
					srv = nil
				}
				won <- srv
			}()
		}
		winners := 0
		for range cap(won) {
			if srv := weirtest.Take(t, won); srv != nil {
				winners++
				defer srv.Close()
			}
		}
		require.Equal(t, 1, winners)
	}
}
