package net

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A UnixConn is net.UnixConn over a Weir socket. Its network is "unix", "unixgram" or
// "unixpacket". It is concurrency-safe.
type UnixConn struct{ conn }

// CloseRead is that of *net.UnixConn.
func (c *UnixConn) CloseRead() error { return c.shut(unix.SHUT_RD) }

// CloseWrite is that of *net.UnixConn.
func (c *UnixConn) CloseWrite() error { return c.shut(unix.SHUT_WR) }

// ReadFromUnix is ReadFrom with the address's own type.
func (c *UnixConn) ReadFromUnix(b []byte) (int, *net.UnixAddr, error) {
	if !c.ok() {
		return 0, nil, syscall.EINVAL
	}
	n, from, err := c.sock.RecvFrom(some(b), 0)
	return n, unixAddr(c.sock, from), c.wrap("read", err)
}

// ReadFrom implements net.PacketConn.
func (c *UnixConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUnix(b)
	if from == nil {
		return n, nil, err
	}
	return n, from, err
}

// unixAddr returns the address of a sender. It returns nil if the sender has no name.
func unixAddr(s *socket.Socket, a socket.Addr) *net.UnixAddr {
	if a.Family() != socket.Unix {
		return nil
	}
	return netAddr(s, a).(*net.UnixAddr)
}

// ReadMsgUnix is that of *net.UnixConn.
func (c *UnixConn) ReadMsgUnix(b, oob []byte) (n, oobn, flags int, addr *net.UnixAddr, err error) {
	if !c.ok() {
		return 0, 0, 0, nil, syscall.EINVAL
	}
	var from socket.Addr
	n, oobn, flags, from, err = c.readMsg(b, oob)
	return n, oobn, flags, unixAddr(c.sock, from), c.wrap("read", err)
}

// WriteToUnix is WriteTo with the address's own type.
func (c *UnixConn) WriteToUnix(b []byte, addr *net.UnixAddr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	to, err := socket.Addr{}, error(net.ErrWriteToConnected)
	if c.remote == nil {
		to, err = c.to(addr, "sendto")
	}
	return sendTo(&c.conn, b, to, err, optional(addr))
}

// WriteTo implements net.PacketConn.
func (c *UnixConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	to, err := addrAs[*net.UnixAddr](&c.conn, addr)
	if err != nil {
		return 0, err
	}
	return c.WriteToUnix(b, to)
}

// to returns the address to send to by the system call op.
func (c *UnixConn) to(addr *net.UnixAddr, op string) (socket.Addr, error) {
	switch {
	case addr == nil:
		return socket.Addr{}, errMissingAddress
	case addr.Net != networkOf(c.sock):
		return socket.Addr{}, syscall.EAFNOSUPPORT
	}
	to, err := unixIn(addr)
	return to, syscallError(op, err)
}

// WriteMsgUnix is that of *net.UnixConn.
func (c *UnixConn) WriteMsgUnix(b, oob []byte, addr *net.UnixAddr) (n, oobn int, err error) {
	if !c.ok() {
		return 0, 0, syscall.EINVAL
	}
	var to socket.Addr
	switch {
	case c.sock.Type() == socket.Dgram && c.remote != nil:
		err = net.ErrWriteToConnected
	case addr != nil:
		to, err = c.to(addr, "sendmsg")
	}
	return sendMsg(&c.conn, b, oob, to, err, optional(addr))
}

// A UnixListener is net.UnixListener over a Weir socket. It is concurrency-safe.
type UnixListener struct {
	end    conn
	path   string
	unlink bool
	once   sync.Once
}

func newUnixListener(s *socket.Socket, network string, unlink bool) *UnixListener {
	l := &UnixListener{end: conn{sock: s, network: network, local: netAddr(s, s.LocalAddr())}, unlink: unlink}
	l.path = l.end.local.String()
	return l
}

func (l *UnixListener) ok() bool { return l != nil && l.end.ok() }

// Accept implements net.Listener. The connection is a *UnixConn.
func (l *UnixListener) Accept() (net.Conn, error) {
	c, err := l.AcceptUnix()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptUnix is Accept with the connection's own type.
func (l *UnixListener) AcceptUnix() (*UnixConn, error) {
	if !l.ok() {
		return nil, syscall.EINVAL
	}
	s, err := accept(&l.end)
	if err != nil {
		return nil, err
	}
	return &UnixConn{accepted(s, l.end.network)}, nil
}

// Close is that of *net.UnixListener.
func (l *UnixListener) Close() error {
	if !l.ok() {
		return syscall.EINVAL
	}
	l.once.Do(func() {
		// Unlink before the close. After it, another socket may use the path.
		if l.unlink && l.path[0] != '@' {
			_ = unix.Unlink(l.path) // an error is fine: the program may have unlinked it
		}
	})
	return l.end.wrapLocal("close", l.end.sock.CloseWait())
}

// Addr implements net.Listener.
func (l *UnixListener) Addr() net.Addr { return l.end.local }

// SetDeadline is that of *net.UnixListener.
func (l *UnixListener) SetDeadline(t time.Time) error {
	if !l.ok() {
		return syscall.EINVAL
	}
	return netCause(l.end.sock.SetReadDeadline(t))
}

// SetUnlinkOnClose sets whether Close removes the path of the socket. By default Close
// removes a path that a ListenConfig has made. It is for one goroutine at a time, and
// not beside Close.
func (l *UnixListener) SetUnlinkOnClose(unlink bool) { l.unlink = unlink }

// Socket returns the socket underneath. Close closes it.
func (l *UnixListener) Socket() *socket.Socket { return l.end.sock }

// SyscallConn implements syscall.Conn.
func (l *UnixListener) SyscallConn() (syscall.RawConn, error) {
	if !l.ok() {
		return nil, syscall.EINVAL
	}
	return &rawListener{newRawConn(&l.end)}, nil
}

// File is that of *net.UnixListener, but the file is non-blocking.
func (l *UnixListener) File() (*os.File, error) {
	if !l.ok() {
		return nil, syscall.EINVAL
	}
	f, err := l.end.duplicate()
	return f, l.end.wrapLocal("file", err)
}

// ListenUnix is net.ListenUnix over a Weir socket.
func ListenUnix(network string, laddr *net.UnixAddr) (*UnixListener, error) {
	t, err := parseNetwork(network)
	if err != nil || !t.unix() || t.typ == socket.Dgram {
		return nil, opError("listen", network, nil, optional(laddr), net.UnknownNetworkError(network))
	}
	if laddr == nil {
		return nil, opError("listen", network, nil, nil, errMissingAddress)
	}
	s, err := new(ListenConfig).listen(t, laddr)
	if err != nil {
		return nil, opError("listen", network, nil, laddr, err)
	}
	return newUnixListener(s, network, true), nil
}

// ListenUnixgram is net.ListenUnixgram over a Weir socket.
func ListenUnixgram(network string, laddr *net.UnixAddr) (*UnixConn, error) {
	if network != "unixgram" {
		return nil, opError("listen", network, nil, optional(laddr), net.UnknownNetworkError(network))
	}
	if laddr == nil {
		return nil, opError("listen", network, nil, nil, errMissingAddress)
	}
	s, err := new(ListenConfig).listenPacket(transports[network], laddr)
	if err != nil {
		return nil, opError("listen", network, nil, laddr, err)
	}
	return &UnixConn{newConn(s, network)}, nil
}
