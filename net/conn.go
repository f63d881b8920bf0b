package net

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// An endpoint is what net's interfaces have in common over a socket. Its
// addresses do not change, and are known when it is closed.
type endpoint struct {
	sock          *socket.Socket
	network       string
	local, remote net.Addr
}

func newEndpoint(s *socket.Socket, network string) endpoint {
	return endpoint{s, network, netAddr(s, s.LocalAddr()), netAddr(s, s.RemoteAddr())}
}

// failed is the error of a call that uses the connection.
func (e *endpoint) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: e.network, Source: e.local, Addr: e.remote, Err: netCause(err)}
}

// was is failed, if there is an error.
func (e *endpoint) was(op string, err error) error {
	if err == nil {
		return nil
	}
	return e.failed(op, err)
}

// done is the error, if there is one, of a call that is about the endpoint
// itself.
func (e *endpoint) done(op string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: e.network, Addr: e.local, Err: netCause(err)}
}

// open is the error of a call that has nothing to do, on a closed endpoint.
func (e *endpoint) open(op string) error {
	if e.sock.Fd() < 0 {
		return e.failed(op, net.ErrClosed)
	}
	return nil
}

// Socket is the socket underneath, for options, flags, timeouts, and Select. Its
// timeouts hold beside the deadlines. Close closes it.
func (e *endpoint) Socket() *socket.Socket { return e.sock }

// Close closes the socket. Calls that are blocked on it return net.ErrClosed,
// and so does a second Close.
func (e *endpoint) Close() error { return e.was("close", e.sock.Close()) }

// LocalAddr is the local address: a *net.TCPAddr, *net.UDPAddr or *net.UnixAddr
// for what these are, and a socket.Addr for the other families.
func (e *endpoint) LocalAddr() net.Addr { return e.local }

// RemoteAddr is the peer's address, of such a type; nil if there is no peer.
func (e *endpoint) RemoteAddr() net.Addr { return e.remote }

// SetDeadline sets the deadlines of reading and writing. Calls that are blocked
// when a deadline comes, or is moved into the past, and calls that begin after
// it, return os.ErrDeadlineExceeded. The zero time is none. Setting one costs no
// timer: a call arms one when it has to wait.
func (e *endpoint) SetDeadline(t time.Time) error { return e.done("set", e.sock.SetDeadline(t)) }

// SetReadDeadline sets the deadline of reading, or accepting, alone.
func (e *endpoint) SetReadDeadline(t time.Time) error {
	return e.done("set", e.sock.SetReadDeadline(t))
}

// SetWriteDeadline sets the deadline of writing alone.
func (e *endpoint) SetWriteDeadline(t time.Time) error {
	return e.done("set", e.sock.SetWriteDeadline(t))
}

// SetReadBuffer sets the size of the kernel's receive buffer: SO_RCVBUF.
func (e *endpoint) SetReadBuffer(bytes int) error {
	return e.done("set", e.sock.Setsockopt(nil, "SO_RCVBUF", bytes))
}

// SetWriteBuffer sets the size of the kernel's send buffer: SO_SNDBUF.
func (e *endpoint) SetWriteBuffer(bytes int) error {
	return e.done("set", e.sock.Setsockopt(nil, "SO_SNDBUF", bytes))
}

// SyscallConn gives access to the descriptor, for system calls of the caller's
// own: see syscall.RawConn.
func (e *endpoint) SyscallConn() (syscall.RawConn, error) {
	raw, err := e.sock.SyscallConn()
	if err != nil {
		return nil, e.done("raw-control", err)
	}
	return &rawConn{e, raw}, nil
}

// File is a duplicate of the descriptor, which must be closed as well. It is
// non-blocking and has no deadline; what is read from it is missing here.
func (e *endpoint) File() (*os.File, error) {
	var dup int
	err := control(e.sock, func(fd int) (err error) {
		dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return os.NewSyscallError("fcntl", err)
	})
	if err != nil {
		return nil, e.failed("file", err)
	}
	name := e.network + ":"
	if e.local != nil {
		name += e.local.String()
	}
	if e.remote != nil {
		name += "->" + e.remote.String()
	}
	return os.NewFile(uintptr(dup), name), nil
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

// A rawConn is a socket's, with net's errors.
type rawConn struct {
	end *endpoint
	raw syscall.RawConn
}

func (c *rawConn) Control(f func(uintptr)) error {
	return c.end.done("raw-control", c.raw.Control(f))
}

func (c *rawConn) Read(f func(uintptr) bool) error {
	return c.end.was("raw-read", c.raw.Read(f))
}

func (c *rawConn) Write(f func(uintptr) bool) error {
	return c.end.was("raw-write", c.raw.Write(f))
}

// A NetConn is a net.Conn over a connected socket that carries a stream, or
// messages in both directions: what Dial and Accept return for "tcp", "unix"
// and "unixpacket". Its methods are those of *net.TCPConn and *net.UnixConn, and
// their errors are *net.OpError as there.
type NetConn struct{ endpoint }

var (
	_ net.Conn      = (*NetConn)(nil)
	_ syscall.Conn  = (*NetConn)(nil)
	_ io.ReaderFrom = (*NetConn)(nil)
	_ io.WriterTo   = (*NetConn)(nil)
)

// NewNetConn makes a NetConn of a connected socket, and leaves its options as
// they are. Closing it closes the socket.
func NewNetConn(s *socket.Socket) *NetConn { return netConn(s, networkOf(s)) }

func netConn(s *socket.Socket, network string) *NetConn {
	return &NetConn{newEndpoint(s, network)}
}

// Read reads what there is, up to len(b) bytes, and waits while that is
// nothing. At the end of the stream it returns io.EOF. Input that methods of the
// Socket have read ahead comes first.
func (c *NetConn) Read(b []byte) (int, error) {
	n, err := c.sock.Read(b)
	if err != nil && err != io.EOF {
		err = c.failed("read", err)
	} else if len(b) == 0 {
		err = c.open("read")
	}
	return n, err
}

// Write writes all of b. When it writes less, the error says why. Nothing to
// write is a system call all the same, which says what is wrong with the
// connection.
func (c *NetConn) Write(b []byte) (n int, err error) {
	if len(b) == 0 {
		n, err = c.sock.Send(some(b), 0)
		if e, ok := err.(*socket.Error); ok {
			e.Op = "write" // as net has it
		}
	} else {
		n, err = c.sock.Write(b)
	}
	if err != nil {
		err = c.failed("write", err)
	}
	return n, err
}

// ReadFrom writes what r has, up to its end, and returns how much that was: by
// sendfile(2) from a regular file, by splice(2) from another NetConn or a
// *socket.Socket, through an *io.LimitedReader as well, and by copying from
// everything else. If bytes were read and not written, the error has a
// *socket.UnsentError with them.
func (c *NetConn) ReadFrom(r io.Reader) (n int64, err error) {
	switch source := r.(type) {
	case *NetConn:
		n, err = c.sock.ReadFrom(source.sock)
	case *io.LimitedReader:
		if inner, ok := source.R.(*NetConn); ok {
			bare := &io.LimitedReader{R: inner.sock, N: source.N}
			n, err = c.sock.ReadFrom(bare)
			source.N = bare.N
			break
		}
		n, err = c.sock.ReadFrom(r)
	default:
		n, err = c.sock.ReadFrom(r)
	}
	return n, c.was("readfrom", err)
}

// WriteTo reads up to the end of the stream and writes all to w, and returns
// how much that was: by splice(2) to another NetConn or a *socket.Socket, and by
// copying to everything else. Errors are as for ReadFrom.
func (c *NetConn) WriteTo(w io.Writer) (int64, error) {
	if sink, ok := w.(*NetConn); ok {
		w = sink.sock
	}
	n, err := c.sock.WriteTo(w)
	return n, c.was("writeto", err)
}

// WriteBuffers writes all the buffers by writev(2) and takes off what it has
// written, as bufs.WriteTo would do it on a connection of package net. (It cannot
// here: what it looks for is known to that package alone. It writes one buffer
// after the other.)
func (c *NetConn) WriteBuffers(bufs *net.Buffers) (int64, error) {
	n, err := c.sock.Writev(*bufs)
	left := n
	for len(*bufs) > 0 && left >= len((*bufs)[0]) {
		left -= len((*bufs)[0])
		(*bufs)[0] = nil
		*bufs = (*bufs)[1:]
	}
	if left > 0 {
		(*bufs)[0] = (*bufs)[0][left:]
	}
	return int64(n), c.was("writev", err)
}

// CloseRead shuts the reading side down: Read returns io.EOF.
func (c *NetConn) CloseRead() error { return c.shut(unix.SHUT_RD) }

// CloseWrite shuts the writing side down: the peer reads the end of the stream
// when it has read all that was written.
func (c *NetConn) CloseWrite() error { return c.shut(unix.SHUT_WR) }

func (c *NetConn) shut(how int) error {
	return c.was("close", c.sock.Shutdown(how))
}

// SetNoDelay sets TCP_NODELAY: small segments leave at once. It is on from the
// beginning on connections that Dial and Accept return.
func (c *NetConn) SetNoDelay(on bool) error { return c.was("set", c.sock.SetNoDelay(on)) }

// SetLinger sets what Close does with data that is not yet acknowledged:
// negative, it is sent in the background; zero, it is dropped; positive, it is
// sent, and dropped after so many seconds. See socket(7), SO_LINGER.
func (c *NetConn) SetLinger(seconds int) error {
	return c.was("set", c.sock.SetLinger(seconds))
}

// SetKeepAlive turns keep-alive probes on or off.
func (c *NetConn) SetKeepAlive(on bool) error {
	return c.was("set", c.sock.Setsockopt(nil, "SO_KEEPALIVE", on))
}

// SetKeepAlivePeriod sets after which idle time the probes begin; 0 is 15
// seconds, and a negative one changes nothing. It is rounded up to seconds.
func (c *NetConn) SetKeepAlivePeriod(d time.Duration) error {
	return c.was("set", control(c.sock, func(fd int) error {
		return setSeconds(fd, unix.TCP_KEEPIDLE, d, keepAliveIdle)
	}))
}

// SetKeepAliveConfig sets all that concerns keep-alive probes.
func (c *NetConn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	return c.was("set", control(c.sock, func(fd int) error { return setKeepAlive(fd, config) }))
}

// What a field of net.KeepAliveConfig that is 0 means, as net documents.
const (
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 15 * time.Second
	keepAliveCount    = 9
)

func setKeepAlive(fd int, c net.KeepAliveConfig) error {
	on := 0
	if c.Enable {
		on = 1
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, on); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := setSeconds(fd, unix.TCP_KEEPIDLE, c.Idle, keepAliveIdle); err != nil {
		return err
	}
	if err := setSeconds(fd, unix.TCP_KEEPINTVL, c.Interval, keepAliveInterval); err != nil {
		return err
	}
	if c.Count == 0 {
		c.Count = keepAliveCount
	}
	if c.Count < 0 {
		return nil
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, c.Count))
}

// setSeconds sets an option of TCP to a time, rounded up to seconds. Of 0 it is
// the usual one, and negative it is left as it is.
func setSeconds(fd, option int, d, usual time.Duration) error {
	if d < 0 {
		return nil
	}
	if d == 0 {
		d = usual
	}
	seconds := int((d + time.Second - 1) / time.Second)
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, option, seconds))
}
