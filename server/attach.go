package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-2334f180/weir/internal/sys"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// Attach serves a connected stream Socket, by Events or by Handler, together with the
// input that the Socket has read ahead. From then on the Socket belongs to the server.
// user becomes Conn.User or Session.User. Attach does not wait, and a callback may
// call it. Events.Open is called when the server begins to serve the connection. While
// a call is in progress on the Socket, Attach returns EBUSY. After an error the Socket
// still belongs to the caller. MaxConns counts an attached connection, but does not
// refuse it.
func (s *Server) Attach(sock *socket.Socket, user any) error {
	return s.AttachService(sock, nil, user)
}

// AttachService is Attach for a connection that service serves. If service is nil, the
// Server's own Events or Handler serve it.
func (s *Server) AttachService(sock *socket.Socket, service *Service, user any) error {
	err := s.attach(sock, service, arrival{user: user}, nil)
	if err == nil {
		s.counters.attached.Add(1)
	}
	return err
}

// attach serves a Socket. a has what is not the Socket's. If secure is not nil, it returns
// the TLS side of the Socket that it gets, and the handshake follows.
func (s *Server) attach(sock *socket.Socket, service *Service, a arrival, secure func(*socket.Socket) *secured) error {
	if sock == nil {
		return errors.New("server: attach: the socket is nil")
	}
	if err := s.start(); err != nil {
		return err
	}
	engines, err := s.enginesFor(service)
	if err != nil {
		return err
	}
	if sock.Type() != socket.Stream {
		return &socket.Error{Op: "attach", Addr: sock.Type().String(), Errno: unix.EPROTOTYPE, Err: errors.New("it is not a stream")}
	}
	return s.adopt(sock, engines, a, secure)
}

// adopt counts a Socket and gives it to one of the engines. The server may have begun to
// end since attach has looked. Then the Socket stays the caller's.
func (s *Server) adopt(sock *socket.Socket, engines []*engine, a arrival, secure func(*socket.Socket) *secured) error {
	if !s.enter() {
		return ErrClosed
	}
	peer := sock.RemoteAddr().Unmap()
	if engines[0].service.Handler != nil || secure != nil {
		return s.attachSession(sock, engines, a.user, secure)
	}
	fd, input, err := sock.Release()
	if err != nil {
		s.gone()
		return fmt.Errorf("server: attach: %w", err)
	}
	a.fd, a.peer = fd, peer
	if a.tls == nil {
		a.input = input
	} else {
		a.tls.link.ahead = input
	}
	if !s.pick(engines, peer).send(a) {
		return ErrClosed
	}
	return nil
}

// attachSession moves a Socket to one of the server's loops, to be served by the Handler
// of the engines' service. With TLS it is served by the Handler or by Events after the
// handshake.
func (s *Server) attachSession(sock *socket.Socket, engines []*engine, user any, secure func(*socket.Socket) *secured) error {
	fd, input, err := sock.Release()
	if err != nil {
		s.gone()
		return fmt.Errorf("server: attach: %w", err)
	}
	cipher := input
	if secure != nil {
		input = nil
	}
	moved, err := socket.Config{Group: s.group}.Resume(fd, input)
	if err != nil {
		sys.Close(fd)
		s.gone()
		return fmt.Errorf("server: attach: %w", err)
	}
	// The Session holds a view, which keeps the garbage collector from moved.
	x := &Session{Socket: *moved.WithContext(context.Background()), User: user}
	e := engineOn(engines, moved.Registration().Loop())
	if secure != nil {
		side := secure(&x.Socket)
		side.link.ahead, side.link.paced = cipher, e.service.Rates.Read > 0
		x.secureBy(side)
	}
	if s.handle(x, e, socket.Addr{}) {
		s.spawn(x.hook.Loop(), (*running)(x))
	}
	return nil
}

// enter counts a connection that no listener has accepted. It returns false if the
// server is ending.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != serving {
		return false
	}
	s.conns.Add(1)
	return true
}

// Dial connects as the Dialer does, and serves the connection by the server's Events.
// user becomes Conn.User. Dial waits for the connection, so a callback must call it on
// another goroutine. When it returns, Events.Open has been called or is about to be. A
// Server needs no listener to Dial. A Server with Handler cannot Dial. For datagrams
// use DialPackets.
func (s *Server) Dial(ctx context.Context, d weirnet.Dialer, network, address string, user any) (*Conn, error) {
	return s.DialService(ctx, d, network, address, nil, user)
}

// DialService is Dial for a connection that the Events of service serve. If service is
// nil, the Server's own Events serve it.
func (s *Server) DialService(ctx context.Context, d weirnet.Dialer, network, address string, service *Service, user any) (*Conn, error) {
	return s.dial(ctx, d, network, address, service, user, nil)
}

// dial is DialService. If secure is not nil, dial calls it with the connected Socket and
// serves the TLS side that it returns.
func (s *Server) dial(ctx context.Context, d weirnet.Dialer, network, address string, service *Service, user any, secure func(*socket.Socket) (*secured, error)) (*Conn, error) {
	if service == nil && s.Handler != nil || service != nil && service.Handler != nil {
		return nil, errors.New("server: dial: the server or service has Handler, and no Events")
	}
	if isUDP(network) {
		return nil, fmt.Errorf("server: dial %s %s: datagrams need DialPackets", network, address)
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	if _, err := s.enginesFor(service); err != nil {
		return nil, err
	}
	sock, err := d.DialSocket(ctx, network, address)
	if err != nil {
		return nil, err
	}
	type served struct {
		c   *Conn
		err error
	}
	ready := make(chan served, 1)
	a := arrival{user: user, tell: func(c *Conn, err error) { ready <- served{c, err} }}
	if secure != nil {
		a.tls, err = secure(sock)
	}
	if err == nil {
		err = s.attach(sock, service, a, nil)
	}
	if err != nil {
		sock.Close()
		return nil, fmt.Errorf("server: dial %s %s: %w", network, address, err)
	}
	select {
	case x := <-ready:
		if x.err != nil {
			return nil, fmt.Errorf("server: dial %s %s: %w", network, address, x.err)
		}
		s.counters.dialed.Add(1)
		return x.c, nil
	case <-s.ended:
		return nil, ErrClosed
	}
}
