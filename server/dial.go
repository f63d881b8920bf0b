package server

import (
	"context"
	"errors"
	"fmt"

	weirnet "github.com/seed-2334f180/weir/net"
)

// Dial connects as the Dialer does, and serves the connection by the server's
// Events; Conn.User is user. It waits, and so is not for callbacks: those say
// go. When it returns the connection, Events.Open has been called or is about
// to be. A Server needs no listener to Dial. Of one with Handle it is an error.
func (s *Server) Dial(ctx context.Context, d weirnet.Dialer, network, address string, user any) (*Conn, error) {
	if s.Handler != nil {
		return nil, errors.New("server: dial: the server has Handle, and no Events")
	}
	if err := s.start(); err != nil {
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
	err = s.attach(sock, user, func(c *Conn, err error) { ready <- served{c, err} })
	if err != nil {
		sock.Close()
		return nil, fmt.Errorf("server: dial %s %s: %w", network, address, err)
	}
	select {
	case x := <-ready:
		if x.err != nil {
			return nil, fmt.Errorf("server: dial %s %s: %w", network, address, x.err)
		}
		return x.c, nil
	case <-s.ended:
		return nil, ErrClosed
	}
}
