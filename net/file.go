package net

import (
	"net"
	"os"
	"syscall"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// FileConn is net.FileConn: a connection over a duplicate of an open socket's descriptor.
// The caller still owns the file.
func FileConn(f *os.File) (net.Conn, error) {
	return ofFile(f, func(s *socket.Socket) (net.Conn, error) {
		if s.Family() != socket.Unix && s.Type() == socket.Stream {
			_ = control(s, func(fd int) error { prepareTCP(fd, 0, net.KeepAliveConfig{}); return nil })
		}
		return NewConn(s)
	})
}

// FileListener is net.FileListener: a listener over a duplicate of a listening socket's
// descriptor. Its Close does not remove the path of a unix socket.
func FileListener(f *os.File) (net.Listener, error) { return ofFile(f, NewListener) }

// FilePacketConn is net.FilePacketConn: a connection over a duplicate of an open
// datagram socket's descriptor.
func FilePacketConn(f *os.File) (net.PacketConn, error) {
	return ofFile(f, func(s *socket.Socket) (net.PacketConn, error) {
		if s.Family() != socket.Unix && s.Type() != socket.Dgram && s.Type() != socket.Raw {
			return nil, errNotNet
		}
		return packetConnOf(s, networkOf(s)), nil
	})
}

// ofFile makes a connection or a listener of a duplicate of the file's descriptor. If
// the function of refuses the socket, the error is EINVAL.
func ofFile[C any](f *os.File, of func(*socket.Socket) (C, error)) (none C, _ error) {
	s, err := fileSocket(f)
	if err != nil {
		return none, fileError(f, err)
	}
	c, err := of(s)
	if err != nil {
		s.Close()
		return none, fileError(f, syscall.EINVAL)
	}
	return c, nil
}

// NewListener makes the listener type of this package for a listening socket: a
// *TCPListener or a *UnixListener. The UnixListener does not remove the path of its
// socket. Accepted connections inherit options from the socket as the kernel does it,
// such as TCP_NODELAY and keep-alive. Closing the listener closes the socket. For a
// socket of another family NewListener returns an error and leaves the socket open.
func NewListener(s *socket.Socket) (net.Listener, error) {
	network := networkOf(s)
	switch network {
	case "tcp":
		return newTCPListener(s, network), nil
	case "unix", "unixpacket", "unixgram":
		return newUnixListener(s, network, false), nil
	}
	return nil, &net.OpError{Op: "listener", Net: network, Err: errNotNet}
}

// fileSocket makes a socket of a duplicate of a file's descriptor.
func fileSocket(f *os.File) (*socket.Socket, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	dup := -1
	closed := raw.Control(func(fd uintptr) {
		dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	if closed != nil {
		err = syscall.EBADF // what net gets for a file that is closed
	}
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	s, err := adoptNet(dup)
	if err != nil {
		unix.Close(dup)
	}
	return s, err
}

// adoptNet makes a socket of a descriptor. The descriptor must belong to a family that
// net has.
func adoptNet(fd int) (*socket.Socket, error) {
	if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
		return nil, os.NewSyscallError("getsockopt", err)
	}
	sa, _ := unix.Getsockname(fd)
	if !addrOf(sa).IsValid() {
		return nil, syscall.EPROTONOSUPPORT
	}
	return socket.Adopt(fd)
}

func fileError(f *os.File, err error) error {
	return opError("file", "file+net", nil, fileAddr(f.Name()), err)
}

// A fileAddr is the name of a file in an error.
type fileAddr string

func (fileAddr) Network() string  { return "file+net" }
func (f fileAddr) String() string { return string(f) }
