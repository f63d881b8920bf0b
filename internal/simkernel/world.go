//go:build linux

// Package simkernel simulates hosts and the network between them, for package simnet. A Host
// is a sys.Kernel: it has TCP and UDP sockets, epoll, eventfds and timerfds. What it does not
// simulate fails with EOPNOTSUPP or ENOPROTOOPT.
//
// All that happens later than a system call, such as the arrival of a packet, is an event. One
// goroutine takes the events in the order of their times, and a seed decides the order of
// those that have the same time. Between two events time passes: a nanosecond at least. In a
// bubble of testing/synctest time passes only when all goroutines wait. So an event finds the
// program at rest.
package simkernel

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// A World has hosts, links and a queue of events. It is concurrency-safe.
type World struct {
	seed  uint64
	start time.Time
	kick  chan struct{} // an event was added that is due before the one that run waits for
	quit  chan struct{}
	done  chan struct{}

	mu       sync.Mutex // guards the rest, and all objects of the hosts
	rng      *rand.Rand // of how many events happen at once
	yields   *rand.Rand // of where goroutines yield
	events   queue
	armed    time.Duration // when run wakes up
	number   uint64        // of the last event
	hosts    map[netip.Addr]*Host
	links    map[route]*link
	usual    Link
	closed   bool
	happened uint64 // events so far
	trace    *Trace
}

// A route is a direction between two hosts.
type route struct{ from, to netip.Addr }

// never is a time that does not come.
const never = time.Duration(1<<63 - 1)

// New starts a World, in which links that SetLink does not set are like usual. Close must
// follow. trace may be nil.
func New(seed uint64, usual Link, trace *Trace) *World {
	w := &World{
		seed: seed, start: time.Now(), usual: usual, trace: trace, armed: never,
		kick: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		rng: rand.New(rand.NewPCG(seed, 1)), yields: rand.New(rand.NewPCG(seed, 2)), hosts: make(map[netip.Addr]*Host), links: make(map[route]*link),
	}
	go w.run()
	return w
}

// Close ends the World. Its descriptors are EBADF from then on.
func (w *World) Close() {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.closed = true
	hosts := w.hosts
	w.mu.Unlock()
	close(w.quit)
	<-w.done
	for _, h := range hosts {
		h.detach()
	}
}

// Events returns how many events have happened so far.
func (w *World) Events() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.happened
}

// now is the time since the start.
func (w *World) now() time.Duration { return time.Since(w.start) }

// An event is something that happens later.
type event struct {
	at     time.Duration
	from   time.Duration // when it may happen at the earliest; a packet has jitter
	to     *sock         // to which it happens, if it may be early; else nil
	order  uint64        // the order among events of the same time: drawn from the seed
	number uint64
	do     func()
}

type queue []event

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return last
}

func (q queue) Less(i, j int) bool {
	a, b := &q[i], &q[j]
	switch {
	case a.at != b.at:
		return a.at < b.at
	case a.order != b.order:
		return a.order < b.order
	}
	return a.number < b.number
}

// after has do called under the lock when d has passed. r decides the order among events of
// the same time. The caller has the lock.
func (w *World) after(d time.Duration, r *rand.Rand, do func()) {
	at := w.now() + d
	w.add(event{at: at, from: at, order: r.Uint64(), do: do})
}

func (w *World) add(e event) {
	w.number++
	e.number = w.number
	at := e.at
	heap.Push(&w.events, e)
	if at < w.armed {
		w.armed = at
		select {
		case w.kick <- struct{}{}:
		default:
		}
	}
}

// early makes the next event happen to a socket during a system call on it, if it may happen
// already. So something may come between a call that finds nothing and the wait for it. It
// returns false if there is no such event.
func (w *World) early(s *sock) bool {
	best := -1
	now := w.now()
	for i := range w.events {
		e := &w.events[i]
		if e.to == s && e.from <= now && (best < 0 || w.events.Less(i, best)) {
			best = i
		}
	}
	if best < 0 {
		return false
	}
	e := heap.Remove(&w.events, best).(event)
	w.happened++
	e.do()
	return true
}

// run makes the events happen.
func (w *World) run() {
	defer close(w.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w.mu.Lock()
		w.armed = never
		var due <-chan time.Time
		if len(w.events) > 0 {
			// A nanosecond later than the event is due, so that all goroutines whose
			// timers are due at the same time have come to rest.
			w.armed = w.events[0].at
			timer.Reset(max(w.armed-w.now(), 0) + 1)
			due = timer.C
		}
		w.mu.Unlock()
		select {
		case <-due:
			w.step()
		case <-w.kick:
		case <-w.quit:
			return
		}
	}
}

// step makes the first event happen that is due, and sometimes the next ones with it.
func (w *World) step() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	for len(w.events) > 0 && w.events[0].at <= now {
		e := heap.Pop(&w.events).(event)
		w.happened++
		e.do()
		if w.rng.IntN(4) == 0 {
			break
		}
	}
	w.trace.step()
}
