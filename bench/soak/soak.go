// Package soak has a process that does everything at once for a long time, and watches
// whether anything grows. Servers and clients are in one process. The clients check every
// byte. After each cycle all connections close, and then nothing may be left of them.
package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/machine"
)

// Roles are the processes of the soak suite.
var Roles = map[string]child.Role{"soak": child.Ordered(run)}

// An Order says how many clients work for how long.
type Order struct {
	Conns    int
	Dur      time.Duration
	Patience time.Duration // with a client that gets no byte while the others get on
}

// A Result is what the process has done, and what it has left after each cycle.
type Result struct {
	Conns  int              // clients at a time; fewer than ordered where descriptors lack
	Wanted int              // as ordered
	Jobs   map[string]int64 // of each kind of work
	Bytes  int64            // checked, in both directions
	Looks  []Look           // after the warm-up, and after each cycle
	Wrong  []string         // what has gone wrong, the first of each kind of work
}

// A Look is what the process has when it has no connections.
type Look struct {
	Heap, Stacks, Resident int64 // bytes
	Goroutines, Files      int
}

// cycles is how many cycles follow the warm-up, which is as long as each of them.
const cycles = 5

// spare is how many descriptors are not for connections: those of loops and pipes.
const spare = 512

// run is a role.
func run(order Order, answer child.Answer) error {
	if err := machine.RaiseFileLimit(); err != nil {
		return err
	}
	limit, err := machine.HardFileLimit()
	if err != nil {
		return err
	}
	if limit < spare+64 {
		return fmt.Errorf("the hard limit of descriptors (ulimit -Hn) is %d, and %d are needed", limit, spare+64)
	}
	// A client has two descriptors, and four if it goes through the proxy, as few do.
	r := Result{Wanted: order.Conns, Conns: min(order.Conns, int((limit-spare)*2/5)), Jobs: map[string]int64{}}
	b, err := newBed(order.Patience)
	if err != nil {
		return err
	}
	defer b.close()
	for i := range cycles + 1 {
		if err := b.cycle(r.Conns, uint64(i), order.Dur/(cycles+1)); err != nil {
			return err
		}
		look, err := lookAround()
		if err != nil {
			return err
		}
		r.Looks = append(r.Looks, look)
	}
	for k, kind := range kinds {
		r.Jobs[kind.name] = b.jobs[k].Load()
		if err := b.wrong[k]; err != nil {
			r.Wrong = append(r.Wrong, kind.name+": "+err.Error())
		}
	}
	r.Bytes = b.checked.Load()
	return answer(r)
}

// poolTime is how long the loops keep goroutines that they do not need: up to two of the
// seconds in which they look. Tests make it short.
var poolTime = 2200 * time.Millisecond

// lookAround looks when the process has come to rest.
func lookAround() (l Look, err error) {
	fewest, since := runtime.NumGoroutine(), time.Now()
	for time.Since(since) < poolTime {
		time.Sleep(50 * time.Millisecond)
		if n := runtime.NumGoroutine(); n < fewest {
			fewest, since = n, time.Now()
		}
	}
	m := machine.Settle()
	l = Look{Heap: int64(m.Heap), Stacks: int64(m.Stacks), Goroutines: runtime.NumGoroutine()}
	if l.Files, err = machine.OpenFiles(os.Getpid()); err != nil {
		return l, err
	}
	l.Resident, err = machine.ResidentBytes(os.Getpid())
	return l, err
}

// Growth says what has grown, or is wrong. It returns nil if everything is flat. What a
// process needs only once, such as pools and parked goroutines, may come in any cycle, so
// a few of each may be more at the end than at first.
func (r Result) Growth() error {
	const (
		someGoroutines = 40
		someFiles      = 40       // the descriptors of pooled pipes
		someMemory     = 16 << 20 // bytes
	)
	if len(r.Looks) < 2 {
		return errors.New("there are no two looks to compare")
	}
	first, last := r.Looks[0], r.Looks[len(r.Looks)-1]
	var found []error
	grown := func(what string, before, after, allowed int64) {
		if after > before+allowed {
			found = append(found, fmt.Errorf("%s: %d after the warm-up, and %d at the end", what, before, after))
		}
	}
	grown("goroutines", int64(first.Goroutines), int64(last.Goroutines), someGoroutines)
	grown("descriptors", int64(first.Files), int64(last.Files), someFiles)
	grown("bytes of heap", first.Heap, last.Heap, someMemory)
	grown("bytes of stacks", first.Stacks, last.Stacks, someMemory)
	grown("resident bytes", first.Resident, last.Resident, first.Resident/4+2*someMemory)
	for _, w := range r.Wrong {
		found = append(found, errors.New(w))
	}
	for _, kind := range kinds {
		if r.Jobs[kind.name] == 0 {
			found = append(found, fmt.Errorf("%s: nothing was done", kind.name))
		}
	}
	return errors.Join(found...)
}

// Kinds lists the kinds of work.
func Kinds() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// A kind of work. A client does one job after the other, and goes on after errors.
type kind struct {
	name  string
	share int // of a hundred clients
	job   func(c *client) error
}

var kinds = []kind{
	{"echo", 35, (*client).echo},
	{"handler", 15, (*client).handler},
	{"churn", 10, (*client).churn},
	{"reset", 8, (*client).reset},
	{"timeout", 8, (*client).timeout},
	{"idle", 4, (*client).idle},
	{"select", 6, (*client).selects},
	{"bulk", 4, (*client).bulk},
	{"splice", 2, (*client).splice},
	{"interrupt", 4, (*client).interrupt},
	{"close", 4, (*client).closing},
}

// kindOf returns the kind of the i-th client.
func kindOf(i int) int {
	at := i % 100
	return slices.IndexFunc(kinds, func(k kind) bool { at -= k.share; return at < 0 })
}

// cycle has n clients work for a while. When it returns no connection is left.
func (b *bed) cycle(n int, number uint64, dur time.Duration) error {
	ctx, stop := context.WithTimeout(context.Background(), dur)
	defer stop()
	var clients sync.WaitGroup
	connecting := make(chan struct{}, 64) // clients that connect at a time, so that no backlog overflows
	all := make([]*client, n)
	for i := range all {
		all[i] = &client{bed: b, ctx: ctx, seed: number<<40 | uint64(i)<<20, connecting: connecting}
		all[i].pace.kind = kindOf(i)
	}
	var running atomic.Int64
	running.Store(int64(n))
	over := make(chan struct{})
	var attending sync.WaitGroup
	attending.Go(func() { b.attend(all, &running, over) })
	for _, c := range all {
		clients.Go(func() {
			defer running.Add(-1)
			defer c.leave()
			k := c.pace.kind
			for first := true; first || ctx.Err() == nil; first = false {
				c.step()
				if err := kinds[k].job(c); err != nil {
					b.note(k, err)
					c.leave()
					continue
				}
				b.jobs[k].Add(1)
				b.done.Add(1)
			}
		})
	}
	clients.Wait()
	close(over)
	attending.Wait()
	return b.settle()
}

// note keeps the first error of a kind of work.
func (b *bed) note(k int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wrong[k] == nil {
		b.wrong[k] = err
	}
}

// Counters of a bed, by kind.
type (
	counts  [16]atomic.Int64
	reports [16]error
)
