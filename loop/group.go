package loop

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/seed-2334f180/weir/internal/sys"
)

// A Group is a fixed number of loops. Its Policy spreads descriptors over them. It is
// concurrency-safe.
type Group struct {
	loops  []*Loop
	policy Policy
	closed atomic.Bool
}

// NewGroup starts n loops with the same options; n is at least 1. A nil policy
// is RoundRobin.
func NewGroup(n int, policy Policy, opts Options) (*Group, error) {
	if n < 1 {
		return nil, fmt.Errorf("loop: group of %d loops: at least 1 is needed", n)
	}
	if policy == nil {
		policy = RoundRobin()
	}
	g := &Group{policy: policy}
	for range n {
		l, err := New(opts)
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

// Kernel returns the simulated kernel of the group's loops: see Options.Kernel.
func (g *Group) Kernel() sys.Kernel { return g.loops[0].options.Kernel }

// Loops returns the group's loops. The slice must not be changed.
func (g *Group) Loops() []*Loop { return g.loops }

// Close closes all loops, each as Loop.Close does. A second Close returns
// ErrLoopClosed; it does not wait for the first to return.
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

// Default returns the group of all sockets for which the program has chosen no other.
// The first call starts it, with GOMAXPROCS loops and RoundRobin. An idle loop takes no
// processor time. A program may close the group, to leave no goroutine behind. The next
// call of Default then starts another.
func Default() (*Group, error) {
	standard.mu.Lock()
	defer standard.mu.Unlock()
	if standard.group != nil && !standard.group.closed.Load() {
		return standard.group, nil
	}
	g, err := NewGroup(runtime.GOMAXPROCS(0), RoundRobin(), Options{})
	if err != nil {
		return nil, err
	}
	standard.group = g
	return g, nil
}
