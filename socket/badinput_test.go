package socket

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// New refuses these arguments. The error names the operation and the value, and New
// leaves no descriptor open.
func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, strings.Repeat("x", 108))
	taken := filepath.Join(dir, "taken")
	owner, err := Config{Filename: taken}.New(Unix, Stream, 0)
	require.NoError(t, err)
	defer owner.Close()
	busy := listening(t, Inet, 1).LocalAddr().Port()
	for _, c := range []struct {
		name   string
		family Family
		typ    Type
		proto  Protocol
		cfg    Config
		errno  unix.Errno
		says   string
	}{
		{"unknown family", 255, Stream, 0, Config{}, unix.EAFNOSUPPORT, "socket Family(255) stream"},
		{"no family", 0, Stream, 0, Config{}, unix.EAFNOSUPPORT, "socket Family(0) stream"},
		{"negative family", -1, Stream, 0, Config{}, unix.EAFNOSUPPORT, "Family(-1)"},
		{"family without a driver", X25, SeqPacket, 0, Config{}, unix.EAFNOSUPPORT, "socket x25 seqpacket"},
		{"unknown type", Inet, 99, 0, Config{}, unix.EINVAL, "Type(99)"},
		{"type that the family lacks", Inet, RDM, 0, Config{}, unix.ESOCKTNOSUPPORT, "socket inet rdm"},
		{"type with flags", Inet, Stream | unix.SOCK_NONBLOCK, 0, Config{}, unix.EINVAL, "the type has flags"},
		{"unknown protocol", Inet, Stream, 254, Config{}, unix.EPROTONOSUPPORT, "socket inet stream"},
		{"negative protocol", Inet, Stream, -1, Config{}, unix.EINVAL, "socket inet stream"},
		{"protocol of another type", Inet, Stream, unix.IPPROTO_UDP, Config{}, unix.EPROTONOSUPPORT, "socket inet stream"},
		{"port too great", Inet, Stream, 0, Config{Port: 65536}, unix.EINVAL, "bind port 65536"},
		{"negative port", Inet, Stream, 0, Config{Port: -1}, unix.EINVAL, "bind port -1"},
		{"foreign address", Inet, Stream, 0, Config{Address: "192.0.2.1"}, unix.EADDRNOTAVAIL, "bind 192.0.2.1"},
		{"no such host", Inet, Stream, 0, Config{Address: "nowhere.invalid."}, unix.EADDRNOTAVAIL, "bind nowhere.invalid."},
		{"other family's address", Inet, Stream, 0, Config{Address: "::1"}, unix.EAFNOSUPPORT, "bind ::1"},
		{"port in use", Inet, Stream, 0, Config{Address: "127.0.0.1", Port: busy}, unix.EADDRINUSE, "bind 127.0.0.1"},
		{"Address on unix", Unix, Stream, 0, Config{Address: "127.0.0.1"}, unix.EINVAL, "not for unix"},
		{"Port on unix", Unix, Stream, 0, Config{Port: 80}, unix.EINVAL, "not for unix"},
		{"Filename on inet", Inet, Stream, 0, Config{Filename: taken}, unix.EINVAL, "bind " + taken},
		{"a NUL byte in a path", Unix, Stream, 0, Config{Filename: "/tmp/a\x00b"}, unix.EINVAL, "NUL"},
		{"path too long", Unix, Stream, 0, Config{Filename: long}, unix.ENAMETOOLONG, "bind " + long},
		{"path in use", Unix, Stream, 0, Config{Filename: taken}, unix.EADDRINUSE, "bind " + taken},
		{"no such directory", Unix, Stream, 0, Config{Filename: dir + "/none/socket"}, unix.ENOENT, "/none/socket"},
		{"Bind beside Filename", Unix, Stream, 0, Config{Bind: abstract(), Filename: taken}, unix.EINVAL, "Bind excludes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := descriptors(t)
			s, err := c.cfg.New(c.family, c.typ, c.proto)
			require.Nil(t, s)
			require.Error(t, err)
			require.IsType(t, &Error{}, err)
			require.Equal(t, c.errno, err.(*Error).Errno, "%v", err)
			require.ErrorContains(t, err, c.says)
			require.LessOrEqual(t, descriptors(t), before) // one of a former test may be gone meanwhile
		})
	}
	_, _, err = Pair(Inet, Stream, 0)
	require.True(t, isErrno(err, unix.EOPNOTSUPP), "%v", err)
	require.ErrorContains(t, err, "socketpair inet stream")
}

// The methods of a socket refuse these arguments. The error names the method, and the
// socket still works.
func TestMethodsRefuse(t *testing.T) {
	s, peer := tcpPair(t)
	for name, c := range map[string]struct {
		errno unix.Errno
		call  func() error
	}{
		"recv nil buffer":        {unix.EFAULT, func() error { _, err := s.Recv(nil, 0); return err }},
		"send nil buffer":        {unix.EFAULT, func() error { _, err := s.Send(nil, 0); return err }},
		"shutdown":               {unix.EINVAL, func() error { return s.Shutdown(3) }},
		"shutdown:":              {unix.EINVAL, func() error { return s.Shutdown(-1) }},
		"listen":                 {unix.EINVAL, func() error { return s.Listen(1) }},
		"accept":                 {unix.EINVAL, func() error { _, err := s.Accept(); return err }},
		"write-char 0xd800":      {unix.EILSEQ, func() error { _, err := s.WriteRune(0xD800); return err }},
		"unread-char":            {unix.EINVAL, s.UnreadRune},
		"read-line":              {unix.EINVAL, func() error { _, err := s.ReadLineMax(-1); return err }},
		"setsockopt SO_RCVTIMEO": {unix.EDOM, func() error { return s.SetRecvTimeout(-time.Second) }},
		"connect":                {unix.EAFNOSUPPORT, func() error { return s.ConnectAddr(Addr{}) }},
	} {
		err := c.call()
		require.Error(t, err, name)
		require.True(t, isErrno(err, c.errno), "%s: %v", name, err)
		require.ErrorContains(t, err, name)
	}
	for _, nothing := range [][]byte{nil, {}} {
		n, err := s.Read(nothing)
		require.NoError(t, err)
		require.Zero(t, n)
		n, err = s.Write(nothing)
		require.NoError(t, err)
		require.Zero(t, n)
	}
	put(t, s, "it works on\n")
	line, err := peer.ReadLine()
	require.NoError(t, err)
	require.Equal(t, "it works on", line)
}

// Every method of a closed socket returns at once and says that the socket is closed.
func TestClosedSocket(t *testing.T) {
	s, _ := tcpPair(t)
	require.NoError(t, s.Close())
	before := descriptors(t)
	for name, call := range map[string]func() error{
		"accept":             func() error { _, err := s.Accept(); return err },
		"close":              s.Close,
		"connect":            func() error { return s.Connect("localhost", "80") },
		"connect 1":          func() error { return s.ConnectAddr(AddrFrom(s.LocalAddr().AddrPort())) },
		"listen":             func() error { return s.Listen(1) },
		"recv":               func() error { _, err := s.Recv(make([]byte, 1), 0); return err },
		"recv at once":       func() error { _, err := s.Recv(make([]byte, 1), unix.MSG_DONTWAIT); return err },
		"recvfrom":           func() error { _, _, err := s.RecvFrom(make([]byte, 1), 0); return err },
		"send":               func() error { _, err := s.Send([]byte{1}, 0); return err },
		"send at once":       func() error { _, err := s.Send([]byte{1}, unix.MSG_DONTWAIT); return err },
		"sendto":             func() error { _, err := s.SendTo([]byte{1}, "127.0.0.1", "1", 0); return err },
		"read":               func() error { _, err := s.Read(make([]byte, 1)); return err },
		"fread":              func() error { _, err := s.Fread(make([]byte, 1)); return err },
		"read-char":          func() error { _, _, err := s.ReadRune(); return err },
		"read-line":          func() error { _, err := s.ReadLine(); return err },
		"read-string":        func() error { _, err := s.ReadString(); return err },
		"unread-char":        s.UnreadRune,
		"write":              func() error { _, err := s.Write([]byte{1}); return err },
		"fwrite":             func() error { _, err := s.Fwrite([]byte{1}); return err },
		"write-char":         func() error { _, err := s.WriteRune('x'); return err },
		"write-line":         func() error { _, err := s.WriteLine("x"); return err },
		"write-string":       func() error { _, err := s.WriteString("x"); return err },
		"setsockopt":         func() error { return s.SetNoDelay(true) },
		"setsockopt timeout": func() error { return s.SetRecvTimeout(time.Second) },
		"getsockopt":         func() error { _, err := s.Getsockopt(nil, "SO_TYPE"); return err },
		"shutdown":           func() error { return s.Shutdown(unix.SHUT_RDWR) },
	} {
		err := call()
		require.Error(t, err, name)
		require.ErrorIs(t, err, unix.EBADF, name)
		require.ErrorIs(t, err, net.ErrClosed, name)
		op, _, _ := strings.Cut(name, " ")
		require.ErrorContains(t, err, op)
	}
	require.Equal(t, -1, s.Fd())
	require.False(t, s.LocalAddr().IsValid())
	require.True(t, s.EOF())
	require.False(t, s.CharInBuffer())
	require.Zero(t, s.Buffered())
	require.NotPanics(t, func() {
		s.RemoteAddr()
		s.Interrupt()
		s.ClearInput()
		s.SetCharInBuffer(true)
		s.WithContext(t.Context()).Interrupt()
		require.NoError(t, s.Dump(io.Discard))
	})
	require.LessOrEqual(t, descriptors(t), before) // one of a former test may be gone meanwhile
}

// Many calls of Accept, Connect or Pair that fail leave no descriptor open.
func TestFailuresLeakNothing(t *testing.T) {
	l := listening(t, Inet, 8)
	require.NoError(t, l.SetRecvTimeout(time.Nanosecond))
	to := refusing(t, "127.0.0.1")
	before := descriptors(t)
	for range 50 {
		_, err := l.Accept()
		requireTimeout(t, err)
		s, err := New(Inet, Stream, 0)
		require.NoError(t, err)
		require.True(t, isErrno(s.ConnectAddr(to), unix.ECONNREFUSED))
		require.NoError(t, s.Close())
		_, err = Config{Address: "192.0.2.1"}.New(Inet, Stream, 0)
		require.True(t, errors.Is(err, unix.EADDRNOTAVAIL))
	}
	require.LessOrEqual(t, descriptors(t), before) // one of a former test may be gone meanwhile
}
