//go:build !race && !msan && !asan && !weir_portable

package loop

import (
	"sync/atomic"
	"unsafe"
)

// A parker parks its one goroutine: park returns once for each unpark, of which
// no two come without a park between them. The zero parker is ready for use. It
// must not be copied.
//
// To park and be woken is what a call that waits costs beside its system calls.
// A channel does it with two locks, and with some 200 bytes of memory that is
// cold when there are many connections. So this is the scheduler's own pair of
// functions: the runtime keeps both where they are, and as they are, for those
// who link to them (https://go.dev/issue/67401). A stack trace shows the
// goroutine as one of net's: "IO wait". Under the race detector, which has to
// see who hands over to whom, and with the build tag weir_portable it is a
// channel.
type parker struct {
	// The goroutine, if it is parked; unparked, if it need not park. Goroutines
	// are not moved and not freed, so a number will do.
	state atomic.Uintptr
}

const unparked = 1 // no goroutine's

func (p *parker) init() {}

func (p *parker) park() {
	if p.state.Load() == 0 {
		// At once after an unpark that came meanwhile.
		gopark(parkCommit, unsafe.Pointer(&p.state), waitReasonIOWait, traceBlockNet, 1)
	}
	p.state.Store(0)
}

func (p *parker) unpark() {
	if g := p.state.Swap(unparked); g != 0 {
		goready(g, 1)
	}
}

// parkCommit is called on the scheduler's stack when the goroutine no longer
// runs. If it returns false, the goroutine goes on.
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
