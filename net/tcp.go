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

// A TCPConn is net.TCPConn over a Weir socket. It has the methods of *net.TCPConn. Their
// errors are *net.OpError, as in net. It is concurrency-safe.
type TCPConn struct{ conn }

// ReadFrom implements io.ReaderFrom. It sends a regular file by sendfile(2). It moves the
// data of another stream connection of this package, or of a *socket.Socket, by
// splice(2). Both work through an *io.LimitedReader, too. It copies from every other
// reader. If ReadFrom has read bytes and not written them, the error has a
// *socket.UnsentError with these bytes.
func (c *TCPConn) ReadFrom(r io.Reader) (int64, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, err := readFrom(c.sock, r)
	return n, c.wrap("readfrom", err)
}

// WriteTo implements io.WriterTo. It moves the data to another stream connection of this
// package, or to a *socket.Socket, by splice(2). It copies to every other writer. Its
// errors are those of ReadFrom.
func (c *TCPConn) WriteTo(w io.Writer) (int64, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if sink := streamOf(w); sink != nil {
		w = sink
	}
	n, err := c.sock.WriteTo(w)
	return n, c.wrap("writeto", err)
}

// CloseRead is that of *net.TCPConn.
func (c *TCPConn) CloseRead() error { return c.shut(unix.SHUT_RD) }

// CloseWrite is that of *net.TCPConn.
func (c *TCPConn) CloseWrite() error { return c.shut(unix.SHUT_WR) }

// SetNoDelay sets TCP_NODELAY, as in net.
func (c *TCPConn) SetNoDelay(on bool) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.wrap("set", c.setsockopt(unix.IPPROTO_TCP, unix.TCP_NODELAY, boolInt(on)))
}

// SetLinger sets SO_LINGER, as in net.
func (c *TCPConn) SetLinger(seconds int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.wrap("set", control(c.sock, func(fd int) error {
		return os.NewSyscallError("setsockopt", sys.SetLinger(fd, seconds))
	}))
}

// SetKeepAlive is that of *net.TCPConn.
func (c *TCPConn) SetKeepAlive(on bool) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.wrap("set", c.setsockopt(unix.SOL_SOCKET, unix.SO_KEEPALIVE, boolInt(on)))
}

// SetKeepAlivePeriod is that of *net.TCPConn.
func (c *TCPConn) SetKeepAlivePeriod(d time.Duration) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.wrap("set", control(c.sock, func(fd int) error {
		return setSeconds(fd, unix.TCP_KEEPIDLE, d, keepAliveIdle)
	}))
}

// SetKeepAliveConfig is that of *net.TCPConn.
func (c *TCPConn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	return c.wrap("set", control(c.sock, func(fd int) error { return setKeepAlive(fd, config) }))
}

// MultipathTCP is that of *net.TCPConn.
func (c *TCPConn) MultipathTCP() (bool, error) {
	if !c.ok() {
		return false, syscall.EINVAL
	}
	var uses bool
	_ = control(c.sock, func(fd int) error { uses = usesMultipath(fd); return nil })
	return uses, nil
}

// A TCPListener is net.TCPListener over a Weir socket. It is concurrency-safe.
type TCPListener struct{ end conn }

func (l *TCPListener) ok() bool { return l != nil && l.end.ok() }

// Accept implements net.Listener. The connection is a *TCPConn. If no descriptor is free,
// the error's Temporary method returns true, and the connection stays in the queue.
func (l *TCPListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptTCP is Accept with the connection's own type. The connection inherits the
// listener's options, such as TCP_NODELAY and keep-alive.
func (l *TCPListener) AcceptTCP() (*TCPConn, error) {
	if !l.ok() {
		return nil, syscall.EINVAL
	}
	s, err := accept(&l.end)
	if err != nil {
		return nil, err
	}
	return &TCPConn{accepted(s, l.end.network)}, nil
}

// accept waits for the next connection of a listener.
func accept(end *conn) (*socket.Socket, error) {
	for {
		s, err := end.sock.Accept()
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, unix.ECONNABORTED) { // one connection that was aborted does not end Accept
			return nil, end.wrapLocal("accept", err)
		}
	}
}

// accepted returns the conn of an accepted socket and its peer's address.
func accepted(s *socket.Socket, network string) conn {
	return conn{s, network, netAddr(s, s.LocalAddr()), netAddr(s, s.RemoteAddr())}
}

// Close is that of *net.TCPListener.
func (l *TCPListener) Close() error {
	if !l.ok() {
		return syscall.EINVAL
	}
	return l.end.wrapLocal("close", l.end.sock.CloseWait())
}

// Addr implements net.Listener.
func (l *TCPListener) Addr() net.Addr { return l.end.local }

// SetDeadline is that of *net.TCPListener.
func (l *TCPListener) SetDeadline(t time.Time) error {
	if !l.ok() {
		return syscall.EINVAL
	}
	return netCause(l.end.sock.SetReadDeadline(t))
}

// Socket returns the socket underneath. Close closes it.
func (l *TCPListener) Socket() *socket.Socket { return l.end.sock }

// SyscallConn implements syscall.Conn.
func (l *TCPListener) SyscallConn() (syscall.RawConn, error) {
	if !l.ok() {
		return nil, syscall.EINVAL
	}
	return &rawListener{newRawConn(&l.end)}, nil
}

// File is that of *net.TCPListener, but the file is non-blocking.
func (l *TCPListener) File() (*os.File, error) {
	if !l.ok() {
		return nil, syscall.EINVAL
	}
	f, err := l.end.duplicate()
	return f, l.end.wrapLocal("file", err)
}

// ListenTCP is net.ListenTCP over a Weir socket.
func ListenTCP(network string, laddr *net.TCPAddr) (*TCPListener, error) {
	t, err := parseNetwork(network)
	if err != nil || !t.tcp() {
		return nil, opError("listen", network, nil, optional(laddr), net.UnknownNetworkError(network))
	}
	if laddr == nil {
		laddr = &net.TCPAddr{}
	}
	s, err := new(ListenConfig).listen(t, laddr)
	if err != nil {
		return nil, opError("listen", network, nil, laddr, err)
	}
	return newTCPListener(s, network), nil
}

func newTCPListener(s *socket.Socket, network string) *TCPListener {
	return &TCPListener{conn{sock: s, network: network, local: netAddr(s, s.LocalAddr())}}
}
