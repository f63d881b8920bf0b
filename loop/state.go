package loop

import "github.com/seed-2334f180/weir/poller"

// A Direction is reading or writing. Each direction of a descriptor has its own
// readiness, turn and waiters.
type Direction uint8

const (
	Read  Direction = 0 // recv(2), accept(2)
	Write Direction = 1 // send(2), connect(2)
)

// String returns "read" or "write".
func (d Direction) String() string {
	if d == Read {
		return "read"
	}
	return "write"
}

// A Registration's state is one word, which is changed by compare-and-swap, or by
// an atomic Or, And or Add. So an event cannot be lost between a system call that
// failed and the parking: a call sets the parked bit only while the ready bit is
// clear, and an event sets the ready bit and learns from the same operation
// whether a call is parked. The waiters themselves are guarded by the
// Registration's lock: a goroutine that finds a bit which announces waiters takes the
// lock and looks.
//
//	bit  0      closed: no call may begin
//	bit  1      broken: RDHUP, HUP or ERR was reported; never cleared
//	bit  2      urgent: out-of-band data was reported; never cleared
//	bit  3      observed: at least one hook hangs on it
//	bits 4-7    read:  ready, held, parked, queued
//	bits 8-11   write: the same
//	bits 12-13  read, write: sure, the ready mark needs no check
//	bits 14-15  read, write: watched, the kernel reports every edge
//	bit  16     probed: the kernel may have been asked since the last event
//	bits 17-22  the stamp of reading: the number, modulo 64, of the loop's wait
//	            during which the last read call ended
//	bits 23-28  the stamp of writing
//	bits 29-30  read, write: the call that has the turn is interrupted
//	bit  31     handled: a Handler serves it
//	bit  32     receiving: a call waits in Receive without a deadline
//	bit  33     poked: the handler is to be called in the loop's next turn
//	bits 34-63  the number of calls in progress, plus one while it is open
//
// Invariants:
//
//   - A parked bit is set only if the direction's held bit is, and while it is
//     set parked[d] is the waiter. It is changed under the lock alone.
//   - A queued bit is set if and only if queue[d] has a waiter. It is changed
//     under the lock alone.
//   - A sure bit is set only by an event, while the held bit is clear, or by Watch
//     for a file that is always ready. Begin, End, Unsure, Doubt and an answer of
//     the kernel clear it, because they may mean that the readiness is used up.
//   - The receiving bit is set without the lock, by the call that has the turn to
//     read. The goroutine that clears it, with or without the lock, wakes the
//     receiver. A compare-and-swap clears it, so only one goroutine does.
//   - A handled Registration has no turns and no waiters. Only its closed, handled
//     and poked bits and its number of calls are in use.
//   - The number of calls reaches zero once, after closed was set. The goroutine
//     that makes it zero closes the descriptor.
const (
	stateClosed    uint64 = 1 << 0
	stateBroken    uint64 = 1 << 1
	stateUrgent    uint64 = 1 << 2
	stateObserved  uint64 = 1 << 3
	stateProbed    uint64 = 1 << 16
	stateHandled   uint64 = 1 << 31
	stateReceiving uint64 = 1 << 32
	statePoked     uint64 = 1 << 33

	oneCall   uint64 = 1 << 34
	callsMask uint64 = ^(oneCall - 1)

	stampMask uint64 = 1<<6 - 1
)

// The bits that each direction has, at the place of Read: see of.
const (
	readyBit  uint64 = 1 << 4 // a system call may succeed; clear: it would say EAGAIN
	heldBit   uint64 = 1 << 5 // a call has the turn
	parkedBit uint64 = 1 << 6 // that call waits for readiness
	queuedBit uint64 = 1 << 7 // others wait for the turn
)

// of returns the direction's copy of a bit.
func (d Direction) of(bit uint64) uint64 { return bit << (4 * d) }

// sure is the bit that says that the ready mark needs no check: the kernel has
// reported the readiness, and no call has ended since that could have used it up.
func (d Direction) sure() uint64 { return 1 << (12 + d) }

// watched is the bit that says that the kernel reports every edge.
func (d Direction) watched() uint64 { return 1 << (14 + d) }

// interrupted is the bit that makes the next wait of the call that has the turn
// fail.
func (d Direction) interrupted() uint64 { return 1 << (29 + d) }

// usedByReceiver returns the bits to clear when an event wakes a call in Receive:
// the call tries at once, and so uses the ready mark up.
func usedByReceiver() uint64 { return stateReceiving | Read.of(readyBit) | Read.sure() }

// stampShift is the place of the direction's stamp.
func (d Direction) stampShift() uint { return 17 + 6*uint(d) }

// stateBits returns the bits that an event sets.
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

// wanted returns the conditions that may hold after an event.
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
