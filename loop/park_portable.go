//go:build race || msan || asan || weir_portable

package loop

import "sync/atomic"

// A parker parks one goroutine: park returns once for each unpark. Two unparks never
// come without a park between them. This one is on a channel; see park_runtime.go for
// the other.
type parker struct {
	token chan struct{}
	seat  atomic.Int32 // one more than the number of the seat, whose thread blocks in ppoll(2); or 0
}

func (p *parker) init() { p.token = make(chan struct{}, 1) }

func (p *parker) park() { <-p.token }

func (p *parker) unpark() {
	p.token <- struct{}{}
	if s := p.seat.Load(); s != 0 {
		seats.all[s-1].ring()
	}
}

// sit has unpark ring the seat. It returns false after an unpark that no park has
// taken yet.
func (p *parker) sit(seat int) bool {
	p.seat.Store(int32(seat) + 1)
	if len(p.token) == 0 {
		return true
	}
	p.seat.Store(0)
	return false
}

// rise ends sit. It returns false after an unpark.
func (p *parker) rise() bool {
	p.seat.Store(0)
	return len(p.token) == 0
}
