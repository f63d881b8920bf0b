package httpd

import (
	"net"
	"runtime"
	"testing"
	"time"
)

// A Yard lets tests look at a listener's parked connections.
type Yard struct{ y *yard }

func YardOf(l net.Listener) *Yard { return &Yard{l.(*front).yard} }

// SetLinger bounds how long connections linger before they are parked.
func (y *Yard) SetLinger(shortest, longest time.Duration) { y.y.shortest, y.y.longest = shortest, longest }

// Parked returns how many connections are parked.
func (y *Yard) Parked() (n int) {
	y.y.mu.Lock()
	defer y.y.mu.Unlock()
	for c := y.y.parked.first; c != nil; c = c.next {
		n++
	}
	return n
}

// AwaitParked waits until so many connections are parked.
func (y *Yard) AwaitParked(t testing.TB, n int) {
	t.Helper()
	for begun := time.Now(); y.Parked() != n; runtime.Gosched() {
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("%d connections are parked, not %d", y.Parked(), n)
		}
	}
}

// Done waits until the yard has no connection and is closed.
func (y *Yard) Done(t testing.TB) {
	t.Helper()
	for begun := time.Now(); ; runtime.Gosched() {
		y.y.mu.Lock()
		open, closed := y.y.open, y.y.closed
		y.y.mu.Unlock()
		if open == 0 && closed {
			return
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("%d connections are open; closed: %t", open, closed)
		}
	}
}
