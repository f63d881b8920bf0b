package server_test

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/simnet"
	"github.com/stretchr/testify/require"
)

// inBubble returns a config whose clock suits the certificate, also where time is simulated.
func inBubble(config *tls.Config) *tls.Config {
	config.Time = func() time.Time { return identity().Leaf.NotBefore.Add(2 * time.Hour) }
	return config
}

// secured returns the client side of a TLS connection. Its handshake is over, because a
// goroutine that waits for that of another one stops the simulated time.
func secured(t *testing.T, c net.Conn, config *tls.Config) net.Conn {
	x := tls.Client(c, config)
	require.NoError(t, x.Handshake())
	return x
}

// Whatever callbacks do, a connection with something to do goes on. Time is simulated: when
// nothing can go on, it jumps, and so a hang shows at once.
func TestNothingHangs(t *testing.T) {
	identity() // with real time
	clientConfig := inBubble(clientTLS())
	simnet.Seeds(t, 120, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 3))
		m := newHangModel(t, rng, rng.IntN(4) == 0)
		link := simnet.Link{}
		if rng.IntN(2) == 0 {
			link = simnet.Link{Latency: time.Millisecond, Jitter: time.Millisecond}
		}
		n := simnet.New(t, simnet.Options{Seed: seed, Link: link})
		m.srv.Group = n.Host("10.0.0.1").GroupWith(1+rng.IntN(3), loop.LeastRegistered(), loop.Options{})
		serveOn(t, m.srv, "tcp", "10.0.0.1:80")
		clients := n.Host("10.0.0.2").Group(1)
		var all sync.WaitGroup
		for range 1 + rng.IntN(5) {
			u := m.talk(rng)
			rng := rand.New(rand.NewPCG(rng.Uint64(), 4))
			all.Go(func() {
				d := weirnet.Dialer{Group: clients}
				c, err := d.Dial("tcp", "10.0.0.1:80")
				require.NoError(t, err)
				if m.tls {
					c = secured(t, c, clientConfig)
				}
				m.client(u, c, rng, 20*time.Millisecond)
			})
		}
		m.finish(&all, time.Hour)
	})
}

// The same on the real kernel, for as long as -stress says.
func TestNothingHangsOnTheKernel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("the seed is %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	for end := time.Now().Add(*stressTime); time.Now().Before(end) && !t.Failed(); {
		m := newHangModel(t, rng, rng.IntN(4) == 0)
		m.srv.Loops = 1 + rng.IntN(2)
		m.srv.Rates.Read *= 100
		m.srv.Rates.ReadBurst *= 10
		m.srv.Rates.Write *= 100
		addr := serve(t, m.srv)
		var all sync.WaitGroup
		for range 1 + rng.IntN(8) {
			u := m.talk(rng)
			rng := rand.New(rand.NewPCG(rng.Uint64(), 4))
			all.Go(func() {
				c, err := net.Dial("tcp", addr.String())
				require.NoError(t, err)
				if rng.IntN(2) == 0 {
					_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
				}
				if m.tls {
					c = secured(t, c, clientTLS())
				}
				m.client(u, c, rng, 2*time.Millisecond)
			})
		}
		m.finish(&all, weirtest.Patience)
	}
}

// finish waits for the ends of the clients, and of the connections.
func (m *hangModel) finish(clients *sync.WaitGroup, patience time.Duration) {
	over := make(chan struct{})
	go func() {
		clients.Wait()
		for m.srv.Stats().Conns > 0 && !m.t.Failed() {
			time.Sleep(time.Millisecond)
		}
		m.tasks.Wait()
		close(over)
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-over:
	case <-timer.C:
		m.t.Errorf("it hangs:\n%s", m.state())
		_ = m.srv.Close()
		<-over
	}
	require.NoError(m.t, m.srv.Shutdown(context.Background()))
	for _, u := range m.talks {
		if !u.breaks && u.closed.Load() != 1 {
			m.t.Errorf("Closed of talk %d is called %d times", u.number, u.closed.Load())
		}
	}
}
