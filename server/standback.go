package server

import (
	"runtime"
	"sync"
)

const (
	// callsAtOnce is how many times a goroutine calls the Handler of one session, as long
	// as there is something to read, before it lets the loop look for the input of others.
	callsAtOnce = 16
	// sessionsAtOnce is how many of the sessions that have stood back go on after one turn
	// of the loop. The others wait for the turns that follow. So the input of another
	// session waits for the calls of sessionsAtOnce sessions, however many have input
	// without end.
	sessionsAtOnce = 8
)

// A standing has the sessions of an engine that have stood back.
type standing struct {
	mu    sync.Mutex
	queue fifo[*Session]
	asked bool // the loop will call standingEnd
}

// standBack has the session, which has more to read, go on after the loop's next turn. With
// one processor the loop would otherwise not run until Go's scheduler stops the goroutine,
// 10 ms later, and each further session that sends without end would add 10 ms. If the loop
// was closed, standBack returns false.
func (x *Session) standBack() bool {
	e := x.engine()
	s := &e.standing
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.asked {
		if e.post(e.standingEnd) != nil {
			return false
		}
		s.asked = true
	}
	s.queue.push(x)
	return true
}

// serveStanding has some of the sessions that have stood back go on, first come, first served. If
// the loop was closed, it is for all, because no turn follows.
func (e *engine) serveStanding() {
	s := &e.standing
	s.mu.Lock()
	more := s.queue.n > sessionsAtOnce
	n := min(s.queue.n, sessionsAtOnce)
	if s.asked = more && e.post(e.standingEnd) == nil; more && !s.asked {
		n = s.queue.n
	}
	for range n {
		e.srv.spawn(e.loop, (*running)(s.queue.pop()))
	}
	s.mu.Unlock()
	if more {
		runtime.Gosched() // or the next turns, which find no events, resume the others at once
	}
}
