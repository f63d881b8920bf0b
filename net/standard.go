package net

import (
	"net"
	"os"
)

// StdConn turns a connection of this package into one of Go's net, a *net.TCPConn,
// *net.UDPConn, *net.UnixConn or *net.IPConn, for a library that works with these
// types alone. The same socket goes on in it, with its options; Go's own poller
// serves it. c is closed. An error leaves c as it is. Call it while no other call
// uses c, and before methods of c.Socket have read ahead.
func StdConn(c net.Conn) (net.Conn, error) {
	return moved(c, net.FileConn)
}

// StdPacketConn is StdConn for what ListenPacket returns.
func StdPacketConn(c net.PacketConn) (net.PacketConn, error) {
	return moved(c, net.FilePacketConn)
}

// StdListener turns a listener of this package into one of Go's net, as StdConn
// does: a *net.TCPListener or *net.UnixListener. The path of a unix socket stays
// when it is closed.
func StdListener(l net.Listener) (net.Listener, error) {
	if u, ok := l.(*UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	return moved(l, net.FileListener)
}

// moved makes something of a duplicate of a socket's descriptor, and closes what it
// was.
func moved[T interface{ Close() error }](from T, open func(*os.File) (T, error)) (to T, err error) {
	filer, ok := any(from).(interface{ File() (*os.File, error) })
	if !ok {
		return to, &net.OpError{Op: "std", Err: errNotNet}
	}
	f, err := filer.File()
	if err != nil {
		return to, err
	}
	defer f.Close()
	if to, err = open(f); err != nil {
		return to, err
	}
	if err := from.Close(); err != nil {
		to.Close()
		return to, err
	}
	return to, nil
}
