package soak

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/socket"
)

// A client is stuck if it has got no byte for the bed's patience, while the other clients
// have done overtakes jobs each. Time alone does not tell: where other programs take the
// processors, each of thousands of clients waits for long. If nobody gets on, the sockets'
// timeouts end the calls after longest.
const (
	overtakes = 20
	longest   = 10 // times the patience
)

// A pace is how far a client has come.
type pace struct {
	kind int
	at   atomic.Int64                  // when it last got on: on the bed's clock, in ns
	done atomic.Int64                  // the jobs of the bed at that time
	sock atomic.Pointer[socket.Socket] // on which its calls wait
}

// step notes that the client gets on.
func (c *client) step() {
	c.pace.at.Store(int64(time.Since(c.start)))
	c.pace.done.Store(c.done.Load())
}

// stuck returns why the client of the pace is stuck, or nil. running is how many clients
// there are.
func (b *bed) stuck(p *pace, running int64) error {
	since := b.stuckFor(p)
	others := b.done.Load() - p.done.Load()
	if since <= b.patience || others < overtakes*(running-1) {
		return nil
	}
	return fmt.Errorf("a client is stuck for %v, while %d jobs of others were done", since.Round(time.Millisecond), others)
}

// stuckFor returns for how long the client of the pace has not got on.
func (b *bed) stuckFor(p *pace) time.Duration {
	return time.Since(b.start) - time.Duration(p.at.Load())
}

// attend ends the calls of clients that are stuck, and notes them, until over is closed.
func (b *bed) attend(clients []*client, running *atomic.Int64, over <-chan struct{}) {
	tick := time.NewTicker(max(b.patience/20, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		for _, c := range clients {
			s := c.pace.sock.Load()
			if s == nil {
				continue
			}
			if err := b.stuck(&c.pace, running.Load()); err != nil {
				b.note(c.pace.kind, err)
				s.Interrupt()
			}
		}
	}
}
