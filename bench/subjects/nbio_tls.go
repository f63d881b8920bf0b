package subjects

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"

	nbiotls "github.com/lesismal/llib/std/crypto/tls"
	"github.com/lesismal/nbio"
	nbioext "github.com/lesismal/nbio/extension/tls"
)

// serveTLSNbio serves by nbio's own copy of crypto/tls, which does not block: read, decrypted
// and handled on the poller itself.
func serveTLSNbio(size int, ready func(addr string) error) error {
	config, err := nbioTLS()
	if err != nil {
		return err
	}
	buf := make([]byte, max(size, nbio.DefaultReadBufferSize)) // the poller's
	return serveNbio(size, ready, func(e *nbio.Engine) {
		e.OnOpen(nbioext.WrapOpen(config, false, nil))
		e.OnClose(nbioext.WrapClose(func(_ *nbio.Conn, c *nbioext.Conn, _ error) { c.Close() })) //nolint:errcheck // it returns memory
		e.OnData(nbioext.WrapData(func(_ *nbio.Conn, c *nbioext.Conn, p []byte) {
			c.Write(p) //nolint:errcheck // nbio closes the connection
		}, func() []byte { return buf }))
	})
}

// nbioTLS is ServerTLS for nbio's copy of crypto/tls, whose types are its own.
func nbioTLS() (*nbiotls.Config, error) {
	config, err := ServerTLS()
	if err != nil {
		return nil, err
	}
	cert, key, err := pemOf(config.Certificates[0])
	if err != nil {
		return nil, err
	}
	pair, err := nbiotls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return &nbiotls.Config{Certificates: []nbiotls.Certificate{pair}}, nil
}

// pemOf encodes a certificate and its key.
func pemOf(c tls.Certificate) (cert, key []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}); err != nil {
		return nil, nil, err
	}
	return b.Bytes(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
