package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// Attach serves a connected stream Socket, which is the server's from then on,
// with the input that was read ahead. Conn.User is user. It does not wait, and
// may be called by a callback; Events.Open tells when the connection is served.
// While a call is in progress on the Socket it is EBUSY. With an error the Socket
// is still the caller's, though closed if the server's loops are. MaxConns does
// not refuse it, but it counts.
func (s *Server) Attach(sock *socket.Socket, user any) error {
	return s.attach(sock, user, nil)
}

func (s *Server) attach(sock *socket.Socket, user any, tell func(*Conn, error)) error {
	if sock == nil {
		return errors.New("weir: attach: the socket is nil")
	}
	if err := s.start(); err != nil {
		return err
	}
	if sock.Type() != socket.Stream {
		return &socket.Error{Op: "attach", Addr: sock.Type().String(), Errno: unix.EPROTOTYPE, Err: errors.New("it is not a stream")}
	}
	peer := sock.RemoteAddr()
	if !s.enter() {
		return ErrServerClosed
	}
	if s.Handle != nil {
		return s.attachSession(sock)
	}
	fd, input, err := sock.Release()
	if err != nil {
		s.gone()
		return fmt.Errorf("weir: attach: %w", err)
	}
	e := s.pick(peer)
	e.load.Add(1)
	a := arrival{fd: fd, peer: peer, input: input, user: user, tell: tell}
	if err := e.post(func() { e.open(a) }); err != nil { // the group was closed
		unix.Close(fd)
		e.gone()
		return ErrServerClosed
	}
	return nil
}

// attachSession moves a Socket to the server's loops, for Handle.
func (s *Server) attachSession(sock *socket.Socket) error {
	fd, input, err := sock.Release()
	if err != nil {
		s.gone()
		return fmt.Errorf("weir: attach: %w", err)
	}
	moved, err := socket.Config{Group: s.group}.Resume(fd, input)
	if err != nil {
		unix.Close(fd)
		s.gone()
		return fmt.Errorf("weir: attach: %w", err)
	}
	for _, e := range s.engines {
		if e.loop == moved.Registration().Loop() {
			e.load.Add(1)
			// The handle is a view, which keeps moved from being collected.
			if x := (&session{sock: *moved.WithContext(context.Background())}); s.handle(x, e) {
				go x.run()
			}
		}
	}
	return nil
}

// enter counts a connection in that was not accepted, unless the server is
// ending.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != serving {
		return false
	}
	s.conns.Add(1)
	return true
}
