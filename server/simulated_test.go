package server_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/simnet"
	"github.com/stretchr/testify/require"
)

// simulate calls f with a server on a simulated host, in simulated time. dial connects to it
// from another host, and ends says why and when connections have ended. latency is how long
// each packet is on its way.
func simulate(t *testing.T, srv *server.Server, f func(t *testing.T, dial func() net.Conn, ends chan end)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(t, simnet.Options{Link: simnet.Link{Latency: latency}})
		srv.Group, srv.Log = n.Host("10.0.0.1").Group(1), slog.New(slog.DiscardHandler)
		ends := make(chan end, 9) // of the bubble: a wait for it lets the time pass
		srv.Events.Closed = func(_ *server.Conn, err error) { ends <- end{err, time.Now()} }
		_, err := srv.Listen("tcp", "10.0.0.1:80")
		require.NoError(t, err)
		clients := n.Host("10.0.0.2").Group(1)
		f(t, func() net.Conn {
			c, err := (&weirnet.Dialer{Group: clients}).Dial("tcp", "10.0.0.1:80")
			require.NoError(t, err)
			if srv.TLS == nil {
				return c
			}
			secure := tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // the certificate is of another time
			require.NoError(t, secure.Handshake())
			return secure
		}, ends)
		require.NoError(t, srv.Close())
	})
}

const latency = time.Millisecond

// An end is why and when a connection has ended.
type end struct {
	err error
	at  time.Time
}

// eachLayer calls f with and without TLS.
func eachLayer(t *testing.T, f func(t *testing.T, config *tls.Config)) {
	t.Run("plain", func(t *testing.T) { f(t, nil) })
	t.Run("TLS", func(t *testing.T) { f(t, serverTLS()) })
}

// Each timeout ends a connection at its time, which begins anew with each receive.
func TestSimulatedTimeouts(t *testing.T) {
	line := func(c *server.Conn) error { // a message ends with a newline
		if i := bytes.IndexByte(c.Peek(-1), '\n'); i >= 0 {
			_, err := c.Write(c.Next(i + 1))
			return err
		}
		return nil
	}
	limits := server.Timeouts{FirstByte: 10 * time.Second, Idle: time.Minute, Read: 20 * time.Second, Linger: time.Second}
	type step struct {
		pause time.Duration
		send  string
	}
	for _, test := range []struct {
		name  string
		steps []step
		of    string
		after time.Duration // since the last step
	}{
		{"nothing comes", nil, "first byte", 10 * time.Second},
		{"the first byte comes in time", []step{{9 * time.Second, "x\n"}}, "idle", time.Minute},
		{"often enough", []step{{9 * time.Second, "x\n"}, {59 * time.Second, "x\n"}, {59 * time.Second, "x\n"}}, "idle", time.Minute},
		{"a part of a message", []step{{0, "x\n"}, {50 * time.Second, "part"}}, "read", 20 * time.Second},
		{"more parts of it", []step{{0, "part"}, {8 * time.Second, "part"}, {8 * time.Second, "part"}}, "read", 4 * time.Second},
		{"another message begins", []step{{0, "part"}, {15 * time.Second, "\npart"}}, "read", 20 * time.Second},
		{"the message ends", []step{{0, "part"}, {15 * time.Second, "\n"}}, "idle", time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachLayer(t, func(t *testing.T, config *tls.Config) {
				srv := &server.Server{TLS: config, Timeouts: limits, Events: server.Events{Data: line}}
				simulate(t, srv, func(t *testing.T, dial func() net.Conn, ends chan end) {
					c := dial()
					defer c.Close()
					last := time.Now()
					for _, s := range test.steps {
						time.Sleep(s.pause)
						_, err := io.WriteString(c, s.send)
						require.NoError(t, err)
						last = time.Now()
					}
					e := <-ends
					var timeout *server.TimeoutError
					require.True(t, errors.As(e.err, &timeout), "%v", e.err)
					require.Equal(t, test.of, timeout.Of)
					require.InDelta(t, test.after, e.at.Sub(last), float64(10*latency))
				})
			})
		})
	}
}

// A peer that moves less than MinRate asks for is ended when Grace is over; one that moves
// enough goes on.
func TestSimulatedMinRate(t *testing.T) {
	for _, test := range []struct {
		bytes int // every second
		after time.Duration
	}{{9, 10 * time.Second}, {11, 0}} {
		eachLayer(t, func(t *testing.T, config *tls.Config) {
			srv := &server.Server{TLS: config, Timeouts: server.Timeouts{MinRate: 10, Grace: 10 * time.Second}, Events: server.Events{
				Data: func(*server.Conn) error { return nil },
			}}
			if config != nil {
				srv.Timeouts.MinRate = 10 + 5 + 17 // the bytes of the record count
				test.bytes += map[bool]int{true: 0, false: 1}[test.after > 0]
			}
			simulate(t, srv, func(t *testing.T, dial func() net.Conn, ends chan end) {
				c := dial()
				defer c.Close()
				start := time.Now()
				for range 60 {
					if _, err := c.Write(make([]byte, test.bytes)); err != nil {
						break
					}
					time.Sleep(time.Second)
				}
				if test.after == 0 {
					require.Empty(t, ends)
					return
				}
				e := <-ends
				require.ErrorContains(t, e.err, "slower than Timeouts.MinRate")
				require.InDelta(t, test.after, e.at.Sub(start), float64(10*latency))
			})
		})
	}
}

// The peer reads late. What one callback writes arrives whole and in order, whether the kernel
// takes all of it, a part or nothing.
func TestSimulatedOutputOfACallback(t *testing.T) {
	for _, size := range []int{1, 15 << 10, 16 << 10, 16<<10 + 1, 32 << 10, 32<<10 + 1, 64 << 10, 64<<10 + 1, 200 << 10} {
		eachLayer(t, func(t *testing.T, config *tls.Config) {
			const rounds = 6
			answer := func(i int) []byte {
				p := make([]byte, size)
				for k := range p {
					p[k] = byte(i + k/251)
				}
				return p
			}
			calls := 0
			srv := &server.Server{TLS: config, SendBuffer: 8 << 10, HighWater: 2 << 20, MaxOutput: 4 << 20, Events: server.Events{Data: func(c *server.Conn) error {
				for range c.Discard(c.Buffered()) {
					if n, err := c.Write(answer(calls)); n != size || err != nil {
						return fmt.Errorf("%d bytes: %w", n, err)
					}
					calls++
				}
				return nil
			}}}
			simulate(t, srv, func(t *testing.T, dial func() net.Conn, ends chan end) {
				c := dial()
				defer c.Close()
				for range rounds {
					_, err := c.Write([]byte("x"))
					require.NoError(t, err)
					time.Sleep(time.Second)
				}
				for i := range rounds {
					got := make([]byte, size)
					_, err := io.ReadFull(c, got)
					require.NoError(t, err)
					require.True(t, bytes.Equal(answer(i), got), "answer %d of %d bytes", i, size)
				}
			})
		})
	}
}

// A peer that takes nothing is ended when Timeouts.Write has passed since it last took
// something.
func TestSimulatedWriteTimeout(t *testing.T) {
	eachLayer(t, func(t *testing.T, config *tls.Config) {
		srv := &server.Server{TLS: config, SendBuffer: 8 << 10, Timeouts: server.Timeouts{Write: time.Minute}, Events: server.Events{
			Data: func(c *server.Conn) error {
				c.Discard(c.Buffered())
				_, err := c.Write(make([]byte, 1<<20))
				return err
			},
		}}
		simulate(t, srv, func(t *testing.T, dial func() net.Conn, ends chan end) {
			c := dial()
			defer c.Close()
			_, err := c.Write([]byte("x"))
			require.NoError(t, err)
			time.Sleep(50 * time.Second)
			_, err = io.ReadFull(c, make([]byte, 300<<10)) // makes room
			require.NoError(t, err)
			last := time.Now()
			e := <-ends
			require.ErrorContains(t, e.err, "write timeout of 1m0s is over")
			require.GreaterOrEqual(t, e.at.Sub(last), time.Minute-20*latency)
			require.LessOrEqual(t, e.at.Sub(last), 2*time.Minute+20*latency, "the kernel may have a little room when the time is over")
		})
	})
}
