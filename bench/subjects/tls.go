package subjects

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"time"

	"github.com/seed-2334f180/weir/bench/wire"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
)

// ServerTLS makes a certificate for this run, and a config with it.
func ServerTLS() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}

func serveTLSNet(size int, ready func(addr string) error) error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return serveTLSOn(l, size, ready)
}

func serveTLSWeir(size int, ready func(addr string) error) error {
	l, err := weirnet.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return serveTLSOn(l, size, ready)
}

// serveTLSOn serves each connection in a goroutine, as a program on crypto/tls does.
func serveTLSOn(l net.Listener, size int, ready func(addr string) error) error {
	config, err := ServerTLS()
	if err != nil {
		return err
	}
	if err := ready(l.Addr().String()); err != nil {
		return err
	}
	for l := tls.NewListener(l, config); ; {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			echoNet(conn, make([]byte, wire.Buffer(size)), 0)
		}()
	}
}

func serveTLSWeirEvents(_ int, ready func(addr string) error) error {
	config, err := ServerTLS()
	if err != nil {
		return err
	}
	return runWeirServer("tcp4", ready, &server.Server{Loops: 1, TLS: config, Events: server.Events{
		Data: func(c *server.Conn) error {
			_, err := c.Write(c.Next(-1))
			return err
		},
	}})
}

func serveTLSWeirOnDemand(size int, ready func(addr string) error) error {
	config, err := ServerTLS()
	if err != nil {
		return err
	}
	return runWeirServer("tcp4", ready, &server.Server{Loops: 1, TLS: config, Handler: echoOnDemand(Task{Size: size})})
}
