package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/socket"
)

// DialTLS is DialService of a TLS connection, by the client side of crypto/tls. It returns
// after the handshake, for which it waits as long as ctx and the Timeouts.Handshake of the
// service allow. If config is nil or has no ServerName, the name is the host of the
// address. Renegotiation is not supported.
func (s *Server) DialTLS(ctx context.Context, d weirnet.Dialer, config *tls.Config, network, address string, service *Service, user any) (*Conn, error) {
	switch {
	case config == nil:
		config = &tls.Config{}
	case config.Renegotiation != tls.RenegotiateNever:
		return nil, errors.New("server: dial: tls.Config.Renegotiation is set, and Conn does not support it")
	}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil && !config.InsecureSkipVerify {
			return nil, fmt.Errorf("server: dial %s %s: tls.Config.ServerName is not set: %w", network, address, err)
		}
		config = config.Clone()
		config.ServerName = host
	}
	return s.dial(ctx, d, network, address, service, user, func(sock *socket.Socket) (*secured, error) {
		engines, err := s.enginesFor(service)
		if err != nil {
			return nil, err
		}
		limit := engines[0].service.Timeouts.Handshake
		if err = sock.SetDeadline(time.Now().Add(limit)); err != nil {
			return nil, err
		}
		secure := newSecured(sock, config, tls.Client)
		err = secure.conn.HandshakeContext(ctx)
		if timedOut(err) {
			return nil, &TimeoutError{Of: "handshake", After: limit}
		}
		return secure, err
	})
}
