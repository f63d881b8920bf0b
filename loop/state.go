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
//	bits 4-7    read:  ready, held, parked, queued
//	bits 8-11   write: the same
//	bit  12     read:  the call that has the turn is interrupted
//	bit  16     write: the same
//	bits 32-63  calls in progress, and one for the open Registration itself
const (
	stateClosed uint64 = 1 << 0
	stateBroken uint64 = 1 << 1
	stateUrgent uint64 = 1 << 2

	readyBit  uint64 = 1 << 4 // a system call may succeed; clear: it would say EAGAIN
	heldBit   uint64 = 1 << 5 // a call has the turn
	parkedBit uint64 = 1 << 6 // that call waits for readiness
	queuedBit uint64 = 1 << 7 // others wait for the turn

	interruptBit uint64 = 1 << 12 // the next wait of the one that has the turn is to fail

	oneCall   uint64 = 1 << 32
	callsMask uint64 = ^(oneCall - 1)
)

// of shifts a direction's bit to its place.
func (d Direction) of(bit uint64) uint64 { return bit << (4 * d) }

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
