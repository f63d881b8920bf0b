package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/race"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// eachTLS runs a test with an echo server of Events and with one of a Handler, by TLS 1.2
// and 1.3.
func eachTLS(t *testing.T, test func(t *testing.T, srv *server.Server, config *tls.Config)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := clientTLS()
		config.MaxVersion = version
		t.Run("events "+tls.VersionName(version), func(t *testing.T) {
			test(t, &server.Server{TLS: serverTLS(), Events: server.Events{Data: echo}}, config)
		})
		t.Run("handler "+tls.VersionName(version), func(t *testing.T) {
			test(t, &server.Server{TLS: serverTLS(), Handler: echoHandler}, config)
		})
	}
}

var echoBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// echoHandler writes what one Read returns.
func echoHandler(s *server.Session) error {
	pooled := echoBuffers.Get().(*[32 << 10]byte)
	defer echoBuffers.Put(pooled)
	buf := pooled[:]
	n, err := s.Read(buf)
	if err != nil {
		return err
	}
	_, err = s.Write(buf[:n])
	return err
}

func TestTLSEcho(t *testing.T) {
	eachTLS(t, func(t *testing.T, srv *server.Server, config *tls.Config) {
		c := tlsClient(t, serve(t, srv), config)
		for range 3 {
			send(t, c, "hello")
			expect(t, c, "hello")
		}
		require.NoError(t, c.CloseWrite())
		expectEnd(t, c)
	})
}

// A sliced is a net.Conn that writes pieces of random sizes.
type sliced struct {
	net.Conn
	most int
}

func (s sliced) Write(p []byte) (total int, err error) {
	for len(p) > 0 && err == nil {
		var n int
		n, err = s.Conn.Write(p[:min(len(p), 1+rand.IntN(s.most))])
		total += n
		p = p[n:]
	}
	return total, err
}

func TestTLSRecordsInSegmentsOfOneByte(t *testing.T) {
	eachTLS(t, func(t *testing.T, srv *server.Server, config *tls.Config) {
		srv.SendBuffer = 1 // the kernel's least, so the server's records leave in pieces, too
		c := tls.Client(sliced{client(t, serve(t, srv)), 1}, config)
		text := hex.EncodeToString(make([]byte, 1000))
		for range 3 {
			send(t, c, text)
			expect(t, c, text)
		}
	})
}

// Pieces of random sizes come back whole and in order, whatever the client's reads are.
func TestTLSBytesAreWhole(t *testing.T) {
	total := 4 << 20
	if race.Enabled {
		total = 256 << 10
	}
	eachTLS(t, func(t *testing.T, srv *server.Server, config *tls.Config) {
		if testing.Short() {
			t.Skip("it moves megabytes")
		}
		srv.HighWater = 32 << 10
		c := tls.Client(sliced{client(t, serve(t, srv)), 20000}, config)
		require.NoError(t, c.Handshake())
		sent, got := sha256.New(), sha256.New()
		var writer sync.WaitGroup
		writer.Go(func() {
			buf := make([]byte, 60000)
			for left := total; left > 0; {
				p := buf[:1+rand.IntN(min(left, len(buf)))]
				for i := range p {
					p[i] = byte(rand.Uint32())
				}
				sent.Write(p)
				if _, err := c.Write(p); err != nil {
					t.Error(err)
					return
				}
				left -= len(p)
			}
			if err := c.CloseWrite(); err != nil {
				t.Error(err)
			}
		})
		buf := make([]byte, 50000)
		n, err := io.CopyBuffer(got, struct{ io.Reader }{c}, buf[:1+rand.IntN(len(buf))])
		writer.Wait()
		require.NoError(t, err)
		require.EqualValues(t, total, n)
		require.Equal(t, sent.Sum(nil), got.Sum(nil))
	})
}

func TestTLSState(t *testing.T) {
	roots := x509.NewCertPool()
	roots.AddCert(identity().Leaf)
	describe := func(s tls.ConnectionState, ok bool) string {
		return fmt.Sprintf("%v %v %q %q %d", ok, s.HandshakeComplete, s.ServerName, s.NegotiatedProtocol, len(s.PeerCertificates))
	}
	for name, srv := range map[string]*server.Server{
		"events":  {Events: server.Events{Open: func(c *server.Conn) error { _, err := c.WriteString(describe(c.TLS())); return err }, Data: echo}},
		"handler": {Begin: func(s *server.Session) error { _, err := s.WriteString(describe(s.TLS())); return err }, Handler: echoHandler},
	} {
		t.Run(name, func(t *testing.T) {
			config := serverTLS()
			config.ClientAuth, config.ClientCAs, config.NextProtos = tls.RequireAndVerifyClientCert, roots, []string{"weir"}
			srv.TLS = config
			mine := clientTLS()
			mine.Certificates, mine.NextProtos = config.Certificates, []string{"other", "weir"}
			c := tlsClient(t, serve(t, srv), mine)
			expect(t, c, `true true "localhost" "weir" 1`)

			plain := &server.Server{Events: srv.Events, Begin: srv.Begin, Handler: srv.Handler}
			expect(t, client(t, serve(t, plain)), `false false "" "" 0`)
		})
	}
}

// A resumed connection works as a new one: the server has sent tickets.
func TestTLSResumes(t *testing.T) {
	eachTLS(t, func(t *testing.T, srv *server.Server, config *tls.Config) {
		addr := serve(t, srv)
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for _, resumed := range []bool{false, true, true} {
			c := tlsClient(t, addr, config)
			send(t, c, "hello")
			expect(t, c, "hello")
			require.Equal(t, resumed, c.ConnectionState().DidResume)
			require.NoError(t, c.Close())
		}
	})
}

// What a client sends together with the end of its handshake is served at once.
func TestTLSInputBehindTheHandshake(t *testing.T) {
	eachTLS(t, func(t *testing.T, srv *server.Server, config *tls.Config) {
		held := &holding{Conn: client(t, serve(t, srv))}
		c := tls.Client(held, config)
		if config.MaxVersion == tls.VersionTLS13 {
			held.hold = 2 // the messages after ClientHello leave together with the input
		}
		require.NoError(t, c.Handshake())
		send(t, c, "hello")
		held.release(t)
		expect(t, c, "hello")
	})
}

// What arrives together with close_notify is not lost, be it a single byte.
func TestTLSInputTogetherWithTheEnd(t *testing.T) {
	eachTLS(t, func(t *testing.T, srv *server.Server, config *tls.Config) {
		for _, text := range []string{"x", "hello"} {
			srv := &server.Server{TLS: srv.TLS, Events: srv.Events, Handler: srv.Handler}
			held := &holding{Conn: client(t, serve(t, srv))}
			c := tls.Client(held, config)
			send(t, c, "ready")
			expect(t, c, "ready")
			held.hold = 1
			send(t, c, text)
			require.NoError(t, c.CloseWrite())
			held.release(t)
			expect(t, c, text)
			expectEnd(t, c)
		}
	})
}

// A holding sends its first writes, and then holds back what is written until release.
type holding struct {
	net.Conn
	hold   int // the first write that is held back, counted from 1; 0 for none
	writes int
	held   []byte
}

func (h *holding) Write(p []byte) (int, error) {
	if h.writes++; h.hold == 0 || h.writes < h.hold {
		return h.Conn.Write(p)
	}
	h.held = append(h.held, p...)
	return len(p), nil
}

func (h *holding) release(t *testing.T) {
	require.NoError(t, h.SetDeadline(time.Now().Add(weirtest.Patience))) // CloseWrite has set another
	_, err := h.Conn.Write(h.held)
	require.NoError(t, err)
	h.hold = 0
}

func TestTLSHalfCloseOfTheClient(t *testing.T) {
	end, closed := ended()
	addr := serve(t, &server.Server{TLS: serverTLS(), Events: server.Events{
		Data:   func(c *server.Conn) error { return nil },
		End:    func(c *server.Conn) error { _, err := c.Write(c.Next(-1)); c.Close(); return err },
		Closed: closed,
	}})
	c := tlsClient(t, addr, clientTLS())
	send(t, c, "all of it")
	require.NoError(t, c.CloseWrite())
	expect(t, c, "all of it")
	expectEnd(t, c)
	require.NoError(t, weirtest.Take(t, end))
}

// CloseWrite sends close_notify. The client may still send.
func TestTLSHalfCloseOfTheServer(t *testing.T) {
	end, closed := ended()
	got := make(chan string, 1)
	addr := serve(t, &server.Server{TLS: serverTLS(), Events: server.Events{
		Open: func(c *server.Conn) error { _, err := c.WriteString("first"); c.CloseWrite(); return err },
		Data: func(c *server.Conn) error {
			if p := c.Peek(4); p != nil {
				got <- string(c.Next(-1))
			}
			return nil
		},
		Closed: closed,
	}})
	raw := &recording{Conn: client(t, addr)}
	c := tls.Client(raw, clientTLS())
	expect(t, c, "first")
	expectEnd(t, c)
	require.True(t, raw.endsWithNotify(), "close_notify comes before the end of the stream")
	send(t, c, "more")
	require.Equal(t, "more", weirtest.Take(t, got))
	require.NoError(t, c.Close())
	require.Equal(t, io.EOF, weirtest.Take(t, end))
}

// A recording notes the records that it has read.
type recording struct {
	net.Conn
	mu  sync.Mutex
	got []byte
}

func (r *recording) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, p[:n]...)
	return n, err
}

// records returns the lengths of the records of a type that were read.
func (r *recording) records(typ byte) (lengths []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := r.got; len(p) >= 5; {
		n := int(p[3])<<8 | int(p[4])
		if p[0] == typ {
			lengths = append(lengths, n)
		}
		p = p[min(5+n, len(p)):]
	}
	return lengths
}

// endsWithNotify reports whether the last record of TLS 1.3 is as long as an alert.
func (r *recording) endsWithNotify() bool {
	all := r.records(23)
	return len(all) > 0 && all[len(all)-1] == 2+1+16
}

// The writes of one callback leave in one record, those of one turn as well.
func TestTLSGathersRecords(t *testing.T) {
	conns, open := opened()
	addr := serve(t, &server.Server{TLS: serverTLS(), Events: server.Events{Open: open, Data: func(c *server.Conn) error {
		c.Next(-1)
		for range 100 {
			if _, err := c.WriteString("12345678"); err != nil {
				return err
			}
		}
		return nil
	}}})
	raw := &recording{Conn: client(t, addr)}
	c := tls.Client(raw, clientTLS())
	require.NoError(t, c.Handshake())
	conn := weirtest.Take(t, conns)
	count := func(want int) {
		t.Helper()
		before := len(raw.records(23))
		_, err := io.ReadFull(c, make([]byte, want))
		require.NoError(t, err)
		require.Len(t, raw.records(23), before+1)
	}
	send(t, c, "x")
	_, err := io.ReadFull(c, make([]byte, 800)) // and the tickets before it
	require.NoError(t, err)
	send(t, c, "x")
	count(800)
	onLoop(t, conn, func() {
		for range 50 {
			_, err := conn.WriteString("12345678")
			require.NoError(t, err)
		}
	})
	count(400)
	_, err = conn.Writev([][]byte{[]byte("123"), []byte("45"), []byte("678")})
	require.NoError(t, err)
	count(8)
}

// The completions of WriteAsync and the bounds of the output count plain bytes.
func TestTLSOutputToASlowPeer(t *testing.T) {
	conns, open := opened()
	const most = 1 << 20
	pressed := make(chan bool, 100)
	addr := serve(t, &server.Server{TLS: serverTLS(), MaxOutput: most, HighWater: 64 << 10, Events: server.Events{
		Open: open, Data: echo, Pressure: func(_ *server.Conn, on bool) { pressed <- on },
	}})
	c := tlsClient(t, addr, clientTLS())
	conn := weirtest.Take(t, conns)
	sum := sha256.New()
	piece := make([]byte, 3000)
	done := make(chan error, 1<<20)
	total, pieces := 0, 0
	for {
		piece := bytes.Clone(piece)
		for i := range piece {
			piece[i] = byte(rand.Uint32())
		}
		var err error
		if pieces%2 == 0 {
			err = conn.WriteAsync(piece, func(err error) { done <- err })
		} else {
			_, err = conn.Write(piece)
		}
		if err != nil {
			require.ErrorIs(t, err, server.ErrOutputFull)
			break
		}
		sum.Write(piece)
		total, pieces = total+len(piece), pieces+1
	}
	require.LessOrEqual(t, conn.Queued(), most)
	require.Greater(t, conn.Queued(), most-len(piece))
	require.True(t, weirtest.Take(t, pressed))
	got := sha256.New()
	_, err := io.CopyN(got, c, int64(total))
	require.NoError(t, err)
	require.Equal(t, sum.Sum(nil), got.Sum(nil))
	for range (pieces + 1) / 2 {
		require.NoError(t, weirtest.Take(t, done))
	}
	require.False(t, weirtest.Take(t, pressed))
	send(t, c, "goes on")
	expect(t, c, "goes on")
}

// Pressure is called for what a callback has gathered.
func TestTLSPressureOfACallback(t *testing.T) {
	pressed := make(chan bool, 100)
	addr := serve(t, &server.Server{TLS: serverTLS(), HighWater: 4 << 10, Events: server.Events{
		Data: func(c *server.Conn) error {
			c.Next(-1)
			for range 1000 {
				if _, err := c.WriteString("0123456789012345678901234567890123456789"); err != nil {
					return err
				}
			}
			return nil
		},
		Pressure: func(_ *server.Conn, on bool) { pressed <- on },
	}})
	c := tlsClient(t, addr, clientTLS())
	asked := 0
	for len(pressed) == 0 {
		send(t, c, "x")
		asked++
	}
	require.True(t, <-pressed)
	go io.Copy(io.Discard, c) //nolint:errcheck // the connection ends with the test
	require.False(t, weirtest.Take(t, pressed))
}

// Output that cannot be encrypted any more ends the connection: here a bad record has
// come while much output is queued.
func TestTLSBadRecordBeforeQueuedOutput(t *testing.T) {
	end, closed := ended()
	raw := client(t, serve(t, &server.Server{
		TLS: serverTLS(), HighWater: 16 << 20, Timeouts: server.Timeouts{Linger: time.Hour},
		Events: server.Events{Closed: closed, Data: func(c *server.Conn) error {
			c.Next(-1)
			_, err := c.Write(make([]byte, 12<<20))
			return err
		}},
	}))
	c := tls.Client(raw, clientTLS())
	send(t, c, "x")
	_, err := io.ReadFull(c, make([]byte, 1000))
	require.NoError(t, err)
	_, err = raw.Write(append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...))
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, c)
	require.ErrorContains(t, weirtest.Take(t, end), "bad record MAC")
}

// Several goroutines write at the same time. Each record arrives whole.
func TestTLSWritersOfSeveralGoroutines(t *testing.T) {
	conns, open := opened()
	addr := serve(t, &server.Server{TLS: serverTLS(), Events: server.Events{Open: open, Data: echo}})
	c := tlsClient(t, addr, clientTLS())
	conn := weirtest.Take(t, conns)
	const writers, each = 4, 500
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for range each {
				if _, err := conn.Write(bytes.Repeat([]byte{byte('a' + i)}, 100)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	buf := make([]byte, 100)
	for range writers * each {
		_, err := io.ReadFull(c, buf)
		require.NoError(t, err)
		require.Equal(t, bytes.Repeat(buf[:1], 100), buf)
	}
	all.Wait()
}

func TestTLSPeerVanishesInTheHandshake(t *testing.T) {
	for name, hello := range map[string]int{"before its first byte": 0, "within ClientHello": 50} {
		for kind, srv := range map[string]*server.Server{"events": {Events: server.Events{Data: echo}}, "handler": {Handler: echoHandler}} {
			t.Run(name+" "+kind, func(t *testing.T) {
				log := &journal{}
				srv := &server.Server{
					TLS: serverTLS(), Events: srv.Events, Handler: srv.Handler, Log: log.logger(),
					Timeouts: server.Timeouts{Handshake: 50 * time.Millisecond},
				}
				addr := serve(t, srv)
				start := time.Now()
				c := client(t, addr)
				limited := tls.Client(&cut{c, hello}, clientTLS())
				_ = limited.SetDeadline(time.Now().Add(weirtest.Patience))
				require.Error(t, limited.Handshake())
				require.GreaterOrEqual(t, time.Since(start), 50*time.Millisecond)
				weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "the server closes it")
				require.Equal(t, 1, log.count("the connection's handshake timeout of 50ms is over"), log.all())
			})
		}
	}
}

// A cut drops what is written after the first bytes.
type cut struct {
	net.Conn
	left int
}

func (c *cut) Write(p []byte) (int, error) {
	n := min(c.left, len(p))
	c.left -= n
	if _, err := c.Conn.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

func TestTLSPlainClientAtATLSPort(t *testing.T) {
	log := &journal{}
	srv := &server.Server{TLS: serverTLS(), Events: server.Events{Data: echo}, Log: log.logger()}
	c := client(t, serve(t, srv))
	send(t, c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	expectEnd(t, c)
	require.Equal(t, 1, log.count("INFO server: a TLS handshake has failed peer="+c.LocalAddr().String()+" error=tls: first record does not look like a TLS handshake"), log.all())
}

// An untrusting client sends an alert in the handshake.
func TestTLSClientRefusesTheCertificate(t *testing.T) {
	log := &journal{}
	srv := &server.Server{TLS: serverTLS(), Events: server.Events{Data: echo}, Log: log.logger()}
	c := tls.Client(client(t, serve(t, srv)), &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool()})
	require.Error(t, c.Handshake())
	c.Close()
	weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "the server closes it")
	require.Equal(t, 1, log.count("remote error: tls: bad certificate")+log.count("unknown certificate authority"), log.all())
}

// After a bad record the client gets an alert, and Closed gets an error that says so.
func TestTLSBadRecord(t *testing.T) {
	eachTLS(t, func(t *testing.T, srv *server.Server, config *tls.Config) {
		end, closed := ended()
		if srv.Handler != nil {
			srv.Finish = func(_ *server.Session, err error) { end <- err }
		} else {
			srv.Events.Closed = closed
		}
		raw := &recording{Conn: client(t, serve(t, srv))}
		c := tls.Client(raw, config)
		send(t, c, "hello")
		expect(t, c, "hello")
		_, err := raw.Write(append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...))
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		require.ErrorContains(t, err, "bad record MAC")
		_, _ = io.Copy(io.Discard, raw) // the end of the stream
		if srv.Handler == nil && config.MaxVersion == tls.VersionTLS12 {
			require.Len(t, raw.records(21), 1)
		}
		require.NoError(t, raw.Close())
		require.ErrorContains(t, weirtest.Take(t, end), "bad record MAC")
	})
}

func TestTLSEndWithinARecord(t *testing.T) {
	eachTLS(t, func(t *testing.T, srv *server.Server, config *tls.Config) {
		end, closed := ended()
		if srv.Handler != nil {
			srv.Finish = func(_ *server.Session, err error) { end <- err }
		} else {
			srv.Events.Closed = closed
		}
		raw := client(t, serve(t, srv))
		c := tls.Client(raw, config)
		send(t, c, "hello")
		expect(t, c, "hello")
		_, err := raw.Write([]byte{23, 3, 3, 0, 40, 1, 2, 3})
		require.NoError(t, err)
		require.NoError(t, raw.(*net.TCPConn).CloseWrite())
		require.ErrorIs(t, weirtest.Take(t, end), io.ErrUnexpectedEOF)
	})
}

// Timeouts.Read bounds the time for the rest of a record.
func TestTLSPartOfARecordTimesOut(t *testing.T) {
	end, closed := ended()
	raw := client(t, serve(t, &server.Server{
		TLS: serverTLS(), Events: server.Events{Data: echo, Closed: closed}, Timeouts: server.Timeouts{Read: 30 * time.Millisecond},
	}))
	c := tls.Client(raw, clientTLS())
	send(t, c, "hello")
	expect(t, c, "hello")
	_, err := raw.Write([]byte{23, 3, 3})
	require.NoError(t, err)
	require.ErrorContains(t, weirtest.Take(t, end), "read timeout of 30ms")
}

// Close sends close_notify behind the output.
func TestTLSCloseNotifies(t *testing.T) {
	for name, srv := range map[string]*server.Server{
		"events": {Events: server.Events{Data: func(c *server.Conn) error { _, err := c.Write(c.Next(-1)); c.Close(); return err }}},
		"handler": {Handler: func(s *server.Session) error {
			if err := echoHandler(s); err != nil {
				return err
			}
			return s.Close()
		}},
		"handler's end": {Handler: func(s *server.Session) error {
			if err := echoHandler(s); err != nil {
				return err
			}
			return errors.New("that is all")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			srv.TLS = serverTLS()
			raw := &recording{Conn: client(t, serve(t, srv))}
			c := tls.Client(raw, clientTLS())
			send(t, c, "hello")
			expect(t, c, "hello")
			expectEnd(t, c)
			require.True(t, raw.endsWithNotify())
		})
	}
}

func TestTLSShutdown(t *testing.T) {
	eachTLS(t, func(t *testing.T, srv *server.Server, config *tls.Config) {
		addr := serve(t, srv)
		raw := &recording{Conn: client(t, addr)}
		idle := tls.Client(raw, config)
		send(t, idle, "hello")
		expect(t, idle, "hello")
		silent := client(t, addr)
		weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 2 }, "both are accepted")
		down := make(chan error, 1)
		go func() { down <- srv.Shutdown(context.Background()) }()
		expectEnd(t, idle)
		idle.Close()
		if config.MaxVersion == tls.VersionTLS13 {
			require.True(t, raw.endsWithNotify())
		}
		expectEnd(t, silent)
		require.NoError(t, weirtest.Take(t, down))
	})
}

// Close ends connections in every part of their lives.
func TestTLSCloseOfTheServer(t *testing.T) {
	eachTLS(t, func(t *testing.T, srv *server.Server, config *tls.Config) {
		addr := serve(t, srv)
		done := tlsClient(t, addr, config)
		half := tls.Client(&cut{client(t, addr), 50}, config)
		shaking := make(chan error, 1)
		go func() { shaking <- half.Handshake() }()
		silent := client(t, addr)
		weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 3 }, "all are accepted")
		if srv.Handler == nil {
			require.Empty(t, srv.Sessions(), "they are no sessions of a Handler")
		}
		require.NoError(t, srv.Close())
		_, err := done.Read(make([]byte, 1))
		require.Error(t, err)
		require.Error(t, weirtest.Take(t, shaking))
		_, err = silent.Read(make([]byte, 1))
		require.Error(t, err)
		weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "none is left")
	})
}

// One server has plain and TLS listeners.
func TestTLSOfAService(t *testing.T) {
	srv := &server.Server{TLS: serverTLS(), Events: server.Events{Data: echo}}
	secure := serve(t, srv)
	plain, err := srv.ListenService("tcp4", "127.0.0.1:0", &server.Service{Events: server.Events{Data: echo}})
	require.NoError(t, err)
	handler, err := srv.ListenService("tcp4", "127.0.0.1:0", &server.Service{TLS: serverTLS(), Handler: echoHandler})
	require.NoError(t, err)
	for _, c := range []net.Conn{tlsClient(t, secure, clientTLS()), client(t, plain), tlsClient(t, handler, clientTLS())} {
		send(t, c, "hello")
		expect(t, c, "hello")
	}
	_, err = srv.ListenService("tcp4", "127.0.0.1:0", &server.Service{TLS: &tls.Config{}, Handler: echoHandler})
	require.EqualError(t, err, "server: Service.TLS has none of Certificates, GetCertificate and GetConfigForClient")
	_, err = (&server.Server{TLS: &tls.Config{}, Handler: echoHandler}).Listen("tcp4", "127.0.0.1:0")
	require.EqualError(t, err, "server: Server.TLS has none of Certificates, GetCertificate and GetConfigForClient")
}

func TestTLSDetachIsRefused(t *testing.T) {
	result := make(chan error, 1)
	addr := serve(t, &server.Server{TLS: serverTLS(), Events: server.Events{
		Open: func(c *server.Conn) error { _, err := c.Detach(); result <- err; return nil },
		Data: echo,
	}})
	c := tlsClient(t, addr, clientTLS())
	require.ErrorIs(t, weirtest.Take(t, result), unix.EOPNOTSUPP)
	send(t, c, "hello")
	expect(t, c, "hello")
}

// An empty WriteAsync completes, on a TLS connection, too.
func TestTLSWriteAsyncOfNothing(t *testing.T) {
	t.Parallel()
	conns, open := opened()
	addr := serve(t, &server.Server{TLS: serverTLS(), Events: server.Events{Open: open, Data: echo}})
	c := tlsClient(t, addr, clientTLS())
	conn := weirtest.Take(t, conns)
	done := make(chan error, 2)
	onLoop(t, conn, func() {
		for range 2 {
			if err := conn.WriteAsync(nil, func(err error) { done <- err }); err != nil {
				done <- err
			}
		}
	})
	require.NoError(t, weirtest.Take(t, done))
	require.NoError(t, weirtest.Take(t, done))
	send(t, c, "x")
	expect(t, c, "x")
}
