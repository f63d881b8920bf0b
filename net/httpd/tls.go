package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/seed-2334f180/weir/loop"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/socket"
)

// net/http sees how long a Read is, and so whether its buffer is empty, only of a connection
// that is no *tls.Conn. With HTTP/2 it needs a *tls.Conn. So the yard makes the handshake,
// and then gives net/http the one or the other.

// A tlsConn is a TLS connection with HTTP/1.1, which can be parked.
type tlsConn struct {
	*tls.Conn // net/http asks it for Request.TLS
	park      conn
}

func (c *tlsConn) parking() *conn                    { return &c.park }
func (c *tlsConn) Read(b []byte) (int, error)        { return c.park.read(b) }
func (c *tlsConn) Close() error                      { return c.park.close() }
func (c *tlsConn) SetReadDeadline(t time.Time) error { return c.park.setReadDeadline(t) }
func (c *tlsConn) SetDeadline(t time.Time) error     { return c.park.setDeadline(t) }

// enterTLS begins the handshake of an accepted connection. It returns false if the
// connection cannot be parked.
func (y *yard) enterTLS(nc net.Conn, config *tls.Config) bool {
	var sock *socket.Socket
	switch u := nc.(type) {
	case *weirnet.TCPConn:
		sock = u.Socket()
	case *weirnet.UnixConn:
		sock = u.Socket()
	default:
		return false
	}
	c := &tlsConn{Conn: tls.Server(nc, config)}
	c.park.init(y, c, c.Conn, c.Conn, sock)
	c.park.announced = true
	y.hooks.tell(c.Conn, http.StateNew)
	y.mu.Lock()
	c.park.state = shaking
	y.shaking.add(&c.park)
	y.mu.Unlock()
	go c.shake()
	return true
}

// shake makes the handshake, and queues the connection for net/http.
func (c *tlsConn) shake() {
	y := c.park.yard
	err := c.handshake()
	if err != nil {
		y.logf("http: TLS handshake error from %s: %v", c.RemoteAddr(), err)
	} else if p := c.ConnectionState().NegotiatedProtocol; p != "" && p != "http/1.1" && p != "http/1.0" {
		// net/http gives the connection to Server.TLSNextProto.
		c.park.phase.Store(never)
		c.park.given = c.Conn
	}
	y.mu.Lock()
	if c.park.state != shaking { // closed by the yard or by the program, which tells the program
		y.mu.Unlock()
		return
	}
	y.shaking.remove(&c.park)
	if err != nil || y.closed {
		c.park.state = closed
		y.mu.Unlock()
		c.park.end()
		return
	}
	c.park.state = woken
	y.woken.add(&c.park)
	y.changed.Signal()
	y.mu.Unlock()
}

// handshake makes the handshake within the time that net/http allows. A panic of one of the
// config's functions is an error.
func (c *tlsConn) handshake() (err error) {
	y := c.park.yard
	ctx := y.base
	if ctx == nil {
		ctx = context.Background()
	}
	ctx = c.park.context(context.WithValue(ctx, http.ServerContextKey, y.srv))
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, c.LocalAddr())
	if limit := handshakeTimeout(y.srv); limit > 0 {
		_ = c.Conn.SetDeadline(time.Now().Add(limit)) // an error is the handshake's, too
		defer c.Conn.SetDeadline(time.Time{})
	}
	report := func(p any, stack []byte) { y.logf("http: panic serving %v: %v\n%s", c.RemoteAddr(), p, stack) }
	if loop.Protect(report, func() { err = c.HandshakeContext(ctx) }) {
		return errors.New("panic")
	}
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil && looksLikeHTTP(header.RecordHeader) {
		_, _ = io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
		header.Conn.Close()
		return errors.New("client sent an HTTP request to an HTTPS server")
	}
	return err
}

// looksLikeHTTP reports whether what should be a TLS record is an HTTP request.
func looksLikeHTTP(header [5]byte) bool {
	return slices.Contains([]string{"GET /", "HEAD ", "POST ", "PUT /", "OPTIO"}, string(header[:]))
}

// handshakeTimeout returns the time for the handshake, as net/http chooses it. 0 is no limit.
func handshakeTimeout(srv *http.Server) (limit time.Duration) {
	for _, d := range []time.Duration{srv.ReadHeaderTimeout, srv.ReadTimeout, srv.WriteTimeout} {
		if d > 0 && (limit == 0 || d < limit) {
			limit = d
		}
	}
	return limit
}

func (y *yard) logf(format string, args ...any) {
	if y.srv.ErrorLog != nil {
		y.srv.ErrorLog.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}

// tlsConfig returns the config of srv.ServeTLS. It changes srv.TLSConfig so that srv.Serve
// sets up HTTP/2 as srv.ServeTLS does.
func tlsConfig(srv *http.Server, certFile, keyFile string) (*tls.Config, error) {
	config := &tls.Config{}
	if srv.TLSConfig != nil {
		config = srv.TLSConfig.Clone()
	}
	http1, http2 := protocols(srv)
	config.NextProtos = slices.Clone(config.NextProtos)
	for _, p := range []struct {
		name    string
		allowed bool
	}{{"h2", http2}, {"http/1.1", http1}} {
		switch {
		case !p.allowed:
			config.NextProtos = slices.DeleteFunc(config.NextProtos, func(name string) bool { return name == p.name })
		case !slices.Contains(config.NextProtos, p.name):
			config.NextProtos = append(config.NextProtos, p.name)
		}
	}
	if srv.TLSConfig != nil && http2 && !slices.Contains(srv.TLSConfig.NextProtos, "h2") {
		srv.TLSConfig = srv.TLSConfig.Clone()
		srv.TLSConfig.NextProtos = config.NextProtos
	}
	hasCert := len(config.Certificates) > 0 || config.GetCertificate != nil || config.GetConfigForClient != nil
	if !hasCert || certFile != "" || keyFile != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}

// protocols returns which protocols a server speaks over TLS, as net/http chooses them.
func protocols(srv *http.Server) (http1, http2 bool) {
	if srv.Protocols != nil {
		return srv.Protocols.HTTP1(), srv.Protocols.HTTP2()
	}
	_, own := srv.TLSNextProto["h2"]
	off := srv.TLSNextProto != nil || strings.Contains(os.Getenv("GODEBUG"), "http2server=0")
	return true, own || !off
}
