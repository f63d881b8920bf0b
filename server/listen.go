package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// Listen opens a listener and serves it from then on. The network is "tcp",
// "tcp4", "tcp6" or "unix"; or "udp", "udp4" or "udp6", for Events.Packet. The
// address is as net.Listen has it: a host, which may be empty for all of this
// machine's addresses, and a port, of which 0 is a free one; or a path, which
// must not exist, and is removed in the end. Listen returns the address that it
// is bound to.
func (s *Server) Listen(network, address string) (bound socket.Addr, err error) {
	if err := s.start(); err != nil {
		return socket.Addr{}, err
	}
	engines := s.engines[:1]
	if s.ReusePort && network != "unix" {
		engines = s.engines
	}
	var opened []*socket.Socket
	defer func() {
		for _, ls := range opened { // those that are not served
			ls.Close()
		}
		if path := bound.Path(); err != nil && path != "" {
			_ = os.Remove(path)
		}
	}()
	for range engines {
		ls, err := s.openListener(network, address)
		if err != nil {
			if errors.As(err, new(*net.OpError)) { // it says where
				return socket.Addr{}, fmt.Errorf("server: %w", err)
			}
			return socket.Addr{}, fmt.Errorf("server: listen %s %s: %w", network, address, err)
		}
		opened = append(opened, ls)
		bound = ls.LocalAddr()
		if network != "unix" {
			_, port, _ := net.SplitHostPort(bound.String())
			host, _, _ := net.SplitHostPort(address)
			address = net.JoinHostPort(host, port) // that the others bind, too
		}
	}
	for _, e := range engines {
		if err := s.add(e, opened[0], network == "unix"); err != nil {
			return bound, err
		}
		opened = opened[1:]
	}
	return bound, nil
}

// openListener makes a listening socket, or one for datagrams. Names and
// addresses are net's business, and so it is net that opens it; a duplicate of
// its descriptor is ours.
func (s *Server) openListener(network, address string) (*socket.Socket, error) {
	config := net.ListenConfig{KeepAlive: -1, Control: s.prepare}
	config.SetMultipathTCP(false)
	var opened io.Closer
	var err error
	switch network {
	case "tcp", "tcp4", "tcp6":
		opened, err = config.Listen(context.Background(), network, address)
	case "unix":
		opened, err = config.Listen(context.Background(), network, address)
	case "udp", "udp4", "udp6":
		opened, err = config.ListenPacket(context.Background(), network, address)
	default:
		return nil, net.UnknownNetworkError(network)
	}
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	fd, err := duplicate(opened.(syscall.Conn))
	if err != nil {
		return nil, err
	}
	ls, err := socket.Resume(fd, nil, socket.Group(s.group))
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	if ls.Type() == socket.Stream {
		err = ls.Listen(s.Backlog)
	}
	if err != nil {
		ls.Close()
		return nil, err
	}
	if l, ok := opened.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false) // only now, for a failure is to leave no path
	}
	return ls, nil
}

// prepare sets the options of a listener, before it is bound.
func (s *Server) prepare(network, _ string, conn syscall.RawConn) (err error) {
	failed := conn.Control(func(fd uintptr) {
		if s.ReusePort && !strings.HasPrefix(network, "unix") {
			if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
				err = os.NewSyscallError("setsockopt", err)
				return
			}
		}
		err = s.tune(int(fd))
	})
	return cmp.Or(failed, err)
}

// tune sets the options of a listener that the connections which it accepts
// inherit.
func (s *Server) tune(fd int) error {
	protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	tcp := protocol == unix.IPPROTO_TCP
	seconds := max(int((s.KeepAlive+time.Second-1)/time.Second), 1)
	for _, o := range []struct {
		wanted             bool
		level, name, value int
	}{
		{s.RecvBuffer > 0, unix.SOL_SOCKET, unix.SO_RCVBUF, s.RecvBuffer},
		{s.SendBuffer > 0, unix.SOL_SOCKET, unix.SO_SNDBUF, s.SendBuffer},
		{tcp && !s.Delay, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{tcp && s.KeepAlive > 0, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{tcp && s.KeepAlive > 0, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds},
		{tcp && s.KeepAlive > 0, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds},
	} {
		if !o.wanted {
			continue
		}
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

// duplicate is a second descriptor of an open file.
func duplicate(c syscall.Conn) (dup int, err error) {
	conn, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	failed := conn.Control(func(fd uintptr) {
		dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = cmp.Or(failed, err); err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	return dup, nil
}

// ListenOn serves a socket that was made otherwise: one that listens, or, for
// Events.Packet, one that is bound. The server owns it from then on.
// With an error it is still the caller's, unless that is ErrClosed.
func (s *Server) ListenOn(ls *socket.Socket) error {
	if ls == nil {
		return errors.New("server: listen: the socket is nil")
	}
	err := s.start()
	if err == nil {
		err = s.checkOther(ls)
	}
	if err == nil {
		err = s.add(s.pick(socket.Addr{}), ls, false)
	}
	if err == ErrClosed {
		ls.Close() // as the caller will not
	}
	return err
}

// checkOther prepares a socket that was made otherwise, and says why it cannot be
// served.
func (s *Server) checkOther(ls *socket.Socket) error {
	if err := s.serves(ls.Type()); err != nil {
		return err
	}
	if ls.Registration().Use() != nil {
		return fmt.Errorf("server: %w", connClosed("listen"))
	}
	fd := ls.Registration().FD()
	err := s.tune(fd)
	if err == nil && ls.Type() != socket.Dgram {
		var listens int
		if listens, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && listens == 0 {
			err = &socket.Error{Op: "listen", Addr: ls.LocalAddr().String(), Errno: unix.EINVAL, Err: errors.New("the socket does not listen")}
		}
	}
	ls.Registration().Done()
	if err != nil {
		return fmt.Errorf("server: listen: %w", err)
	}
	return nil
}

// serves says whether there is a callback for what sockets of a type bring.
func (s *Server) serves(t socket.Type) error {
	switch {
	case t == socket.Dgram && s.Events.Packet == nil:
		return errors.New("server: listen: Server.Events.Packet is not set")
	case t != socket.Dgram && s.Events.Data == nil && s.Handler == nil:
		return errors.New("server: listen: neither Server.Events.Data nor Server.Handler is set")
	}
	return nil
}

// add serves a listening socket on an engine.
func (s *Server) add(e *engine, ls *socket.Socket, unlink bool) error {
	if err := s.serves(ls.Type()); err != nil {
		return err
	}
	if ls.Type() == socket.Dgram {
		return s.addPackets(e, ls)
	}
	l := &listener{eng: e, family: ls.Family(), addr: ls.LocalAddr()}
	l.self = l
	if unlink {
		l.path = l.addr.Path()
	}
	fd, _, err := ls.Release()
	if err != nil {
		return fmt.Errorf("server: listen: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != serving {
		unix.Close(fd)
		return ErrClosed
	}
	l.pending = true // whoever connected before
	if err := e.loop.Handle(&l.reg, fd, &l.self); err != nil {
		unix.Close(fd)
		return fmt.Errorf("server: listen: %w", err)
	}
	s.listeners = append(s.listeners, l)
	return nil
}

// unlisten forgets a listener.
func (s *Server) unlisten(l *listener) {
	s.mu.Lock()
	for i, x := range s.listeners {
		if x == l {
			s.listeners = append(s.listeners[:i], s.listeners[i+1:]...)
			break
		}
	}
	path := l.path
	s.mu.Unlock()
	if path != "" {
		_ = os.Remove(path) // somebody else may have
	}
}

// Addrs is the addresses that the server listens at, in the order of Listen or
// Inherit. A closed server has none.
func (s *Server) Addrs() (list []socket.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		if !slices.Contains(list, l.addr) { // each loop has its own, with ReusePort
			list = append(list, l.addr)
		}
	}
	for _, p := range s.packets {
		list = append(list, p.LocalAddr())
	}
	return list
}
