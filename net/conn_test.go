package net_test

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A face is what a program imports: package net, or weir.
type face struct {
	name         string
	Listen       func(network, address string) (net.Listener, error)
	ListenPacket func(network, address string) (net.PacketConn, error)
	Dial         func(network, address string) (net.Conn, error)
	DialTimeout  func(network, address string, timeout time.Duration) (net.Conn, error)
}

var faces = []face{
	{"net", net.Listen, net.ListenPacket, net.Dial, net.DialTimeout},
	{"weir", weirnet.Listen, weirnet.ListenPacket, weirnet.Dial, weirnet.DialTimeout},
}

func onFaces(t *testing.T, test func(t *testing.T, f face)) {
	for _, f := range faces {
		t.Run(f.name, func(t *testing.T) { test(t, f) })
	}
}

var streams = []string{"tcp", "tcp4", "tcp6", "unix"}

// The same program runs over both packages: an upper-case server and a client that closes
// its writing side. The test compares everything that the two see of each other.
func TestSameProgramOnBothFaces(t *testing.T) {
	upper := func(l net.Listener) error {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		defer c.Close()
		all, err := io.ReadAll(c)
		if err != nil {
			return err
		}
		if c.RemoteAddr().Network() != c.LocalAddr().Network() {
			return fmt.Errorf("%v and %v", c.RemoteAddr(), c.LocalAddr())
		}
		_, err = c.Write(bytes.ToUpper(all))
		return err
	}
	for _, network := range append(streams, "unixpacket") {
		t.Run(network, func(t *testing.T) {
			onFaces(t, func(t *testing.T, f face) {
				l, err := f.Listen(network, localAddress(t, network))
				require.NoError(t, err)
				served := make(chan error, 1)
				go func() { served <- upper(l) }()
				c, err := f.DialTimeout(network, l.Addr().String(), time.Minute)
				require.NoError(t, err)
				_, err = io.WriteString(c, "a word")
				require.NoError(t, err)
				require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
				answer, err := io.ReadAll(c)
				require.NoError(t, err)
				require.Equal(t, "A WORD", string(answer))
				require.NoError(t, <-served)
				require.NoError(t, c.Close())
				require.NoError(t, l.Close())
			})
		})
	}
}

// describe returns everything that a program can learn from an error, without the ports.
func describe(err error, names ...net.Addr) string {
	if err == nil {
		return "nil"
	}
	text := err.Error()
	var op *net.OpError
	kind := fmt.Sprintf("%T", err)
	if errors.As(err, &op) {
		kind += fmt.Sprintf(" op=%s net=%s source=%T addr=%T err=%T", op.Op, op.Net, op.Source, op.Addr, op.Err)
	}
	for i, a := range names {
		if a.String() != "" {
			text = strings.ReplaceAll(text, a.String(), fmt.Sprintf("<%d>", i))
		}
	}
	is := ""
	for name, target := range map[string]error{
		"closed": net.ErrClosed, "deadline": os.ErrDeadlineExceeded, "reset": unix.ECONNRESET,
		"pipe": unix.EPIPE, "in use": unix.EADDRINUSE, "refused": unix.ECONNREFUSED,
	} {
		if errors.Is(err, target) {
			is += " " + name
		}
	}
	var e net.Error
	if errors.As(err, &e) && e.Timeout() {
		is += " timeout"
	}
	return kind + ": " + text + is
}

// An errorCase makes a call of a face that fails.
type errorCase struct {
	name string
	fail func(t *testing.T, f face) (names []net.Addr, err error)
}

func pairOf(t *testing.T, f face, network string) (l net.Listener, c, s net.Conn) {
	t.Helper()
	l, err := f.Listen(network, localAddress(t, network))
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	c, err = f.Dial(network, l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	s, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return l, c, s
}

// onConn returns an errorCase that calls a method of a connection.
func onConn(name string, fail func(c, s net.Conn) error) errorCase {
	return errorCase{name, func(t *testing.T, f face) ([]net.Addr, error) {
		_, c, s := pairOf(t, f, "tcp")
		return []net.Addr{c.LocalAddr(), c.RemoteAddr()}, fail(c, s)
	}}
}

func onListener(name string, fail func(l net.Listener) error) errorCase {
	return errorCase{name, func(t *testing.T, f face) ([]net.Addr, error) {
		l, err := f.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		return []net.Addr{l.Addr()}, fail(l)
	}}
}

func on(name string, fail func(f face) error) errorCase {
	return errorCase{name, func(t *testing.T, f face) ([]net.Addr, error) { return nil, fail(f) }}
}

var longAgo = time.Unix(1, 0)

var errorCases = []errorCase{
	onConn("read closed", func(c, _ net.Conn) error { c.Close(); _, err := c.Read(make([]byte, 1)); return err }),
	onConn("read nothing closed", func(c, _ net.Conn) error { c.Close(); _, err := c.Read(nil); return err }),
	onConn("read nothing", func(c, _ net.Conn) error { _, err := c.Read(nil); return err }),
	onConn("write closed", func(c, _ net.Conn) error { c.Close(); _, err := c.Write([]byte("x")); return err }),
	onConn("write nothing closed", func(c, _ net.Conn) error { c.Close(); _, err := c.Write(nil); return err }),
	onConn("write nothing", func(c, _ net.Conn) error { _, err := c.Write(nil); return err }),
	onConn("write nothing late", func(c, _ net.Conn) error { c.SetWriteDeadline(longAgo); _, err := c.Write(nil); return err }),
	onConn("write nothing after CloseWrite", func(c, _ net.Conn) error {
		c.(interface{ CloseWrite() error }).CloseWrite()
		_, err := c.Write(nil)
		return err
	}),
	onConn("close twice", func(c, _ net.Conn) error { c.Close(); return c.Close() }),
	onConn("deadline of closed", func(c, _ net.Conn) error { c.Close(); return c.SetDeadline(longAgo) }),
	onConn("read late", func(c, _ net.Conn) error { c.SetReadDeadline(longAgo); _, err := c.Read(make([]byte, 1)); return err }),
	onConn("write late", func(c, _ net.Conn) error { c.SetWriteDeadline(longAgo); _, err := c.Write([]byte("x")); return err }),
	onConn("read at the end", func(c, s net.Conn) error { s.Close(); _, err := c.Read(make([]byte, 1)); return err }),
	onConn("read reset", func(c, s net.Conn) error {
		s.(interface{ SetLinger(int) error }).SetLinger(0)
		s.Close()
		_, err := c.Read(make([]byte, 1))
		return err
	}),
	onConn("write after CloseWrite", func(c, _ net.Conn) error {
		c.(interface{ CloseWrite() error }).CloseWrite()
		_, err := c.Write([]byte("x"))
		return err
	}),
	onConn("CloseWrite of closed", func(c, _ net.Conn) error {
		c.Close()
		return c.(interface{ CloseWrite() error }).CloseWrite()
	}),
	onConn("SetNoDelay of closed", func(c, _ net.Conn) error {
		c.Close()
		return c.(interface{ SetNoDelay(bool) error }).SetNoDelay(true)
	}),
	onConn("SetKeepAlive of closed", func(c, _ net.Conn) error {
		c.Close()
		return c.(interface{ SetKeepAlive(bool) error }).SetKeepAlive(true)
	}),
	onConn("raw read late", func(c, _ net.Conn) error {
		raw, err := c.(syscall.Conn).SyscallConn()
		if err != nil {
			return err
		}
		c.SetReadDeadline(longAgo)
		return raw.Read(func(uintptr) bool { return false })
	}),
	onConn("raw control closed", func(c, _ net.Conn) error {
		raw, _ := c.(syscall.Conn).SyscallConn()
		c.Close()
		return raw.Control(func(uintptr) {})
	}),
	onListener("accept late", func(l net.Listener) error {
		l.(interface{ SetDeadline(time.Time) error }).SetDeadline(longAgo)
		_, err := l.Accept()
		return err
	}),
	onListener("accept closed", func(l net.Listener) error { l.Close(); _, err := l.Accept(); return err }),
	onListener("close listener twice", func(l net.Listener) error { l.Close(); return l.Close() }),
	{"listen in use", func(t *testing.T, f face) ([]net.Addr, error) {
		l, err := f.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		_, err = f.Listen("tcp", l.Addr().String())
		return []net.Addr{l.Addr()}, err
	}},
	{"dial refused", func(t *testing.T, f face) ([]net.Addr, error) {
		l, err := f.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		_, err = f.Dial("tcp", l.Addr().String())
		return []net.Addr{l.Addr()}, err
	}},
	on("dial unknown network", func(f face) error { _, err := f.Dial("carrier pigeon", "x"); return err }),
	on("listen unknown network", func(f face) error { _, err := f.Listen("udp9", "x"); return err }),
	on("packets on unknown network", func(f face) error { _, err := f.ListenPacket("x", "x"); return err }),
	on("dial without port", func(f face) error { _, err := f.Dial("tcp", "127.0.0.1"); return err }),
	on("dial bad port", func(f face) error { _, err := f.Dial("tcp", "127.0.0.1:70000"); return err }),
	on("dial unknown service", func(f face) error { _, err := f.Dial("tcp", "127.0.0.1:no-such-service"); return err }),
	on("listen without port", func(f face) error { _, err := f.Listen("tcp", "127.0.0.1"); return err }),
	on("dial missing path", func(f face) error { _, err := f.Dial("unix", "/no/such/path"); return err }),
	on("listen in missing directory", func(f face) error { _, err := f.Listen("unix", "/no/such/path"); return err }),
}

// Every failure has the type, text and identity that package net gives it.
func TestErrorsAreThoseOfNet(t *testing.T) {
	for _, c := range errorCases {
		t.Run(c.name, func(t *testing.T) {
			var got [2]string
			for i, f := range faces {
				names, err := c.fail(t, f)
				got[i] = describe(err, names...)
			}
			require.Equal(t, got[0], got[1])
		})
	}
}

// Addresses have the types and the texts of net.
func TestAddressesAreThoseOfNet(t *testing.T) {
	for _, network := range append(streams, "unixpacket") {
		t.Run(network, func(t *testing.T) {
			var got [2]string
			for i, f := range faces {
				l, c, s := pairOf(t, f, network)
				require.Equal(t, l.Addr(), c.RemoteAddr())
				require.Equal(t, l.Addr(), s.LocalAddr())
				require.Equal(t, c.LocalAddr().String(), s.RemoteAddr().String())
				local := c.LocalAddr()
				require.NoError(t, c.Close())
				require.Equal(t, local, c.LocalAddr(), "known after Close")
				got[i] = fmt.Sprintf("%T %[1]v %[2]T %[2]v", c.LocalAddr(), s.RemoteAddr())
				if network != "unix" && network != "unixpacket" {
					got[i] = fmt.Sprintf("%T %s %d", local, local.(*net.TCPAddr).IP, len(local.(*net.TCPAddr).IP))
				}
			}
			require.Equal(t, got[0], got[1])
		})
	}
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "localhost:0"} {
		for _, network := range []string{"tcp", "tcp4", "tcp6"} {
			var got [2]string
			for i, f := range faces {
				l, err := f.Listen(network, address)
				if err != nil {
					got[i] = "error"
					continue
				}
				got[i] = l.Addr().(*net.TCPAddr).IP.String()
				l.Close()
			}
			require.Equal(t, got[0], got[1], "%s %s", network, address)
		}
	}
}

// A listener of both families serves both. It shows an IPv4 client by an IPv4 address.
func TestListenOnBothFamilies(t *testing.T) {
	localAddress(t, "tcp6")
	l, err := weirnet.Listen("tcp", ":0")
	require.NoError(t, err)
	defer l.Close()
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	for _, host := range []string{"127.0.0.1", "::1", ""} {
		c, err := weirnet.Dial("tcp", net.JoinHostPort(host, port))
		require.NoError(t, err)
		s, err := l.Accept()
		require.NoError(t, err)
		require.Equal(t, c.LocalAddr().String(), s.RemoteAddr().String())
		c.Close()
		s.Close()
	}
}

func option(t *testing.T, c any, level, name int) int {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	v := -1
	require.NoError(t, raw.Control(func(fd uintptr) { v, err = unix.GetsockoptInt(int(fd), level, name) }))
	require.NoError(t, err)
	return v
}

// New connections have the socket options of net, on both sides.
func TestOptionsAreThoseOfNet(t *testing.T) {
	options := map[string][2]int{
		"TCP_NODELAY":   {unix.IPPROTO_TCP, unix.TCP_NODELAY},
		"SO_KEEPALIVE":  {unix.SOL_SOCKET, unix.SO_KEEPALIVE},
		"TCP_KEEPIDLE":  {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
		"TCP_KEEPINTVL": {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
		"TCP_KEEPCNT":   {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
		"SO_REUSEADDR":  {unix.SOL_SOCKET, unix.SO_REUSEADDR},
	}
	var of [2][]net.Conn
	for i, f := range faces {
		_, c, s := pairOf(t, f, "tcp")
		of[i] = []net.Conn{c, s}
	}
	for name, o := range options {
		for side := range 2 {
			require.Equal(t, option(t, of[0][side], o[0], o[1]), option(t, of[1][side], o[0], o[1]), name)
		}
	}
	require.Equal(t, 1, option(t, of[1][1], unix.IPPROTO_TCP, unix.TCP_NODELAY))
	require.Equal(t, 15, option(t, of[1][1], unix.IPPROTO_TCP, unix.TCP_KEEPIDLE))

	c := of[1][0].(*weirnet.TCPConn)
	require.NoError(t, c.SetNoDelay(false))
	require.Zero(t, option(t, c, unix.IPPROTO_TCP, unix.TCP_NODELAY))
	require.NoError(t, c.SetKeepAlive(false))
	require.Zero(t, option(t, c, unix.SOL_SOCKET, unix.SO_KEEPALIVE))
	require.NoError(t, c.SetKeepAlivePeriod(1500*time.Millisecond))
	require.Equal(t, 2, option(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE))
	require.NoError(t, c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: -1, Count: 3}))
	require.Equal(t, 60, option(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE))
	require.Equal(t, 15, option(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL))
	require.Equal(t, 3, option(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPCNT))
	require.NoError(t, c.SetReadBuffer(32<<10))
	require.NoError(t, c.SetWriteBuffer(32<<10))
	require.Equal(t, 64<<10, option(t, c, unix.SOL_SOCKET, unix.SO_RCVBUF))
	require.Equal(t, 64<<10, option(t, c, unix.SOL_SOCKET, unix.SO_SNDBUF))
}

// A blocked call ends by a deadline that changes while the call waits.
func TestDeadlineMovedUnderBlockedRead(t *testing.T) {
	c, s := connPair(t, "tcp")
	result := make(chan error, 1)
	go func() { _, err := c.Read(make([]byte, 1)); result <- err }()
	runtime.Gosched()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
	require.NoError(t, c.SetReadDeadline(longAgo))
	require.ErrorIs(t, <-result, os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	s.Write([]byte("x"))
	_, err := c.Read(make([]byte, 1))
	require.NoError(t, err)
}

// When a deadline ends a write early, Write returns how many bytes it wrote.
func TestPartialWriteAtDeadline(t *testing.T) {
	machine.WithTime(t, 50*time.Millisecond, func(limit time.Duration) bool {
		c, s := connPair(t, "tcp")
		big := make([]byte, 64<<20)
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(limit)))
		n, err := c.Write(big)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		c.Close()
		got, err := io.Copy(io.Discard, s)
		require.NoError(t, err)
		require.EqualValues(t, n, got)
		return n > 0 // otherwise the time ended before the Write began
	})
}

// Control connects the socket. So bind(2) makes the path, and listen(2) fails.
func TestListenThatFailsLeavesNoPath(t *testing.T) {
	dir := t.TempDir()
	other, err := net.Listen("unix", dir+"/other")
	require.NoError(t, err)
	defer other.Close()
	config := weirnet.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		failed := c.Control(func(fd uintptr) { err = unix.Connect(int(fd), &unix.SockaddrUnix{Name: dir + "/other"}) })
		return cmp.Or(failed, err)
	}}
	_, err = config.Listen(t.Context(), "unix", dir+"/s")
	require.ErrorIs(t, err, unix.EINVAL)
	require.NoFileExists(t, dir+"/s")

	// Listen does not remove a path that another socket has made.
	_, err = config.Listen(t.Context(), "unix", dir+"/other")
	require.ErrorIs(t, err, unix.EADDRINUSE)
	_, err = os.Lstat(dir + "/other")
	require.NoError(t, err)
}

func TestUnixPathIsUnlinkedAsNetDoes(t *testing.T) {
	onFaces(t, func(t *testing.T, f face) {
		for _, unlink := range []bool{true, false} {
			path := filepath.Join(t.TempDir(), "s")
			l, err := f.Listen("unix", path)
			require.NoError(t, err)
			if !unlink {
				l.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false)
			}
			require.FileExists(t, path)
			require.NoError(t, l.Close())
			_, err = os.Lstat(path)
			require.Equal(t, unlink, errors.Is(err, os.ErrNotExist), "%v", err)

			// A second Close does not remove a file that another program has since made
			// at the path.
			os.Remove(path)
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			require.Error(t, l.Close())
			require.FileExists(t, path)
		}
		name := fmt.Sprintf("@weir-test-abstract-%d", os.Getpid())
		l, err := f.Listen("unix", name)
		require.NoError(t, err)
		require.Equal(t, name, l.Addr().String())
		require.NoError(t, l.Close())
	})
	s := pathSocket(t, filepath.Join(t.TempDir(), "s"))
	require.NoError(t, s.Listen(1))
	l, err := weirnet.NewListener(s)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.FileExists(t, l.Addr().String(), "it is not the Listener's")
}

func pathSocket(t *testing.T, path string) *socket.Socket {
	s, err := socket.Config{Filename: path}.New(socket.Unix, socket.Stream, 0)
	return weirtest.Keep(t, s, err)
}

func TestFileIsADuplicate(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		c, s := connPair(t, network)
		f, err := c.(interface{ File() (*os.File, error) }).File()
		require.NoError(t, err)
		require.NoError(t, c.Close())
		_, err = f.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, f.Close())
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, "x", string(got))
		_, err = c.(interface{ File() (*os.File, error) }).File()
		require.ErrorIs(t, err, net.ErrClosed)
	}
}

// The kernel moves the bytes from files and connections, up to the limit. ReadFrom copies
// the bytes from every other source.
func TestReadFromAndWriteTo(t *testing.T) {
	data := make([]byte, 3<<20)
	rand.Read(data)
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	file := func() io.Reader {
		f, err := os.Open(path)
		require.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	conn := func() io.Reader {
		c, s := connPair(t, "unix")
		go func() { s.Write(data); s.Close() }()
		return c
	}
	for name, c := range map[string]struct {
		copy func(to net.Conn) (int64, error)
		want []byte
	}{
		"file":            {func(to net.Conn) (int64, error) { return io.Copy(to, file()) }, data},
		"limited file":    {func(to net.Conn) (int64, error) { return io.CopyN(to, file(), 1<<20) }, data[:1<<20]},
		"conn":            {func(to net.Conn) (int64, error) { return io.Copy(to, conn()) }, data},
		"conn, ReadFrom":  {func(to net.Conn) (int64, error) { return to.(io.ReaderFrom).ReadFrom(conn()) }, data},
		"limited conn":    {func(to net.Conn) (int64, error) { return io.CopyN(to, conn(), 1<<20) }, data[:1<<20]},
		"memory":          {func(to net.Conn) (int64, error) { return to.(io.ReaderFrom).ReadFrom(bytes.NewReader(data)) }, data},
		"buffers":         {func(to net.Conn) (int64, error) { return writeBuffers(to, data) }, data},
		"net's Buffers":   {func(to net.Conn) (int64, error) { return (&net.Buffers{data[:10], data[10:]}).WriteTo(to) }, data},
		"socket":          {func(to net.Conn) (int64, error) { return io.Copy(to, socketOf(conn())) }, data},
		"to the socket":   {func(to net.Conn) (int64, error) { return io.Copy(socketOf(to), conn()) }, data},
		"through a plain": {func(to net.Conn) (int64, error) { return io.Copy(struct{ io.Writer }{to}, conn()) }, data},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := connPair(t, "tcp")
			type result struct {
				n   int64
				err error
			}
			copied := make(chan result, 1)
			go func() {
				n, err := c.copy(from)
				from.Close()
				copied <- result{n, err}
			}()
			got, err := io.ReadAll(to)
			require.NoError(t, err)
			r := <-copied
			require.NoError(t, r.err)
			require.EqualValues(t, len(c.want), r.n)
			require.True(t, bytes.Equal(c.want, got))
		})
	}
}

func socketOf(x any) *socket.Socket {
	return x.(interface{ Socket() *socket.Socket }).Socket()
}

func mustConn(s *socket.Socket) net.Conn {
	c, err := weirnet.NewConn(s)
	if err != nil {
		panic(err)
	}
	return c
}

func writeBuffers(to net.Conn, data []byte) (int64, error) {
	var bufs net.Buffers
	for i := 0; i < len(data); i += 1000 {
		bufs = append(bufs, data[i:min(i+1000, len(data))])
	}
	n, err := to.(*weirnet.TCPConn).WriteBuffers(&bufs)
	if err == nil && len(bufs) != 0 {
		err = errors.New("buffers are left")
	}
	return n, err
}

// WriteBuffers removes from the buffers what it has written.
func TestWriteBuffersInPart(t *testing.T) {
	c, s := connPair(t, "tcp")
	require.NoError(t, c.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
	const size = 1 << 20
	bufs := make(net.Buffers, 64)
	for i := range bufs {
		bufs[i] = make([]byte, size)
	}
	n, err := c.(*weirnet.TCPConn).WriteBuffers(&bufs)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	left := 0
	for _, b := range bufs {
		left += len(b)
	}
	require.EqualValues(t, 64*size, n+int64(left))
	c.Close()
	got, err := io.Copy(io.Discard, s)
	require.NoError(t, err)
	require.Equal(t, n, got)
}

// The error contains the bytes that were read from the source and not sent.
func TestReadFromThatCannotSend(t *testing.T) {
	c, _ := connPair(t, "tcp")
	require.NoError(t, c.SetWriteDeadline(longAgo))
	_, err := c.(io.ReaderFrom).ReadFrom(strings.NewReader("some text"))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var unsent *socket.UnsentError
	require.ErrorAs(t, err, &unsent)
	require.Equal(t, "some text", string(unsent.Unsent))
	require.True(t, err.(net.Error).Timeout())
}

func TestRawConnReadsAndWrites(t *testing.T) {
	c, s := connPair(t, "tcp")
	raw, err := c.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	read := make(chan string, 1)
	go func() {
		buf, n := make([]byte, 8), 0
		err := raw.Read(func(fd uintptr) bool {
			n, _ = unix.Read(int(fd), buf)
			return n > 0
		})
		read <- fmt.Sprint(string(buf[:max(n, 0)]), err)
	}()
	s.Write([]byte("hello"))
	require.Equal(t, "hello<nil>", <-read)
	require.NoError(t, raw.Write(func(fd uintptr) bool { _, err = unix.Write(int(fd), []byte("you")); return err == nil }))
	buf := make([]byte, 3)
	_, err = io.ReadFull(s, buf)
	require.NoError(t, err)
	require.Equal(t, "you", string(buf))
}

// Every way to read returns io.EOF itself at the end of the stream, not a wrapped error.
func TestUnixEndOfStreamIsEOF(t *testing.T) {
	c, s := connPair(t, "unix")
	require.NoError(t, s.Close())
	u := c.(*weirnet.UnixConn)
	_, _, err := u.ReadFrom(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	_, _, _, _, err = u.ReadMsgUnix(make([]byte, 1), nil)
	require.Equal(t, io.EOF, err)
	_, err = u.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
}
