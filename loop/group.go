package loop

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
)

// A Group is a fixed number of loops that share the descriptors.
type Group struct {
	loops  []*Loop
	policy Policy
	closed atomic.Bool
}

// NewGroup starts n loops with the same options; n is at least 1. A nil policy
// is RoundRobin.
func NewGroup(n int, policy Policy, opts ...Option) (*Group, error) {
	if n < 1 {
		return nil, fmt.Errorf("loop: group of %d loops: at least 1 is needed", n)
	}
	if policy == nil {
		policy = RoundRobin()
	}
	g := &Group{policy: policy}
	for range n {
		l, err := New(opts...)
		if err != nil {
			return nil, errors.Join(err, g.Close())
		}
		g.loops = append(g.loops, l)
	}
	return g, nil
}

// Pick returns the loop that the policy chooses for a new descriptor with that
// peer; the zero Addr is for a descriptor without one. A closed group still
// returns a loop, whose Register fails.
func (g *Group) Pick(peer netip.Addr) *Loop {
	if l := g.policy(g.loops, peer); l != nil {
		return l
	}
	return g.loops[0]
}

// Loops is the group's loops. The slice must not be changed.
func (g *Group) Loops() []*Loop { return g.loops }

// Close closes all loops, as Loop.Close does one. A second Close returns
// ErrLoopClosed, maybe before the first has returned.
func (g *Group) Close() error {
	if !g.closed.CompareAndSwap(false, true) {
		return ErrLoopClosed
	}
	var errs []error
	for _, l := range g.loops {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

var standard struct {
	mu    sync.Mutex
	group *Group
}

// Default is the group that sockets belong to when nothing else is said. It
// starts when it is first asked for, with one loop per GOMAXPROCS, taken in
// turn; idle loops cost nothing. A program that wants no goroutine left may
// close it; the next call starts another.
func Default() (*Group, error) {
	standard.mu.Lock()
	defer standard.mu.Unlock()
	if standard.group != nil && !standard.group.closed.Load() {
		return standard.group, nil
	}
	g, err := NewGroup(runtime.GOMAXPROCS(0), RoundRobin())
	if err != nil {
		return nil, err
	}
	standard.group = g
	return g, nil
}
