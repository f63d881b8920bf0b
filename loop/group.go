package loop

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// A Policy says which of a group's loops gets a new descriptor. It is called
// by any goroutine, concurrently; loops is never empty and must not be
// changed.
type Policy func(loops []*Loop) *Loop

// RoundRobin takes the loops in turn.
func RoundRobin() Policy {
	var next atomic.Uint64
	return func(loops []*Loop) *Loop {
		return loops[(next.Add(1)-1)%uint64(len(loops))]
	}
}

// LeastRegistered takes the loop with the fewest registrations.
func LeastRegistered() Policy {
	return func(loops []*Loop) *Loop {
		best, fewest := loops[0], loops[0].Registered()
		for _, l := range loops[1:] {
			if n := l.Registered(); n < fewest {
				best, fewest = l, n
			}
		}
		return best
	}
}

// A Group is a fixed number of loops that share the descriptors.
type Group struct {
	loops  []*Loop
	policy Policy
	closed atomic.Bool
}

// NewGroup starts n loops with the same options, n being at least 1. The policy
// must not be nil.
func NewGroup(n int, policy Policy, opts ...Option) (*Group, error) {
	if n < 1 {
		return nil, fmt.Errorf("loop: group of %d loops: at least 1 is needed", n)
	}
	if policy == nil {
		return nil, errors.New("loop: group: the policy is nil")
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

// Pick is the loop that the next descriptor should go to. A closed group still
// has one, whose Register fails.
func (g *Group) Pick() *Loop { return g.policy(g.loops) }

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
