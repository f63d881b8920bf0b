package net

import (
	"net"
	"os"
)

// StdConn turns a connection of this package into one of Go's net, a *net.TCPConn,
// *net.UDPConn, *net.UnixConn or *net.IPConn, for a library that works only with these
// types. The new connection has the same kernel socket and its options, and uses Go's own
// poller. StdConn closes c. If it returns an error, c is unchanged. Call it while no
// other call uses c, and before methods of c.Socket have read ahead.
func StdConn(c net.Conn) (net.Conn, error) {
	return moved(c, net.FileConn)
}

// StdPacketConn is StdConn for a result of ListenPacket.
func StdPacketConn(c net.PacketConn) (net.PacketConn, error) {
	return moved(c, net.FilePacketConn)
}

// StdListener turns a listener of this package into one of Go's net, as StdConn does: a
// *net.TCPListener or *net.UnixListener. Closing the new listener does not remove the
// path of a unix socket.
func StdListener(l net.Listener) (net.Listener, error) {
	if u, ok := l.(*UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	return moved(l, net.FileListener)
}

// moved calls a function that makes a connection or a listener of a duplicate of a
// socket's descriptor. Then it closes the original.
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
