package httpd

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
)

// A Yard lets tests look at a listener's parked connections.
type Yard struct{ y *yard }

func YardOf(l net.Listener) *Yard { return &Yard{l.(*front).yard} }

// SetLinger bounds how long connections linger before they are parked.
func (y *Yard) SetLinger(shortest, longest time.Duration) {
	y.y.shortest, y.y.longest, y.y.beginning = shortest, longest, shortest
}

// Lingers returns how long the parked connections linger the next time.
func (y *Yard) Lingers() (all []time.Duration) {
	y.y.mu.Lock()
	defer y.y.mu.Unlock()
	for c := y.y.parked.first; c != nil; c = c.next {
		all = append(all, c.linger)
	}
	return all
}

// Parked returns how many connections are parked.
func (y *Yard) Parked() (n int) {
	y.y.mu.Lock()
	defer y.y.mu.Unlock()
	for c := y.y.parked.first; c != nil; c = c.next {
		n++
	}
	return n
}

// Parks returns how many times a connection was parked.
func (y *Yard) Parks() int {
	y.y.mu.Lock()
	defer y.y.mu.Unlock()
	return y.y.parks
}

// AwaitParked waits until n connections are parked.
func (y *Yard) AwaitParked(t testing.TB, n int) {
	t.Helper()
	weirtest.Eventually(t, func() bool { return y.Parked() == n }, "connections are parked")
}

// Done waits until the yard has no connection and is closed.
func (y *Yard) Done(t testing.TB) {
	t.Helper()
	weirtest.Eventually(t, func() bool {
		y.y.mu.Lock()
		defer y.y.mu.Unlock()
		return y.y.open == 0 && y.y.closed
	}, "all connections are closed")
}

// NewTLSListener returns the listener of ServeTLS.
func NewTLSListener(srv *http.Server, l net.Listener) (net.Listener, error) {
	config, err := tlsConfig(srv, "", "")
	return newFront(srv, l, config), err
}

// Wake wakes a parked connection without input, as an event does that is late.
func (y *Yard) Wake() {
	y.y.mu.Lock()
	c := y.y.parked.first
	y.y.mu.Unlock()
	y.y.wake(c)
}

// EnterTooLate gives a TLS connection to the listener's yard after the yard was closed.
func EnterTooLate(l net.Listener, c net.Conn) bool {
	f := l.(*front)
	f.yard.back.Close()
	return f.yard.enterTLS(c, f.config)
}
