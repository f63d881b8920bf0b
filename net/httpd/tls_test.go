package httpd_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/net/httpd"
	"github.com/stretchr/testify/require"
)

// certificate is the certificate of the servers.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func overTLS(srv *http.Server) *http.Server {
	srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate()}}
	return srv
}

// clientConfig trusts every server: it is the test's own.
func clientConfig(protos ...string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: protos}
}

// HTTP/2 goes to net/http as it is, with what the program sees of it.
func TestHTTP2(t *testing.T) {
	states := make(chan string, 100)
	s := serve(t, overTLS(&http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Proto, " ", r.TLS.NegotiatedProtocol)
		}),
		ConnState: func(c net.Conn, state http.ConnState) { states <- fmt.Sprintf("%T %v", c, state) },
	}))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: clientConfig(), ForceAttemptHTTP2: true}, Timeout: weirtest.Patience}
	for range 3 {
		r, err := client.Get("https://" + s.listener.Addr().String())
		require.NoError(t, err)
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		r.Body.Close()
		require.Equal(t, "HTTP/2.0 h2", string(body))
		time.Sleep(5 * time.Millisecond) // longer than a connection lingers
	}
	require.Zero(t, s.Parks())
	require.Equal(t, "*tls.Conn new", <-states)
	require.Equal(t, "*tls.Conn active", <-states)
	client.CloseIdleConnections()
	for state := ""; state != "*tls.Conn closed"; {
		state = weirtest.Take(t, states)
		require.NotContains(t, state, "new")
	}
}

// HTTP/2 without TLS is not parked either: its reads may have any length.
func TestUnencryptedHTTP2(t *testing.T) {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := serve(t, &http.Server{Handler: hello, Protocols: &protocols, ReadTimeout: time.Hour})
	var only http.Protocols
	only.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &only}, Timeout: weirtest.Patience}
	defer client.CloseIdleConnections()
	for _, size := range []int{0, 4096, 100_000} {
		body := bytes.Repeat([]byte("b"), size)
		r, err := client.Post("http://"+s.listener.Addr().String(), "text/plain", bytes.NewReader(body))
		require.NoError(t, err)
		require.Equal(t, 2, r.ProtoMajor)
		got, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		r.Body.Close()
		require.Contains(t, string(got), string(body))
		time.Sleep(5 * time.Millisecond) // longer than a connection lingers
	}
	c := s.dial(t) // HTTP/1.1 is parked all the same
	c.get("/", "/")
	s.AwaitParked(t, 1)
	require.Equal(t, 1, s.Parks())
}

// The request has the state of the TLS connection, also when that was parked. The program's
// hooks get a *tls.Conn.
func TestRequestTLS(t *testing.T) {
	hooked := make(chan net.Conn, 100)
	s := serve(t, overTLS(&http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, tls.VersionName(r.TLS.Version), " ", r.TLS.ServerName)
		}),
		ConnState: func(c net.Conn, _ http.ConnState) { hooked <- c },
	}))
	raw, err := net.Dial("tcp", s.listener.Addr().String())
	require.NoError(t, err)
	config := clientConfig("http/1.1")
	config.ServerName = "name"
	c := &client{tls.Client(raw, config), nil, t}
	defer c.Close()
	c.in = reader(c.Conn)
	for range 2 {
		c.get("/", "TLS 1.3 name")
		s.AwaitParked(t, 1)
	}
	for range 5 {
		require.IsType(t, &tls.Conn{}, weirtest.Take(t, hooked))
	}
}

// A client that sends records in pieces, or only a part of a record, is served, and is
// parked in between.
func TestTLSRecordsInPieces(t *testing.T) {
	s := serve(t, overTLS(&http.Server{Handler: hello}))
	raw, err := net.Dial("tcp", s.listener.Addr().String())
	require.NoError(t, err)
	pieces := &cutter{Conn: raw}
	c := &client{tls.Client(pieces, clientConfig()), nil, t}
	defer c.Close()
	c.in = reader(c.Conn)
	c.get("/", "/")
	s.AwaitParked(t, 1)
	pieces.cut = 7
	before := s.Parks()
	c.get("/pieces", "/pieces")
	require.Greater(t, s.Parks(), before+3)
}

// A cutter sends what it has to write in small pieces, with pauses.
type cutter struct {
	net.Conn
	cut int
}

func (c *cutter) Write(b []byte) (n int, err error) {
	for c.cut > 0 && err == nil && len(b)-n > c.cut {
		var m int
		m, err = c.Conn.Write(b[n : n+c.cut])
		n += m
		time.Sleep(5 * time.Millisecond) // longer than a connection lingers
	}
	if err != nil {
		return n, err
	}
	m, err := c.Conn.Write(b[n:])
	return n + m, err
}

func TestHandshakesThatFail(t *testing.T) {
	var text bytes.Buffer
	var mu sync.Mutex
	states := make(chan http.ConnState, 10)
	srv := func(limit time.Duration) *http.Server {
		srv := overTLS(&http.Server{
			Handler: hello, ReadHeaderTimeout: limit,
			ErrorLog:  log.New(writerFunc(func(b []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return text.Write(b) }), "", 0),
			ConnState: func(_ net.Conn, s http.ConnState) { states <- s },
		})
		srv.TLSConfig.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if hello.ServerName == "panic" {
				panic("in a hook")
			}
			return nil, nil
		}
		return srv
	}
	for _, c := range []struct {
		send, name, logged, answer string
		limit                      time.Duration
	}{
		{"GET / HTTP/1.1\r\n\r\n", "", "client sent an HTTP request to an HTTPS server", "400 Bad Request", weirtest.Patience},
		{"\x16\x03\x01", "", "i/o timeout", "", 50 * time.Millisecond},
		{"", "panic", "in a hook", "", weirtest.Patience},
	} {
		s := serve(t, srv(c.limit))
		conn, err := net.Dial("tcp", s.listener.Addr().String())
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(weirtest.Patience)))
		if c.name != "" {
			config := clientConfig()
			config.ServerName = c.name
			require.Error(t, tls.Client(conn, config).Handshake())
		} else {
			_, err = io.WriteString(conn, c.send)
			require.NoError(t, err)
			all, _ := io.ReadAll(conn) // it may end by a reset
			require.Contains(t, string(all), c.answer)
		}
		conn.Close()
		require.Equal(t, http.StateNew, weirtest.Take(t, states))
		require.Equal(t, http.StateClosed, weirtest.Take(t, states))
		mu.Lock()
		require.Contains(t, text.String(), c.logged)
		mu.Unlock()
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// Close ends handshakes that are in progress.
func TestCloseDuringAHandshake(t *testing.T) {
	states := make(chan http.ConnState, 10)
	s := serve(t, overTLS(&http.Server{Handler: hello, ConnState: func(_ net.Conn, s http.ConnState) { states <- s }, ErrorLog: log.New(io.Discard, "", 0)}))
	conn, err := net.Dial("tcp", s.listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.Equal(t, http.StateNew, weirtest.Take(t, states))
	require.NoError(t, s.Close())
	_, err = io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, http.StateClosed, weirtest.Take(t, states))
}

// A connection that comes when the yard is closed ends after its handshake.
func TestHandshakeThatEndsTooLate(t *testing.T) {
	states := make(chan http.ConnState, 10)
	srv := overTLS(&http.Server{ConnState: func(_ net.Conn, s http.ConnState) { states <- s }})
	l, err := weirnet.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	front, err := httpd.NewTLSListener(srv, l)
	require.NoError(t, err)
	raw, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer raw.Close()
	require.NoError(t, raw.SetDeadline(time.Now().Add(weirtest.Patience)))
	accepted, err := l.Accept()
	require.NoError(t, err)
	require.True(t, httpd.EnterTooLate(front, accepted))
	c := tls.Client(raw, clientConfig())
	require.NoError(t, c.Handshake())
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, http.StateNew, weirtest.Take(t, states))
	require.Equal(t, http.StateClosed, weirtest.Take(t, states))
}

// The handshake does not choose a protocol that the server's Protocols exclude.
func TestProtocolsBoundTheHandshake(t *testing.T) {
	for _, only := range []string{"h2", "http/1.1"} {
		t.Run(only, func(t *testing.T) {
			var protocols http.Protocols
			protocols.SetHTTP1(only == "http/1.1")
			protocols.SetHTTP2(only == "h2")
			srv := overTLS(&http.Server{Handler: hello, Protocols: &protocols})
			srv.TLSConfig.NextProtos = []string{"h2", "http/1.1"}
			s := serve(t, srv)
			raw, err := net.Dial("tcp", s.listener.Addr().String())
			require.NoError(t, err)
			defer raw.Close()
			c := tls.Client(raw, clientConfig("h2", "http/1.1"))
			require.NoError(t, c.Handshake())
			require.Equal(t, only, c.ConnectionState().NegotiatedProtocol)
		})
	}
}
