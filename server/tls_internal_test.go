package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"os"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/tlsheld"
	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// tlsIdentity returns a certificate.
func tlsIdentity(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serveTLS serves, and returns the address.
func serveTLS(t *testing.T, srv *Server) string {
	t.Helper()
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{tlsIdentity(t)}}
	addr, err := srv.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { srv.Close() })
	return addr.String()
}

func dialTLS(t *testing.T, addr string) (*tls.Conn, net.Conn) {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { raw.Close() })
	require.NoError(t, raw.SetDeadline(time.Now().Add(time.Minute)))
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, c.Handshake())
	return c, raw
}

func sendAndExpect(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
	got := make([]byte, len(text))
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

// Without the fields everything works, but nothing is saved.
func TestTLSWithoutTheFields(t *testing.T) {
	t.Cleanup(tlsheld.Forget()) // the restoring runs after the server has ended
	for name, srv := range map[string]*Server{
		"events": {Events: Events{Data: func(c *Conn) error { _, err := c.Write(c.Next(-1)); return err }}},
		"handler": {Handler: func(s *Session) error {
			line, err := s.ReadLine()
			if err != nil {
				return err
			}
			_, err = s.WriteLine(line)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := dialTLS(t, serveTLS(t, srv))
			for range 3 {
				sendAndExpect(t, c, "hello\n")
			}
			require.NoError(t, c.CloseWrite())
			_, err := c.Read(make([]byte, 1))
			require.Equal(t, io.EOF, err)
			require.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, time.Minute, time.Millisecond)
			require.NoError(t, srv.Close())
		})
	}
}

// Between two receives a connection has no buffer, except for a part of a record.
func TestTLSIdleConnHasNoBuffer(t *testing.T) {
	conns := make(chan *Conn, 1)
	addr := serveTLS(t, &Server{Events: Events{
		Open: func(c *Conn) error { conns <- c; return nil },
		Data: func(c *Conn) error { _, err := c.Write(c.Next(-1)); return err },
	}})
	c, raw := dialTLS(t, addr)
	conn := <-conns
	look := func(want int) {
		t.Helper()
		require.Eventually(t, func() bool {
			fits := make(chan bool)
			require.NoError(t, conn.Loop().Post(func() {
				raw, hand := tlsheld.Capacities(conn.secure().conn)
				conn.mu.Lock()
				defer conn.mu.Unlock()
				fits <- raw == want && hand == 0 && conn.out == nil && conn.in == nil
			}))
			return <-fits
		}, time.Minute, time.Millisecond)
	}
	look(0)
	sendAndExpect(t, c, string(make([]byte, 100000)))
	look(0)
	_, err := raw.Write([]byte{23, 3, 3, 1, 0, 1, 2, 3}) // a part of a record of 256 bytes
	require.NoError(t, err)
	look(8)
}

// A connection becomes one of Events even if another goroutine still uses its Socket when
// the handshake ends.
func TestTLSConnAfterABusySocket(t *testing.T) {
	srv := &Server{Events: Events{Data: func(c *Conn) error { _, err := c.Write(c.Next(-1)); return err }}}
	raw, err := net.Dial("tcp", serveTLS(t, srv))
	require.NoError(t, err)
	defer raw.Close()
	var reg *loop.Registration
	require.Eventually(t, func() bool {
		for _, x := range srv.everySession() {
			reg = x.Registration()
		}
		return reg != nil
	}, time.Minute, time.Millisecond)
	require.NoError(t, reg.Use())
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, c.Handshake())
	require.NoError(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the connection is open")
	reg.Done()
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	sendAndExpect(t, c, "hello")
}

// The ciphertext that crypto/tls sends by itself is bounded, and not lost.
func TestTLSAnswersAreBounded(t *testing.T) {
	conns := make(chan *Conn, 1)
	addr := serveTLS(t, &Server{SendBuffer: 1, Events: Events{
		Open: func(c *Conn) error { conns <- c; return nil },
		Data: func(c *Conn) error { _, err := c.Write(c.Next(-1)); return err },
	}})
	_, raw := dialTLS(t, addr)
	require.NoError(t, raw.(*net.TCPConn).SetReadBuffer(1))
	conn := <-conns
	over := make(chan int)
	require.NoError(t, conn.Loop().Post(func() {
		for n := 0; ; n += 1000 {
			if _, err := conn.secure().link.Write(make([]byte, 1000)); err != nil {
				require.ErrorIs(t, err, ErrOutputFull)
				over <- n
				return
			}
		}
	}))
	n := <-over
	require.LessOrEqual(t, n, mostSealed)
	_, err := io.ReadFull(raw, make([]byte, n)) // perhaps together with the tickets
	require.NoError(t, err)
}

// An idle session has no buffer, and a part of a record starts no call of Handler.
func TestTLSIdleSessionHasNoBuffer(t *testing.T) {
	sessions, calls := make(chan *Session, 1), make(chan string, 10)
	srv := &Server{
		Begin: func(s *Session) error { sessions <- s; return nil },
		Handler: func(s *Session) error {
			line, err := s.ReadLine()
			if err != nil {
				return err
			}
			calls <- line
			_, err = s.WriteLine(line)
			return err
		},
	}
	c, raw := dialTLS(t, serveTLS(t, srv))
	x := <-sessions
	look := func(want int) {
		t.Helper()
		require.Eventually(t, func() bool {
			if !x.claim() {
				return false
			}
			defer func() {
				if x.idle() { // input has come meanwhile
					go x.run()
				}
			}()
			raw, hand := tlsheld.Capacities(x.secure().conn)
			return raw == want && hand == 0 && x.secure().plain == nil && !unread(x.Registration().FD())
		}, time.Minute, time.Millisecond)
	}
	look(0)
	sendAndExpect(t, c, "first\n")
	require.Equal(t, "first", <-calls)
	look(0)
	_, err := raw.Write([]byte{23, 3, 3, 1, 0, 1, 2, 3})
	require.NoError(t, err)
	look(8)
	require.Empty(t, calls)
}

// What a session has received uses the ready mark up. Otherwise each request would cost a
// recv(2) and a poll(2) more, which find nothing.
func TestTLSSessionUsesTheReadyMarkUp(t *testing.T) {
	sessions := make(chan *Session, 1)
	c, _ := dialTLS(t, serveTLS(t, &Server{
		Begin:   func(s *Session) error { sessions <- s; return nil },
		Handler: func(s *Session) error { return nil },
	}))
	x := <-sessions
	require.Eventually(t, x.claim, time.Minute, time.Millisecond) // the goroutine of the handshake has left it
	defer x.end(nil)
	for range 3 {
		require.Equal(t, loop.Unready, x.Registration().Look(loop.Readable))
		require.False(t, x.secure().ready(x.engine()))
		_, err := io.WriteString(c, "hello\n")
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			return unread(x.Registration().FD()) && x.Registration().Look(loop.Readable) != loop.Unready
		}, time.Minute, time.Millisecond)
		require.True(t, x.secure().ready(x.engine()))
		line, err := x.ReadLine()
		require.NoError(t, err)
		require.Equal(t, "hello", line)
	}
}

// After an alert crypto/tls encrypts nothing more. What a callback writes then ends the
// connection with EPIPE.
func TestTLSWriteAfterAnAlert(t *testing.T) {
	t.Parallel()
	conns, closed := make(chan *Conn, 1), make(chan error, 1)
	addr := serveTLS(t, &Server{Loops: 1, Events: Events{
		Open:   func(c *Conn) error { conns <- c; return nil },
		Data:   func(c *Conn) error { _, err := c.Write(c.Next(-1)); return err },
		Closed: func(_ *Conn, err error) { closed <- err },
	}})
	peer, _ := dialTLS(t, addr)
	c := <-conns
	c.eng.do(func() { _ = c.secure().conn.CloseWrite() })
	_, err := peer.Read(make([]byte, 1)) // the alert has left, so nothing is queued
	require.Equal(t, io.EOF, err)
	_, err = peer.Write([]byte("x"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(closed) == 1 }, 20*time.Second, time.Millisecond, "the connection ends")
	require.ErrorIs(t, <-closed, unix.EPIPE)
}

// MaxMemory counts ciphertext that the kernel has not taken, together with the plain bytes.
func TestMaxMemoryCountsCiphertext(t *testing.T) {
	conns := make(chan *Conn, 1)
	srv := &Server{Loops: 1, SendBuffer: 16 << 10, Events: Events{
		Open: func(c *Conn) error { conns <- c; return nil },
		Data: func(c *Conn) error { c.Next(-1); return nil },
	}}
	_, raw := dialTLS(t, serveTLS(t, srv))
	conn := <-conns
	_, err := conn.Write(make([]byte, 8<<20))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		o := conn.out
		return o.blocked && o.sealed != nil && cap(o.sealed.cipher) > 0 &&
			o.counted == o.room+o.whole+pieceCost*(o.pieces.n+o.finished.n)+cap(o.sealed.cipher)
	}, 20*time.Second, time.Millisecond, "the kernel takes no more")
	require.NoError(t, raw.Close())
	require.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, 20*time.Second, time.Millisecond)
	require.Zero(t, srv.Stats().Memory)
}
