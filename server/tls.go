package server

import (
	"crypto/tls"
	"fmt"
)

// checkTLS returns an error for a config with which no handshake can succeed. owner is
// the name of the type that has it.
func checkTLS(config *tls.Config, owner string) error {
	if config != nil && !hasCertificate(config) {
		return fmt.Errorf("server: %s.TLS has none of Certificates, GetCertificate and GetConfigForClient", owner)
	}
	return nil
}

// hasCertificate reports whether a server with this config may have a certificate.
func hasCertificate(config *tls.Config) bool {
	return len(config.Certificates) > 0 || config.GetCertificate != nil || config.GetConfigForClient != nil
}

// TLS returns the state of the TLS connection: the protocol that ALPN has chosen, the
// server name, the client's certificates. It returns false if the connection has no TLS.
// It works after the connection has closed, too.
func (c *Conn) TLS() (state tls.ConnectionState, ok bool) {
	if c.secure() == nil {
		return tls.ConnectionState{}, false
	}
	return c.secure().conn.ConnectionState(), true
}
