package server

import (
	"time"
)

// SetIdle sets how long this connection may be idle between two calls, instead of
// Timeouts.Idle. 0 or less means for ever, which suits a subscriber that only receives.
// Only Begin and Handler may call SetIdle.
func (x *Session) SetIdle(d time.Duration) {
	p := x.place.Load()
	if p.timer == nil {
		if d <= 0 {
			return
		}
		p = &place{eng: p.eng, announced: p.announced, timer: p.eng.loop.NewTimer(x.checkIdle)}
		x.place.Store(p)
	}
	p.idle.Store(int64(max(d, 0)))
	if d > 0 {
		p.timer.Reset(d) // if that is too early, checkIdle sets it again
	}
}

// limit returns how long the session may be idle now. 0 means for ever.
func (x *Session) limit() time.Duration {
	p := x.place.Load()
	if x.shaking() {
		return p.eng.service.Timeouts.Handshake
	}
	idle := time.Duration(p.idle.Load())
	if first := p.eng.service.Timeouts.FirstByte; !x.called.Load() && first > 0 && (idle == 0 || first < idle) {
		return first
	}
	return idle
}

// timeout returns the error of a session that was idle for too long.
func (x *Session) timeout() error {
	t := &TimeoutError{Of: "idle", After: x.limit()}
	if x.shaking() {
		t.Of = "handshake"
	} else if !x.called.Load() && t.After == x.engine().service.Timeouts.FirstByte {
		t.Of = "first byte"
	}
	return t
}

// shortest returns the shortest limit that a running session may have when it rests, or 0.
func (x *Session) shortest(p *place) time.Duration {
	d := time.Duration(p.idle.Load())
	if t := p.eng.service.Timeouts; !x.called.Load() {
		for _, other := range [...]time.Duration{t.FirstByte, t.Handshake} {
			if other > 0 && (d == 0 || other < d) {
				d = other
			}
		}
	}
	return d
}

// checkIdle is called by the timer. Calls of Handler do not move the timer. So it may
// expire early: checkIdle then sets it to the rest of the idle time.
func (x *Session) checkIdle() {
	p := x.place.Load()
	if !x.claim() {
		// Without a timer, the handshake has ended as the timer expired, and there is no limit.
		for p.timer != nil && x.state.Load()&sessionStates != sessionOver {
			d := x.shortest(p)
			if d > 0 {
				p.timer.Reset(d)
			}
			if x.shortest(p) == d { // otherwise SetIdle may have come in between
				return
			}
		}
		return
	}
	if d := x.limit(); d > 0 {
		left := time.Duration(p.since.Load()) + d - p.eng.loop.Elapsed()
		if left <= 0 && x.unread() { // the loop was busy, and has not taken in the event yet
			p.timer.Reset(d)
			p.eng.srv.spawn(p.eng.loop, (*running)(x))
			return
		}
		if left <= 0 {
			p.eng.loop.Spawn((*expired)(x))
			return
		}
		p.timer.Reset(left)
	}
	if x.idle() {
		p.eng.srv.spawn(p.eng.loop, (*running)(x))
	}
}
