package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/seed-2334f180/weir/internal/sys"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// Listen opens a listener and serves it from then on. It returns the address
// that the listener is bound to.
//
// The network is "tcp", "tcp4", "tcp6" or "unix"; or, for Events.Packet, "udp",
// "udp4" or "udp6". The address is a host and a port, as for net.Listen: an empty
// host means all addresses of the machine, and port 0 means a free port. For "unix"
// it is a path. A path that begins with "@" is an abstract name: unix(7). Any other
// path must not exist yet, unless ReplacePath is set and no server listens there. The
// server removes the path when it ends, unless KeepPath is set.
//
// Listen starts the server if it has not started, and returns the errors of that;
// ErrClosed after the server has ended; and the errors of the look-up and of the
// system calls, with the network and the address.
func (s *Server) Listen(network, address string) (bound socket.Addr, err error) {
	return s.ListenService(network, address, nil)
}

// listen is Listen for the service whose engines are peers.
func (s *Server) listen(network, address string, peers []*engine) (bound socket.Addr, err error) {
	engines := peers[:1]
	if s.ReusePort && network != "unix" {
		engines = peers
	}
	var opened []*socket.Socket
	defer func() {
		for _, ls := range opened { // after an error some are not served
			ls.Close()
		}
		if path := bound.Path(); err != nil && path != "" {
			_ = os.Remove(path)
		}
	}()
	for range engines {
		ls, err := s.openListener(network, address)
		if err != nil {
			return socket.Addr{}, listenFailed(network, address, err)
		}
		opened = append(opened, ls)
		bound = ls.LocalAddr()
		if network != "unix" {
			_, port, _ := net.SplitHostPort(bound.String())
			host, _, _ := net.SplitHostPort(address)
			address = net.JoinHostPort(host, port) // the next ones bind the same port
		}
	}
	for _, e := range engines {
		if err := s.add(e, peers, opened[0], origin{opened: true, path: network == "unix" && !s.KeepPath}); err != nil {
			return bound, err
		}
		opened = opened[1:]
	}
	return bound, nil
}

// listenFailed returns err with the network and the address in front.
func listenFailed(network, address string, err error) error {
	if errors.As(err, new(*net.OpError)) { // its text has them already
		return fmt.Errorf("server: %w", err)
	}
	return fmt.Errorf("server: listen %s %s: %w", network, address, err)
}

// openListener opens a socket that listens, or a bound one for datagrams, with
// the server's options.
func (s *Server) openListener(network, address string) (*socket.Socket, error) {
	config := s.listenConfig()
	switch network {
	case "unix":
		listen := func() (*socket.Socket, error) {
			return config.ListenSocket(context.Background(), network, address)
		}
		if s.ReplacePath {
			return listenReplacing(address, listen)
		}
		return listen()
	case "tcp", "tcp4", "tcp6":
		ls, err := config.ListenSocket(context.Background(), network, address)
		if err != nil {
			return nil, err
		}
		if err = s.delay(ls); err != nil {
			ls.Close()
			return nil, err
		}
		return ls, nil
	case "udp", "udp4", "udp6":
		return config.ListenPacketSocket(context.Background(), network, address)
	}
	return nil, net.UnknownNetworkError(network)
}

// listenConfig returns the options of a listener for package net. Its Control sets the
// options that package net does not have.
func (s *Server) listenConfig() *weirnet.ListenConfig {
	config := &weirnet.ListenConfig{
		KeepAlive: s.KeepAlive,
		Backlog:   s.Backlog,
		Group:     s.group,
		Control: func(network, _ string, conn syscall.RawConn) (err error) {
			failed := conn.Control(func(fd uintptr) {
				if s.ReusePort && !strings.HasPrefix(network, "unix") {
					err = setInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
				}
				if err == nil && s.Device != "" && !strings.HasPrefix(network, "unix") {
					err = os.NewSyscallError("setsockopt SO_BINDTODEVICE "+s.Device, unix.BindToDevice(int(fd), s.Device))
				}
				if err == nil {
					err = s.tune(int(fd))
				}
			})
			return cmp.Or(failed, err)
		},
	}
	// Conn.Close asks the kernel by SIOCOUTQ whether the peer has acknowledged all
	// output. On a Multipath TCP socket SIOCOUTQ does not tell that.
	config.SetMultipathTCP(false)
	return config
}

// tune sets RecvBuffer and SendBuffer on a listener. Accepted connections inherit
// them.
func (s *Server) tune(fd int) error {
	for _, o := range []struct {
		wanted             bool
		level, name, value int
	}{
		{s.RecvBuffer > 0, unix.SOL_SOCKET, unix.SO_RCVBUF, s.RecvBuffer},
		{s.SendBuffer > 0, unix.SOL_SOCKET, unix.SO_SNDBUF, s.SendBuffer},
	} {
		if !o.wanted {
			continue
		}
		if err := setInt(fd, o.level, o.name, o.value); err != nil {
			return err
		}
	}
	return nil
}

// delay turns TCP_NODELAY off if Server.Delay is set, because package net has turned it
// on. Accepted connections inherit it.
func (s *Server) delay(ls *socket.Socket) error {
	if !s.Delay {
		return nil
	}
	return ls.SetsockoptInt(unix.IPPROTO_TCP, unix.TCP_NODELAY, 0)
}

// setInt is setsockopt(2).
func setInt(fd, level, name, value int) error {
	return os.NewSyscallError("setsockopt", sys.SetsockoptInt(fd, level, name, value))
}

// ListenOn serves a socket that the program has made: one that listens, or, for
// Events.Packet, one that is bound. The server then owns the socket, and sets the
// server's options on it. ServiceOf chooses the Service. If ListenOn returns an error,
// the caller still owns the socket; but if the error is ErrClosed, ListenOn has closed
// it.
func (s *Server) ListenOn(ls *socket.Socket) error {
	if ls == nil {
		return errors.New("server: listen: the socket is nil")
	}
	err := s.start()
	if err == nil {
		err = s.addOther(ls, origin{})
	}
	if err == ErrClosed {
		ls.Close()
	}
	return err
}

// addOther serves a socket that the server has not opened, by the service that
// ServiceOf chooses.
func (s *Server) addOther(ls *socket.Socket, from origin) error {
	engines, err := s.checkOther(ls)
	if err != nil {
		return err
	}
	return s.add(s.pick(engines, socket.Addr{}), engines, ls, from)
}

// checkOther sets the options of a socket that the server has not opened, and
// returns the engines of its service. It returns an error if the socket cannot be
// served.
func (s *Server) checkOther(ls *socket.Socket) ([]*engine, error) {
	var service *Service
	if s.ServiceOf != nil {
		service = s.ServiceOf(ls.LocalAddr())
	}
	engines, err := s.enginesFor(service)
	if err == nil {
		err = engines[0].service.serves(ls.Type())
	}
	if err == nil {
		err = s.tuneOther(ls)
	}
	return engines, err
}

// tuneOther sets the options of a socket that the server has not opened. It
// returns an error if a stream socket does not listen.
func (s *Server) tuneOther(ls *socket.Socket) error {
	if err := s.listenConfig().Tune(ls); err != nil {
		return fmt.Errorf("server: listen: %w", err)
	}
	if ls.Registration().Use() != nil {
		return fmt.Errorf("server: %w", errConnClosed("listen"))
	}
	defer ls.Registration().Done()
	fd := ls.Registration().FD()
	protocol, err := sys.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err == nil {
		err = s.tune(fd)
	}
	if err == nil && protocol == unix.IPPROTO_TCP {
		err = s.delay(ls)
	}
	if err == nil && ls.Type() != socket.Dgram {
		var listens int
		if listens, err = sys.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && listens == 0 {
			err = &socket.Error{Op: "listen", Addr: ls.LocalAddr().String(), Errno: unix.EINVAL, Err: errors.New("the socket does not listen")}
		}
	}
	if err != nil {
		return fmt.Errorf("server: listen: %w", err)
	}
	return nil
}

// An origin says where a listening socket comes from.
type origin struct {
	opened bool // the server has opened it, so no other process has it
	path   bool // the path of the unix socket is the server's to remove
}

// add serves a listening socket on an engine.
func (s *Server) add(e *engine, peers []*engine, ls *socket.Socket, from origin) error {
	if err := e.service.serves(ls.Type()); err != nil {
		return err
	}
	if ls.Type() == socket.Dgram {
		return s.addPackets(e, new(PacketConn), ls)
	}
	l := &listener{eng: e, peers: peers, family: ls.Family(), addr: ls.LocalAddr(), own: from.opened}
	l.self = l
	if from.path {
		l.ownPath()
	}
	fd, _, err := ls.Release()
	if err != nil {
		return fmt.Errorf("server: listen: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != serving {
		sys.Close(fd)
		return ErrClosed
	}
	l.pending = true // clients may have connected already
	if err := e.loop.Handle(&l.reg, fd, &l.self); err != nil {
		sys.Close(fd)
		return fmt.Errorf("server: listen: %w", err)
	}
	s.listeners = append(s.listeners, l)
	s.relabel()
	return nil
}

// unlisten forgets a listener and removes the path that it owns.
func (s *Server) unlisten(l *listener) {
	s.mu.Lock()
	if i := slices.Index(s.listeners, l); i >= 0 {
		s.listeners = slices.Delete(s.listeners, i, i+1)
	}
	s.mu.Unlock()
	l.removePath()
}

// Addrs returns the addresses at which the server listens: first those for connections,
// then those for datagrams, each in the order of Listen, ListenOn and Inherit. A closed
// server has none.
func (s *Server) Addrs() (list []socket.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		if !slices.Contains(list, l.addr) { // with ReusePort several listeners have one address
			list = append(list, l.addr)
		}
	}
	for _, p := range s.packets {
		if !p.dialed {
			list = append(list, p.LocalAddr())
		}
	}
	return list
}
