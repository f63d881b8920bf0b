package server

import (
	"sync"
	"sync/atomic"
	"time"
)

// A watchdog notices loops that a callback holds up. It costs the loops nothing: it
// compares the numbers of turns that they count anyway.
type watchdog struct {
	srv  *Server
	quit chan struct{}
	over chan struct{}

	mu      sync.Mutex // guards the rest
	stalls  []Stall    // the last ones, the latest at the end
	longest time.Duration
}

// A watched holds what the watchdog knows of one loop.
type watched struct {
	turn   uint64
	since  time.Time     // when the watchdog first saw that turn
	missed time.Duration // how much of the time since then does not count: see run
	logged bool          // the watchdog has logged that the turn takes too long
	id     atomic.Uint64 // the number of the loop's goroutine; 0 until it is known
}

// watch starts a watchdog.
func watch(s *Server) *watchdog {
	w := &watchdog{srv: s, quit: make(chan struct{}), over: make(chan struct{})}
	loops := make([]watched, len(s.engines))
	for i, e := range s.engines {
		// The loop tells its goroutine now, before a callback can hold it up.
		_ = e.post(func() { loops[i].id.Store(goroutine()) })
	}
	go w.run(loops)
	return w
}

func (w *watchdog) stop() {
	close(w.quit)
	<-w.over
}

// run looks at the loops four times in StallAfter. If the watchdog itself is late, the
// process was probably stopped, or the machine: a callback could not go on either. So no
// more than twice the interval counts as a callback's time between two looks.
func (w *watchdog) run(loops []watched) {
	defer close(w.over)
	interval := max(w.srv.StallAfter/4, time.Millisecond)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-w.quit:
			return
		case now := <-ticker.C:
			missed := max(now.Sub(last)-2*interval, 0)
			last = now
			for i := range loops {
				w.look(&loops[i], i, now, missed)
			}
		}
	}
}

// look logs a turn that lasts longer than Server.StallAfter, and the end of that turn.
// missed is how much of the time since the last look does not count.
func (w *watchdog) look(l *watched, i int, now time.Time, missed time.Duration) {
	turn, busy := w.srv.engines[i].loop.Busy()
	if !busy || turn != l.turn || l.since.IsZero() {
		if l.logged {
			w.lasts(i, now.Sub(l.since), true)
			w.srv.Log.Warn("server: an event loop turns again", "loop", i, "duration", now.Sub(l.since))
		}
		l.turn, l.since, l.missed, l.logged = turn, now, 0, false
		return
	}
	held := now.Sub(l.since)
	l.missed += missed
	switch {
	case l.logged:
		w.lasts(i, held, false)
	case held-l.missed >= w.srv.StallAfter:
		l.logged = true
		stack := stackOf(l.id.Load())
		w.stalled(Stall{Loop: i, Began: l.since, For: held, Stack: stack})
		w.srv.Log.Warn("server: a callback holds up an event loop", "loop", i, "duration", held, "stack", stack)
	}
}
