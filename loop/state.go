package loop

import "github.com/seed-2334f180/weir/poller"

// A Direction is one of the two ways of a descriptor. Each has readiness,
// a turn and waiters of its own.
type Direction uint8

const (
	Read  Direction = 0 // recv(2), accept(2)
	Write Direction = 1 // send(2), connect(2)
)

// String is "read" or "write".
func (d Direction) String() string {
	if d == Read {
		return "read"
	}
	return "write"
}

// A Registration's state is one word, changed by compare-and-swap, so that no
// readiness can slip in between a failed system call and the parking: parking
// sets the parked bit only while the ready bit is clear, and an event sets the
// ready bit and sees the parked one in the same operation. What hangs on the
// bits (the waiters) is guarded by the Registration's lock; who sees a bit
// that promises waiters takes the lock and looks.
//
//	bit  0      closed: no call may begin
//	bit  1      broken: RDHUP, HUP or ERR was reported; never cleared
//	bit  2      urgent: out-of-band data was reported; never cleared
//	bit  3      observed: hooks hang on it
//	bits 4-7    read:  ready, held, parked, queued
//	bits 8-11   write: the same
//	bits 12-13  read, write: the ready mark is certain
//	bits 14-15  read, write: the kernel is asked to report it
//	bit  16     probed: the kernel may have been asked since the last event
//	bits 17-22  the loop's wait during which the last read call ended, modulo 64
//	bits 23-28  the same of the last write call
//	bits 29-30  read, write: the call that has the turn is interrupted
//	bit  31     handled: a Handler serves it. It has no turns and no waiters,
//	            and of the bits above only closed and, as poked, 7 are in use
//	bit  32     receiving: a call waits in Receive, and no deadline bounds it. It
//	            hangs on nothing that the lock guards: whoever clears the bit
//	            wakes the Registration's receiver
//	bits 33-63  calls in progress, and one for the open Registration itself
const (
	stateClosed uint64 = 1 << 0
	stateBroken uint64 = 1 << 1
	stateUrgent uint64 = 1 << 2

	stateObserved uint64 = 1 << 3
	stateProbed   uint64 = 1 << 16

	stateHandled uint64 = 1 << 31
	statePoked   uint64 = 1 << 33 // of a handled one: the handler is to be called

	readyBit  uint64 = 1 << 4 // a system call may succeed; clear: it would say EAGAIN
	heldBit   uint64 = 1 << 5 // a call has the turn
	parkedBit uint64 = 1 << 6 // that call waits for readiness
	queuedBit uint64 = 1 << 7 // others wait for the turn

	stateReceiving uint64 = 1 << 32

	oneCall   uint64 = 1 << 34
	callsMask uint64 = ^(oneCall - 1)

	stampMask uint64 = 1<<6 - 1
)

// of shifts a direction's bit to its place.
func (d Direction) of(bit uint64) uint64 { return bit << (4 * d) }

// sure is the bit that says that the ready mark needs no second look: the
// kernel reported the readiness, and no call has ended since that could have
// used it up.
func (d Direction) sure() uint64 { return 1 << (12 + d) }

// watched is the bit that says that every edge will be reported.
func (d Direction) watched() uint64 { return 1 << (14 + d) }

// interrupted is the bit that says that the next wait of the call that has the
// turn is to fail.
func (d Direction) interrupted() uint64 { return 1 << (29 + d) }

// usedByReceiver is what is cleared for a call in Receive that is woken because
// something came: it is about to try, and the ready mark is its to use up.
func usedByReceiver() uint64 { return stateReceiving | Read.of(readyBit) | Read.sure() }

func (d Direction) stampShift() uint { return 17 + 6*uint(d) }

// stateBits says what an event changes.
func stateBits(ev poller.Readiness) (set uint64) {
	const broken = poller.PeerClosed | poller.HungUp | poller.Failed
	if ev&(poller.Readable|poller.Priority|broken) != 0 {
		set |= Read.of(readyBit)
	}
	if ev&(poller.Writable|poller.HungUp|poller.Failed) != 0 {
		set |= Write.of(readyBit)
	}
	if ev&broken != 0 {
		set |= stateBroken
	}
	if ev&poller.Priority != 0 {
		set |= stateUrgent
	}
	return set
}

// wanted says what an event may make true.
func wanted(ev poller.Readiness) (want Interest) {
	set := stateBits(ev)
	if set&Read.of(readyBit) != 0 {
		want |= Readable
	}
	if set&Write.of(readyBit) != 0 {
		want |= Writable
	}
	if ev&poller.Priority != 0 {
		want |= Exceptional
	}
	return want
}
