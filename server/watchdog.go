package server

import (
	"bytes"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
)

// A watchdog looks whether the loops turn. It asks them nothing and costs them
// nothing: it compares what they count anyway.
type watchdog struct {
	srv  *Server
	quit chan struct{}
	over chan struct{}
}

// A watched is what the watchdog knows of a loop.
type watched struct {
	turn  uint64
	since time.Time // when the turn was first seen
	told  bool
	id    atomic.Uint64 // of the loop's goroutine; 0 until it is known
}

// watch starts a watchdog.
func watch(s *Server) *watchdog {
	w := &watchdog{srv: s, quit: make(chan struct{}), over: make(chan struct{})}
	loops := make([]watched, len(s.engines))
	for i, e := range s.engines {
		// Now, before a callback can hold the loop up.
		_ = e.post(func() { loops[i].id.Store(goroutine()) })
	}
	go w.run(loops)
	return w
}

func (w *watchdog) stop() {
	close(w.quit)
	<-w.over
}

func (w *watchdog) run(loops []watched) {
	defer close(w.over)
	limit := w.srv.StallAfter
	ticker := time.NewTicker(max(limit/4, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-w.quit:
			return
		case now := <-ticker.C:
			for i := range loops {
				w.look(&loops[i], i, now)
			}
		}
	}
}

func (w *watchdog) look(l *watched, i int, now time.Time) {
	turn, busy := w.srv.engines[i].loop.Busy()
	if !busy || turn != l.turn || l.since.IsZero() {
		if l.told {
			w.srv.Log.Warn("server: an event loop turns again", "loop", i, "after", now.Sub(l.since))
		}
		l.turn, l.since, l.told = turn, now, false
		return
	}
	if held := now.Sub(l.since); held >= w.srv.StallAfter && !l.told {
		l.told = true
		w.srv.counters.stalls.Add(1)
		w.srv.Log.Warn("server: an event loop is held up", "loop", i, "for", held, "stack", stackOf(l.id.Load()))
	}
}

// goroutine is the number of the calling goroutine, as stacks tell it.
func goroutine() uint64 {
	var buf [64]byte
	fields := bytes.Fields(buf[:runtime.Stack(buf[:], false)])
	if len(fields) < 2 {
		return 0
	}
	id, _ := strconv.ParseUint(string(fields[1]), 10, 64)
	return id
}

// mostStack bounds the memory for the stacks of all goroutines.
const mostStack = 16 << 20

// stackOf is the stack of one goroutine.
func stackOf(id uint64) string {
	head := []byte("goroutine " + strconv.FormatUint(id, 10) + " ")
	for size := 64 << 10; ; size *= 4 {
		buf := make([]byte, size)
		n := runtime.Stack(buf, true)
		for _, stack := range bytes.Split(buf[:n], []byte("\n\n")) {
			if bytes.HasPrefix(stack, head) {
				return string(stack)
			}
		}
		if n < size || size >= mostStack {
			return "unknown"
		}
	}
}
