package server

import (
	"crypto/tls"
	"errors"

	"github.com/seed-2334f180/weir/socket"
)

// AttachTLS is AttachService of a connection that becomes a TLS connection, with the
// server as the server side of crypto/tls. So a protocol may begin TLS in the middle:
// what the Socket has read ahead is the beginning of the peer's handshake. config, which
// must not be changed afterwards, counts instead of the TLS of the Server and of the
// Service.
//
// AttachTLS does not wait. The handshake has a goroutine of its own, within
// Timeouts.Handshake. Events.Open or Begin is called after it. If it fails, no callback
// is called, and the Server logs why, unless the peer has gone.
func (s *Server) AttachTLS(sock *socket.Socket, config *tls.Config, service *Service, user any) error {
	if config == nil {
		return errors.New("server: attach: the tls.Config is nil")
	}
	if !hasCertificate(config) {
		return errors.New("server: attach: the tls.Config has none of Certificates, GetCertificate and GetConfigForClient")
	}
	return s.attachTLS(sock, config, tls.Server, false, service, user)
}

// AttachTLSClient is AttachTLS with the server as the client side of crypto/tls, which
// begins the handshake at once. config needs a ServerName, unless InsecureSkipVerify is
// set. Renegotiation is not supported. DialTLS connects, too, and returns the error of the
// handshake.
func (s *Server) AttachTLSClient(sock *socket.Socket, config *tls.Config, service *Service, user any) error {
	switch {
	case config == nil:
		return errors.New("server: attach: the tls.Config is nil")
	case config.ServerName == "" && !config.InsecureSkipVerify:
		return errors.New("server: attach: the tls.Config has neither ServerName nor InsecureSkipVerify")
	case config.Renegotiation != tls.RenegotiateNever:
		return errors.New("server: attach: tls.Config.Renegotiation is set, and the server does not support it")
	}
	return s.attachTLS(sock, config, tls.Client, true, service, user)
}

// attachTLS attaches a Socket as one side of TLS. speaks says that this side begins.
func (s *Server) attachTLS(sock *socket.Socket, config *tls.Config, make tlsSide, speaks bool, service *Service, user any) error {
	err := s.attach(sock, service, arrival{user: user}, func(sock *socket.Socket) *secured {
		secure := newSecured(sock, config, make)
		secure.speaks = speaks
		return secure
	})
	if err == nil {
		s.counters.attached.Add(1)
	}
	return err
}
