package loop

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/timers"
)

// A Runner is work for a goroutine: see Loop.Spawn.
type Runner interface{ Run() }

// spawnsAtOnce is how many goroutines the loop starts or wakes before it yields to
// them. Most of them are done soon, and the next ones then reuse their stacks.
const spawnsAtOnce = 32

// Spawn calls r.Run on another goroutine. It is for work that the loop has found: a
// loop that may hold its P lets the goroutine run before it sleeps. Spawn works after
// Close, too. Nothing recovers from a panic of Run. Run must leave the goroutine as it
// was: not locked to a thread, for example.
//
// A goroutine whose Run has returned parks, and a later Spawn wakes it. That costs
// less than a new goroutine, whose stack has to grow first. A loop keeps at most 256
// parked goroutines, and ends those that it has not needed for a while.
func (l *Loop) Spawn(r Runner) {
	l.spawned.Add(1)
	counter := l.backlog.add()
	if w := l.workers.take(); w != nil {
		w.job, w.backlog = r, counter
		w.parker.unpark()
		return
	}
	l.workers.started.Add(1)
	go l.runAll(r, counter)
}

// Started returns how many goroutines Spawn has started so far. The other calls of
// Spawn have woken one.
func (l *Loop) Started() uint64 { return l.workers.started.Load() }

// runAll runs r and what Spawn gives to the goroutine after it.
func (l *Loop) runAll(r Runner, backlog *atomic.Int64) {
	var w *worker
	for r != nil {
		backlog.Add(-1)
		r.Run()
		if w == nil {
			w = new(worker)
			l.initParker(&w.parker)
		}
		w.job = nil // Run must be collectable
		if !l.workers.put(l, w) {
			return
		}
		w.parker.park()
		r, backlog = w.job, w.backlog // r is nil if the loop does not need the goroutine any more
	}
}

const (
	mostParked = 256
	// trimEvery is how often a loop ends the goroutines that were parked all the
	// time since it did so last.
	trimEvery = 10 * time.Second
)

// A worker is a goroutine that parks between the Runners.
type worker struct {
	parker  parker
	job     Runner
	backlog *atomic.Int64 // counts the goroutine from being woken for the job until it runs
	below   *worker       // in the stack
}

// workers are the parked goroutines of a loop: a stack, so that the one that has run
// last, whose memory is in the cache, runs next.
type workers struct {
	mu      sync.Mutex
	top     *worker
	parked  int    // how many are in the stack
	low     int    // the fewest that were in it since the last trim
	trims   bool   // the timer is set
	again   uint64 // how often a parked worker got work
	closed  bool
	timer   timers.Timer[expirer]
	started atomic.Uint64
}

// take returns a parked worker, or nil.
func (p *workers) take() *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.pop()
	if w != nil {
		p.again++
	}
	return w
}

// pop is take for a caller that has the lock.
func (p *workers) pop() *worker {
	w := p.top
	if w == nil {
		return nil
	}
	p.top, w.below = w.below, nil
	p.parked--
	p.low = min(p.low, p.parked)
	return w
}

// put adds a worker that is about to park. It returns false if the worker is to end
// instead.
func (p *workers) put(l *Loop, w *worker) bool {
	p.mu.Lock()
	if p.closed || p.parked >= mostParked {
		p.mu.Unlock()
		return false
	}
	p.top, w.below = w, p.top
	p.parked++
	arm := !p.trims
	p.trims = true
	p.mu.Unlock()
	if arm {
		p.timer.Owner = trimmer{l}
		l.schedule(&p.timer, int64(l.Elapsed()+trimEvery))
	}
	return true
}

// A trimmer is the owner of the timer of a loop's workers.
type trimmer struct{ l *Loop }

// expire ends the workers that were not needed since it was called last.
func (t trimmer) expire(now int64) {
	p := &t.l.workers
	p.mu.Lock()
	idle := p.low
	list := p.end(idle)
	p.low = p.parked
	again := p.parked > 0
	p.trims = again
	p.mu.Unlock()
	wakeAll(list)
	if again {
		t.l.schedule(&p.timer, now+int64(trimEvery))
	}
}

// end takes n workers from the stack, for wakeAll. The caller has the lock.
func (p *workers) end(n int) (list *worker) {
	for range n {
		w := p.pop()
		w.below, list = list, w
	}
	return list
}

// wakeAll wakes workers without a job: they end.
func wakeAll(list *worker) {
	for w := list; w != nil; {
		below := w.below
		w.below = nil
		w.parker.unpark()
		w = below
	}
}

// close ends the parked workers, and those that are running when they are done.
func (p *workers) close() {
	p.mu.Lock()
	p.closed = true
	list := p.end(p.parked)
	p.mu.Unlock()
	wakeAll(list)
}
