package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// Attach serves a connected stream Socket, together with the input that was read
// ahead. The Socket belongs to the server from then on. User becomes Conn.User.
// Attach does not wait, and a callback may call it; Events.Open tells when the
// connection is served. While a call is in progress on the Socket, Attach returns
// EBUSY. After an error the Socket still belongs to the caller. MaxConns does not
// refuse an attached connection, but counts it.
func (s *Server) Attach(sock *socket.Socket, user any) error {
	return s.attach(sock, user, nil)
}

func (s *Server) attach(sock *socket.Socket, user any, tell func(*Conn, error)) error {
	if sock == nil {
		return errors.New("server: attach: the socket is nil")
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
		return fmt.Errorf("server: attach: %w", err)
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

// attachSession moves a Socket to one of the server's loops, to be served by Handle.
func (s *Server) attachSession(sock *socket.Socket) error {
	fd, input, err := sock.Release()
	if err != nil {
		s.gone()
		return fmt.Errorf("server: attach: %w", err)
	}
	moved, err := socket.Resume(fd, input, socket.Group(s.group))
	if err != nil {
		unix.Close(fd)
		s.gone()
		return fmt.Errorf("server: attach: %w", err)
	}
	for _, e := range s.engines {
		if e.loop == moved.Registration().Loop() {
			e.load.Add(1)
			// The session holds a view of moved, which keeps moved alive.
			if x := (&session{sock: *moved.With(context.Background())}); s.handle(x, e) {
				go x.run()
			}
		}
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
