package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A listener accepts on the loop of its engine.
type listener struct {
	reg    loop.Handled
	self   loop.Handler
	eng    *engine
	family socket.Family
	addr   socket.Addr
	path   string // to be removed in the end, or ""; guarded by the server's lock

	// The loop's:
	pending bool          // there may be something to accept
	starved bool          // there was no descriptor or memory for something that still waits
	resting bool          // because of that, until the timer strikes
	pause   time.Duration // how long it rested last; 0 after a success
}

const (
	// acceptsPerTurn bounds the work of a turn.
	acceptsPerTurn = 64
	// When there is no descriptor or no memory left, accepting pauses, longer
	// each time.
	firstPause   = 10 * time.Millisecond
	longestPause = time.Second
)

// Ready is for the loop.
func (l *listener) Ready(ev poller.Readiness) {
	if ev != 0 {
		l.pending = true
	}
	l.accept()
}

// Expire is for the loop: a pause is over.
func (l *listener) Expire() {
	l.resting = false
	l.accept()
}

// Closed is for the loop.
func (l *listener) Closed() { l.eng.srv.unlisten(l) }

// accept accepts what there is, or as much as a turn may take, and says whether
// it may go on.
func (l *listener) accept() (more bool) {
	s := l.eng.srv
	for range acceptsPerTurn {
		if !l.pending || l.resting || !s.admit(l) {
			return false
		}
		var from sys.Sockaddr
		fd, errno := sys.Accept(l.reg.FD(), &from)
		if errno != 0 {
			s.gone() // another listener may have been refused because of it
			if !l.refused(errno) {
				return false
			}
			continue
		}
		l.pause = 0
		s.counters.accepted.Add(1)
		s.serve(l.eng, fd, l.family, socket.AddrFromSockaddr(&from.Raw, from.Len))
	}
	l.reg.Poke() // the others' turn
	return true
}

// refused deals with an accept that failed, and says whether to go on.
func (l *listener) refused(errno syscall.Errno) bool {
	s := l.eng.srv
	switch errno {
	case unix.EAGAIN:
		l.pending, l.starved = false, false
		return false
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		// The connection stays in the backlog. The kernel will not report it
		// again, so there is nothing to disarm.
		if !l.starved {
			l.starved = true
			s.Log.Error("weir: accepting pauses", "listener", l.addr, "error", errno)
			s.counters.starved.Add(1)
		}
		l.resting = true
		l.pause = min(max(2*l.pause, firstPause), longestPause)
		l.reg.ExpireAt(l.eng.loop.Now() + l.pause)
		return false
	case unix.EBADF, unix.EINVAL, unix.ENOTSOCK, unix.EOPNOTSUPP, unix.EFAULT:
		l.pending = false
		s.Log.Error("weir: accepting ends", "listener", l.addr, "error", errno)
		return false
	}
	// The connection's own error, such as ECONNABORTED: accept(2) has them
	// taken like EAGAIN, but another one may wait.
	return true
}

// admit counts a connection in, or has the listener wait until there is room.
func (s *Server) admit(l *listener) bool {
	if n := s.conns.Add(1); s.MaxConns == 0 || n <= int64(s.MaxConns) {
		return true
	}
	s.waiting.Store(true) // before the second look, which sees who goes meanwhile
	if s.conns.Add(-1) < int64(s.MaxConns) {
		l.reg.Poke()
	}
	return false
}

// gone counts a connection of the engine out.
func (e *engine) gone() {
	e.load.Add(-1)
	e.srv.gone()
}

// gone counts a connection out.
func (s *Server) gone() {
	left := s.conns.Add(-1)
	if s.MaxConns > 0 && left < int64(s.MaxConns) && s.waiting.Load() {
		s.waiting.Store(false)
		s.mu.Lock()
		for _, l := range s.listeners {
			l.reg.Poke()
		}
		s.mu.Unlock()
	}
	if left == 0 {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

// serve gives a connection that was accepted and counted in to a loop.
func (s *Server) serve(from *engine, fd int, family socket.Family, peer socket.Addr) {
	e := from
	if !s.ReusePort && len(s.engines) > 1 {
		e = s.pick(peer)
	}
	e.load.Add(1)
	switch {
	case s.Handle != nil:
		e.begin(fd, family, peer, from)
	case e == from:
		e.open(arrival{fd: fd, peer: peer})
	default:
		if err := e.post(func() { e.open(arrival{fd: fd, peer: peer}) }); err != nil { // that loop was closed
			unix.Close(fd)
			e.gone()
		}
	}
}

var hashSeed = maphash.MakeSeed()

// pick is the loop for a new connection.
func (s *Server) pick(peer socket.Addr) *engine {
	switch s.Balance {
	case LeastConnections:
		least := s.engines[0]
		for _, e := range s.engines[1:] {
			if e.load.Load() < least.load.Load() {
				least = e
			}
		}
		return least
	case SourceHash:
		if ip := peer.AddrPort().Addr(); ip.IsValid() {
			return s.engines[maphash.Comparable(hashSeed, ip)%uint64(len(s.engines))]
		}
	}
	return s.engines[s.turn.Add(1)%uint64(len(s.engines))]
}

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
				return socket.Addr{}, fmt.Errorf("weir: %w", err)
			}
			return socket.Addr{}, fmt.Errorf("weir: listen %s %s: %w", network, address, err)
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
	ls, err := socket.Config{Group: s.group}.Resume(fd, nil)
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
// With an error it is still the caller's, unless that is ErrServerClosed.
func (s *Server) ListenOn(ls *socket.Socket) error {
	if ls == nil {
		return errors.New("weir: listen: the socket is nil")
	}
	err := s.start()
	if err == nil {
		err = s.checkOther(ls)
	}
	if err == nil {
		err = s.add(s.pick(socket.Addr{}), ls, false)
	}
	if err == ErrServerClosed {
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
		return fmt.Errorf("weir: %w", connClosed("listen"))
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
		return fmt.Errorf("weir: listen: %w", err)
	}
	return nil
}

// serves says whether there is a callback for what sockets of a type bring.
func (s *Server) serves(t socket.Type) error {
	switch {
	case t == socket.Dgram && s.Events.Packet == nil:
		return errors.New("weir: listen: Server.Events.Packet is not set")
	case t != socket.Dgram && s.Events.Data == nil && s.Handle == nil:
		return errors.New("weir: listen: neither Server.Events.Data nor Server.Handle is set")
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
		return fmt.Errorf("weir: listen: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != serving {
		unix.Close(fd)
		return ErrServerClosed
	}
	l.pending = true // whoever connected before
	if err := e.loop.Handle(&l.reg, fd, &l.self); err != nil {
		unix.Close(fd)
		return fmt.Errorf("weir: listen: %w", err)
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
