//go:build race || msan || asan || weir_portable

package loop

import "sync/atomic"

// A parker parks one goroutine: park returns once for each unpark. Two unparks never
// come without a park between them. This one is on a channel; see park_runtime.go for
// the other.
type parker struct {
	token chan struct{}
	bell  atomic.Int32 // one more than the number of the bell for which the goroutine waits, or 0
}

func (p *parker) init() { p.token = make(chan struct{}, 1) }

// initChannel is init for a parker that must park on a channel.
func (p *parker) initChannel() { p.init() }

// adapt is initChannel, or else init, for a parker that was used. The last unpark may still
// look at bell.
func (p *parker) adapt(bool) { p.init() }

func (p *parker) park() { <-p.token }

func (p *parker) unpark() {
	p.token <- struct{}{}
	if b := p.bell.Load(); b != 0 {
		ringBell(int(b - 1))
	}
}

// sit has unpark ring a bell. It returns false after an unpark that no park has taken
// yet.
func (p *parker) sit(bell int) bool {
	p.bell.Store(int32(bell) + 1)
	if p.sits() {
		return true
	}
	p.bell.Store(0)
	return false
}

// sits reports whether no unpark has come since sit.
func (p *parker) sits() bool { return len(p.token) == 0 }

// rise ends sit. It returns false after an unpark.
func (p *parker) rise() bool {
	p.bell.Store(0)
	return p.sits()
}
