package server

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/internal/sockethook"
	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A secured is the TLS side of a connection. It is made when the connection is accepted,
// attached or dialed, and lives as long as it.
type secured struct {
	conn *tls.Conn
	link link

	counted atomic.Int64 // bytes of the tls.Conn that MaxMemory counts

	failed error // why the TLS connection has ended, or nil. io.EOF is its orderly end.

	// For a Conn, only on its loop:
	partSince time.Duration // when the first byte of a record arrived that is not complete; 0 if there is none
	notified  bool          // close_notify was sent

	// For a Session, only on its goroutine:
	shaken bool   // the handshake is over
	speaks bool   // the handshake begins without input: this is the client side
	plain  []byte // what ReadLine has read ahead
}

// A tlsSide is tls.Server or tls.Client.
type tlsSide func(net.Conn, *tls.Config) *tls.Conn

// newSecured returns the TLS side of a connected Socket.
func newSecured(sock *socket.Socket, config *tls.Config, make tlsSide) *secured {
	s := &secured{}
	s.link.sock = sock
	s.conn = make(&s.link, config)
	return s
}

// A link is the net.Conn under a tls.Conn. It works in two ways:
//
//   - On a Socket it blocks as any net.Conn does. The handshake and the calls of a Handler
//     use it so. Between them nowait makes Read return what has arrived, and then
//     errNoCipher.
//   - On a Conn, the loop puts ciphertext that it has received into arrived, and Read
//     returns that, and then errNoCipher. Write adds to the output queue of the Conn.
//
// errNoCipher is temporary. crypto/tls keeps a part of a record, does not remember a
// temporary error, and goes on in the next Read.
type link struct {
	sock    *socket.Socket // nil on a Conn
	nowait  bool           // Read does not wait
	paced   bool           // Rates.Read limits the Socket
	leaving atomic.Bool    // Write does not wait, and Close does nothing

	ahead []byte // ciphertext that a Socket had read ahead; Read returns it first

	owner   *Conn  // nil on a Socket
	arrived []byte // ciphertext that Read returns next
	ended   bool   // the peer has ended its stream
}

var errNoCipher error = noCipher{}

// noCipher is a net.Error.
type noCipher struct{}

func (noCipher) Error() string   { return "server: no more ciphertext has arrived" }
func (noCipher) Timeout() bool   { return true }
func (noCipher) Temporary() bool { return true }

// Read returns ciphertext.
func (l *link) Read(p []byte) (int, error) {
	switch {
	case len(l.ahead) > 0:
		n := copy(p, l.ahead)
		l.ahead = l.ahead[n:]
		return n, nil
	case l.owner != nil:
		if len(l.arrived) > 0 {
			n := copy(p, l.arrived)
			l.arrived = l.arrived[n:]
			return n, nil
		}
		if l.ended {
			return 0, io.EOF
		}
		return 0, errNoCipher
	case l.nowait && l.paced:
		// Without a wait for the rate, the session would ask again and again.
		if !l.unread() {
			return 0, errNoCipher
		}
	case l.nowait:
		n, err := sockethook.Take(l.sock, p)
		if err == unix.EAGAIN {
			return 0, errNoCipher
		}
		return n, err
	}
	return l.sock.Read(p)
}

// unread reports whether the kernel has something for the Socket.
func (l *link) unread() bool {
	reg := l.sock.Registration()
	if reg.Use() != nil {
		return true // Read then returns why
	}
	defer reg.Done()
	return readsNow(reg.FD())
}

// readsNow reports whether a receive would not wait: there is input, the end, or an error.
func readsNow(fd int) bool {
	var b [1]byte
	_, errno := sys.Recv(fd, b[:], unix.MSG_PEEK)
	return errno != unix.EAGAIN
}

// Write sends or queues ciphertext.
func (l *link) Write(p []byte) (int, error) {
	switch {
	case l.owner != nil:
		if err := l.owner.queueSealed(p); err != nil {
			return 0, err
		}
		return len(p), nil
	case l.leaving.Load():
		return l.sock.Send(p, unix.MSG_DONTWAIT)
	}
	return l.sock.Write(p)
}

// Close closes the Socket. On a Conn it does nothing, because the Conn closes itself.
func (l *link) Close() error {
	if l.owner != nil || l.leaving.Load() {
		return nil
	}
	return l.sock.Close()
}

// LocalAddr returns the connection's own address.
func (l *link) LocalAddr() net.Addr {
	if l.owner != nil {
		return netAddr(l.owner.LocalAddr())
	}
	return netAddr(l.sock.LocalAddr().Unmap())
}

// RemoteAddr returns the peer's address.
func (l *link) RemoteAddr() net.Addr {
	if l.owner != nil {
		return netAddr(l.owner.RemoteAddr())
	}
	return netAddr(l.sock.RemoteAddr().Unmap())
}

// netAddr returns the address of a stream socket as a net.Addr.
func netAddr(a socket.Addr) net.Addr {
	if inet := a.AddrPort(); inet.IsValid() {
		return net.TCPAddrFromAddrPort(inet)
	}
	return &net.UnixAddr{Name: a.Path(), Net: "unix"}
}

// SetDeadline sets the deadlines of the Socket. A Conn has Timeouts instead.
func (l *link) SetDeadline(t time.Time) error {
	return l.deadline(func(s *socket.Socket) error { return s.SetDeadline(t) })
}

// SetReadDeadline sets the read deadline of the Socket.
func (l *link) SetReadDeadline(t time.Time) error {
	return l.deadline(func(s *socket.Socket) error { return s.SetReadDeadline(t) })
}

// SetWriteDeadline sets the write deadline of the Socket.
func (l *link) SetWriteDeadline(t time.Time) error {
	return l.deadline(func(s *socket.Socket) error { return s.SetWriteDeadline(t) })
}

func (l *link) deadline(set func(*socket.Socket) error) error {
	if l.owner != nil || l.leaving.Load() {
		return nil
	}
	return set(l.sock)
}
