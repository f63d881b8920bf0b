package loop

import "github.com/seed-2334f180/weir/poller"

// arrived takes in an event, on the loop's goroutine: it sets the marks, wakes the
// waiters and tells the observers. wait is the number of the loop's wait that the
// event came from, which is the latest.
func (r *Registration) arrived(ev poller.Readiness, wait uint64) {
	const attention = stateProbed | stateObserved | parkedBit | parkedBit<<4 | stateReceiving
	drop := ev&poller.Writable != 0 && r.edges == DropWritable
	for {
		s := r.state.Load()
		if s&stateHandled != 0 {
			if s&stateClosed == 0 { // a handler may have closed it earlier in the turn
				r.callReady(ev)
			}
			return
		}
		if s&attention == stateReceiving && !drop {
			next := r.absorb(s, ev, wait)
			came := next&Read.of(readyBit) != 0
			if came {
				next &^= usedByReceiver()
			}
			if !r.state.CompareAndSwap(s, next) {
				continue
			}
			if came {
				r.receiver.receive(r.fd)
				r.receiver.wake(&r.loop.backlog)
				r.loop.counts.woken++
			}
			return
		}
		if s&attention != 0 || drop {
			break
		}
		if r.state.CompareAndSwap(s, r.absorb(s, ev, wait)) {
			return
		}
	}
	r.mu.Lock()
	for {
		s := r.state.Load()
		if r.state.CompareAndSwap(s, r.absorb(s, ev, wait)&^stateProbed) {
			// If nobody waits for writability, the kernel is no longer asked for
			// it: it would report each packet that leaves.
			drop = drop && s&Write.of(parkedBit) == 0
			break
		}
	}
	r.arrivals.Add(1) // after the probed bit was cleared: the probe that had set it read a smaller number
	list := r.alert(wanted(ev))
	if drop && r.interest&poller.Writable != 0 && !r.observed(Writable) {
		less := r.interest &^ poller.Writable
		r.state.And(^Write.watched())
		if err := r.loop.poller.Modify(int(r.fd), r.key, less); err == nil {
			r.interest = less
		}
	}
	r.mu.Unlock()
	r.loop.counts.woken += uint64(list.wake(&r.loop.backlog))
}

// absorb returns the state after an event. A mark becomes sure only if no call has
// the turn, and none has ended since the wait began: the kernel looked at the
// descriptor at some time during the wait, so a call that ended in it may have used
// the readiness up. An error does not make a mark sure, because the next call in
// either direction takes the error.
func (r *Registration) absorb(s uint64, ev poller.Readiness, wait uint64) uint64 {
	s |= stateBits(ev)
	if r.shared || ev&(poller.Failed|poller.HungUp) != 0 {
		return s
	}
	settled := func(d Direction) bool {
		return s&d.of(heldBit) == 0 && s>>d.stampShift()&stampMask != wait&stampMask
	}
	if ev&poller.Readable != 0 && s&stateUrgent == 0 && settled(Read) {
		s |= Read.sure()
	}
	if ev&poller.Writable != 0 && r.edges == KeepWritable && settled(Write) {
		s |= Write.sure()
	}
	return s
}

// alert removes the waiters whose direction is marked as ready, and tells the
// observers. The caller holds the lock, has set the marks, and must wake the
// returned list.
func (r *Registration) alert(want Interest) (list ring) {
	for _, d := range [...]Direction{Read, Write} {
		if w := r.parked[d]; w != nil && r.state.Load()&(d.of(parkedBit)|d.of(readyBit)) == d.of(parkedBit)|d.of(readyBit) {
			// The waiter makes its system call next, and so uses the mark up.
			r.parked[d] = nil
			r.state.And(^(d.of(readyBit) | d.of(parkedBit) | d.sure()))
			w.receive(r.fd)
			list.push(w, nil)
		}
	}
	for s := r.state.Load(); s&stateReceiving != 0 && s&Read.of(readyBit) != 0; s = r.state.Load() {
		if r.state.CompareAndSwap(s, s&^usedByReceiver()) {
			r.receiver.receive(r.fd)
			list.push(r.receiver, nil)
		}
	}
	r.notify(want, NoticeReady)
	return list
}
