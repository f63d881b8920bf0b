package net

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// conn has the socket and the addresses of a connection or a listener, and their common
// methods. The addresses do not change, also when the socket is closed.
type conn struct {
	sock          *socket.Socket
	network       string
	local, remote net.Addr // remote is nil while there is no peer
}

// newConn makes the conn of a socket that has a peer, or may have one.
func newConn(s *socket.Socket, network string) conn {
	c := conn{sock: s, network: network, local: netAddr(s, s.LocalAddr())}
	if peer := peerOf(s); peer.IsValid() {
		c.remote = netAddr(s, peer)
	}
	return c
}

// peerOf returns the address that the kernel says a socket is connected to.
func peerOf(s *socket.Socket) (peer socket.Addr) {
	_ = control(s, func(fd int) error {
		if fd >= sys.FirstSimulated {
			var name sys.Sockaddr
			if errno := sys.Getpeername(fd, &name); errno != 0 {
				return errno
			}
			peer = socket.AddrFromSockaddr(&name.Raw, name.Len)
			return nil
		}
		sa, err := unix.Getpeername(fd)
		if err == nil {
			peer = addrOf(sa)
		}
		return err
	})
	return peer
}

func (c *conn) ok() bool { return c != nil && c.sock != nil }

// failed returns the error of the operation op on the connection.
func (c *conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: c.network, Source: c.local, Addr: c.remote, Err: netCause(err)}
}

// wrap returns err as a *net.OpError for the operation op. It returns nil and io.EOF
// unchanged.
func (c *conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return c.failed(op, err)
}

// wrapLocal is wrap for an operation that concerns only the local end.
func (c *conn) wrapLocal(op string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: c.network, Addr: c.local, Err: netCause(err)}
}

// checkOpen returns an error if the connection is closed.
func (c *conn) checkOpen() error {
	if c.sock.Fd() < 0 {
		return net.ErrClosed
	}
	return nil
}

// Socket returns the socket underneath, for what Go's net does not offer:
// options, flags, batches, timeouts and Select. Its timeouts hold beside the
// deadlines. Close closes it.
func (c *conn) Socket() *socket.Socket { return c.sock }

// Read implements net.Conn. Input that methods of Socket have read ahead comes first.
func (c *conn) Read(b []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, err := c.sock.Read(b)
	if err == nil && len(b) == 0 {
		err = c.checkOpen() // for an empty b the socket does not report a closure
	}
	return n, c.wrap("read", err)
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (n int, err error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if len(b) == 0 {
		n, err = c.sock.Send(some(b), 0)
		if e, ok := err.(*socket.Error); ok {
			e.Op = "write" // the name that net uses
		}
	} else {
		n, err = c.sock.Write(b)
	}
	return n, c.wrap("write", err)
}

// some returns b. It returns an empty slice for nil, because the kernel would refuse nil.
func some(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Close implements net.Conn. As in Go's net, it returns after the calls that are blocked
// on the connection: these return net.ErrClosed.
func (c *conn) Close() error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.wrap("close", c.sock.CloseWait())
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr {
	if !c.ok() {
		return nil
	}
	return c.local
}

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr {
	if !c.ok() {
		return nil
	}
	return c.remote
}

// SetDeadline implements net.Conn. It arms no timer: a call arms one only when it waits.
func (c *conn) SetDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.wrapLocal("set", c.sock.SetDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.wrapLocal("set", c.sock.SetReadDeadline(t))
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.wrapLocal("set", c.sock.SetWriteDeadline(t))
}

// SetReadBuffer sets SO_RCVBUF, as in net.
func (c *conn) SetReadBuffer(bytes int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.wrapLocal("set", c.setsockopt(unix.SOL_SOCKET, unix.SO_RCVBUF, bytes))
}

// SetWriteBuffer sets SO_SNDBUF, as in net.
func (c *conn) SetWriteBuffer(bytes int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.wrapLocal("set", c.setsockopt(unix.SOL_SOCKET, unix.SO_SNDBUF, bytes))
}

func (c *conn) setsockopt(level, option, value int) error {
	return control(c.sock, func(fd int) error {
		return os.NewSyscallError("setsockopt", sys.SetsockoptInt(fd, level, option, value))
	})
}

// SyscallConn implements syscall.Conn.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if !c.ok() {
		return nil, syscall.EINVAL
	}
	return newRawConn(c), nil
}

// File returns a duplicate of the descriptor, as in net. It is non-blocking and has no
// deadline. It does not contain the input that methods of Socket have read ahead.
func (c *conn) File() (*os.File, error) {
	if !c.ok() {
		return nil, syscall.EINVAL
	}
	f, err := c.duplicate()
	return f, c.wrap("file", err)
}

func (c *conn) duplicate() (*os.File, error) {
	var dup int
	err := control(c.sock, func(fd int) (err error) {
		dup, err = sys.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return os.NewSyscallError("fcntl", err)
	})
	if err != nil {
		return nil, err
	}
	name := c.network + ":" + addrText(c.local)
	if c.remote != nil {
		name += "->" + c.remote.String()
	}
	return os.NewFile(uintptr(dup), name), nil
}

func (c *conn) shut(how int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.wrap("close", c.sock.Shutdown(how))
}

// control calls f with a socket's descriptor.
func control(s *socket.Socket, f func(fd int) error) error {
	raw, err := s.SyscallConn()
	if err == nil {
		var failed error
		if err = raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err == nil {
			err = failed
		}
	}
	return err
}

// A rawConn gives a program the connection's descriptor for system calls. On a closed
// connection its calls fail, as those of net do.
type rawConn struct {
	c   *conn
	raw syscall.RawConn // of the socket
}

func newRawConn(c *conn) *rawConn {
	raw, _ := c.sock.SyscallConn() // on a closed socket it is valid all the same, and its calls fail
	return &rawConn{c, raw}
}

func (r *rawConn) Control(f func(uintptr)) error {
	return r.c.wrapLocal("raw-control", r.raw.Control(f))
}

func (r *rawConn) Read(f func(uintptr) bool) error {
	return r.c.wrap("raw-read", r.raw.Read(f))
}

func (r *rawConn) Write(f func(uintptr) bool) error {
	return r.c.wrap("raw-write", r.raw.Write(f))
}

// A rawListener is the rawConn of a listener: it has nothing to read or to write.
type rawListener struct{ *rawConn }

func (*rawListener) Read(func(uintptr) bool) error  { return syscall.EINVAL }
func (*rawListener) Write(func(uintptr) bool) error { return syscall.EINVAL }

// NewConn makes the connection type of this package for a socket: a *TCPConn,
// *UDPConn, *UnixConn or *IPConn. It leaves the socket's options as they are.
// Closing the connection closes the socket. A socket of another family is an
// error, and stays open.
func NewConn(s *socket.Socket) (net.Conn, error) {
	return connOf(s, newConn(s, networkOf(s)))
}

// connOf makes the connection type of a socket.
func connOf(s *socket.Socket, c conn) (net.Conn, error) {
	switch s.Family() {
	case socket.Unix:
		return &UnixConn{c}, nil
	case socket.Inet, socket.Inet6:
		switch s.Type() {
		case socket.Stream:
			return &TCPConn{c}, nil
		case socket.Dgram:
			return &UDPConn{c}, nil
		case socket.Raw:
			return &IPConn{c}, nil
		}
	}
	return nil, &net.OpError{Op: "conn", Net: c.network, Err: errNotNet}
}

var errNotNet = errors.New("a socket of this family and type has no type in package net")
