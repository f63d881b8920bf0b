//go:build !race && !msan && !asan && !weir_portable

package loop

import (
	"sync/atomic"
	"unsafe"
)

// A parker parks one goroutine: park returns once for each unpark. Two unparks never
// come without a park between them. A parker must not be copied.
//
// Parking and waking are most of what a call that waits costs beside its system
// calls. A channel needs two locks for them, and some 200 bytes of memory, which is
// cold when there are many connections. So the parker calls the scheduler's own
// functions gopark and goready. The runtime keeps their names and signatures for the
// programs that link to them (https://go.dev/issue/67401). A stack trace shows the
// goroutine as it shows one of package net: "IO wait". The race detector must see
// which goroutine wakes which, so race builds use a channel, and so do builds with
// the tag weir_portable: see park_portable.go.
type parker struct {
	// The address of the goroutine while it is parked; unparked after an unpark
	// that no park has taken yet. The runtime neither moves nor frees a goroutine's
	// descriptor, so a number is safe.
	state atomic.Uintptr

	// token is not nil for a goroutine of a simulated loop. It parks on the channel, as in
	// park_portable.go: package testing/synctest then knows that it waits.
	token chan struct{}
}

const (
	unparked = 1 // not the address of a goroutine
	seated   = 2 // plus the number of a bell: the goroutine waits for it to ring
)

func (p *parker) init() {}

// initChannel is init for a parker that must park on a channel.
func (p *parker) initChannel() { p.token = make(chan struct{}, 1) }

// adapt is initChannel, or else init, for a parker that was used.
func (p *parker) adapt(channel bool) {
	if p.token = nil; channel {
		p.initChannel()
	}
}

func (p *parker) park() {
	if p.token != nil {
		<-p.token
		return
	}
	if p.state.Load() == 0 {
		// If an unpark comes before parkCommit, gopark returns at once.
		gopark(parkCommit, unsafe.Pointer(&p.state), waitReasonIOWait, traceBlockNet, 1)
	}
	p.state.Store(0)
}

func (p *parker) unpark() {
	if p.token != nil {
		p.token <- struct{}{}
		return
	}
	switch g := p.state.Swap(unparked); {
	case g == 0:
	case g < seated+bells:
		ringBell(int(g - seated))
	default:
		goready(g, 1)
	}
}

// sit has unpark ring a bell instead of waking a goroutine. It returns false after an
// unpark that no park has taken yet.
func (p *parker) sit(bell int) bool { return p.state.CompareAndSwap(0, seated+uintptr(bell)) }

// sits reports whether no unpark has come since sit.
func (p *parker) sits() bool { return p.state.Load() != unparked }

// rise ends sit. It returns false after an unpark.
func (p *parker) rise() bool {
	s := p.state.Load()
	return s != unparked && p.state.CompareAndSwap(s, 0)
}

// parkCommit is called on the scheduler's stack when the goroutine has stopped. If it
// returns false, the goroutine goes on.
//
//go:nosplit
//go:norace
func parkCommit(g uintptr, state unsafe.Pointer) bool {
	return (*atomic.Uintptr)(state).CompareAndSwap(0, g)
}

// The runtime's constants of these names.
const (
	waitReasonIOWait uint8 = 2
	traceBlockNet    uint8 = 2
)

//go:linkname gopark runtime.gopark
func gopark(commit func(g uintptr, lock unsafe.Pointer) bool, lock unsafe.Pointer, reason, traceReason uint8, traceSkip int)

//go:linkname goready runtime.goready
func goready(g uintptr, traceSkip int)
