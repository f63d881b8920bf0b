package server

import (
	"sync"
	"sync/atomic"

	"github.com/seed-2334f180/weir/loop"
)

// handlers bounds how many calls of Begin and Handler run at once. The sessions for
// which there is no room wait in a queue, first come, first served. A session is in it
// once at most.
type handlers struct {
	waiting atomic.Int64 // the length of the queue

	mu      sync.Mutex // guards the rest
	running int
	queue   fifo[handlerJob]
}

// A handlerJob is a goroutine's work that waits for room.
type handlerJob struct {
	on  *loop.Loop
	run loop.Runner
}

// spawn runs a job of a session on a goroutine: at once, or when MaxHandlers has room.
// The job must call handlerDone in the end.
func (s *Server) spawn(on *loop.Loop, run loop.Runner) {
	if s.MaxHandlers == 0 {
		on.Spawn(run)
		return
	}
	h := &s.handlers
	h.mu.Lock()
	if h.running >= s.MaxHandlers {
		h.queue.push(handlerJob{on, run})
		h.waiting.Add(1)
		h.mu.Unlock()
		return
	}
	h.running++
	h.mu.Unlock()
	on.Spawn(run)
}

// handlerDone ends a job, and runs the next one in the queue.
func (s *Server) handlerDone() {
	if s.MaxHandlers == 0 {
		return
	}
	h := &s.handlers
	h.mu.Lock()
	if h.queue.n == 0 {
		h.running--
		h.mu.Unlock()
		return
	}
	next := h.queue.pop()
	h.waiting.Add(-1)
	h.mu.Unlock()
	next.on.Spawn(next.run)
}

// job calls f, which runs the session's callbacks, on a goroutine that spawn has given.
// After Server.Close it ends the session instead: a session may have waited for room.
func (x *Session) job(f func(*Session)) {
	e := x.engine()
	e.handling.Add(1)
	defer func() { // also after runtime.Goexit
		e.handling.Add(-1)
		e.srv.handlerDone()
	}()
	if e.srv.aborting.Load() {
		x.end(ErrClosed)
		return
	}
	x.labelled(f)
}

// giveWay lets the sessions that wait for room go first: this one, which has more to
// read, runs again after them. It returns false if none waits.
func (x *Session) giveWay() bool {
	s := x.Server()
	if s.handlers.waiting.Load() == 0 {
		return false
	}
	s.spawn(x.hook.Loop(), (*running)(x))
	return true
}

// inHandlers returns how many goroutines run Begin or Handler.
func (s *Server) inHandlers() (n int) {
	for _, e := range s.everyEngine() {
		n += int(e.handling.Load())
	}
	return n
}
