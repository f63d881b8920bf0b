package loop

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/poller"
)

// A call waits alone if its registration is the only one of its loop that has had
// events lately, such as that of a server's only busy client, and if the loop may not
// keep its P while it waits, because there are several Ps. If the call waited by way of
// the loop, each event would wake two threads: the thread that polls for the loop, and
// then the thread that runs the goroutine. A call that waits alone takes its descriptor
// out of the epoll set, and waits in one of three ways, which a thrift chooses. As soon
// as another registration of the loop has an event, the next wait goes by way of the
// loop again.

// A lone is what a loop keeps for the call that waits alone.
type lone struct {
	key      atomic.Uint64 // of the only registration that has had events lately, or nobody
	restarts atomic.Uint32 // counts the calls of notAlone
	waits    atomic.Uint64 // waits without the loop
	taken    atomic.Bool   // a call waits alone, and uses what follows
	thrift   thrift
	doubt    uint // grows with the polls that found nothing
	skip     uint // how many of the next polls are left out
	blocked  bool // the last wait has blocked the thread
	spot     spot
}

// take reserves x for a call. It returns false if another call has it.
func (x *lone) take() bool { return x.taken.CompareAndSwap(false, true) }

// count counts a wait of the call that has reserved x.
func (x *lone) count() { x.waits.Store(x.waits.Load() + 1) }

func (x *lone) leave() { x.taken.Store(false) }

const (
	// failedPollDoubt is how much a poll that finds nothing adds to the doubt. A poll
	// that finds something subtracts 1.
	failedPollDoubt = 2
	// maxDoubt bounds the doubt: then one wait in 1024 still polls.
	maxDoubt = 10
	// aloneAfter is how many further events in succession must be of the registration
	// of the first one.
	aloneAfter = 16
)

// A call that waits alone waits for a bell: that of its seat or of its spot.
const bells = maxSeats + maxSpots

// ringBell ends the wait of the call that has the bell.
func ringBell(bell int) {
	if bell < maxSeats {
		seats.all[bell].ring()
	} else if p := spots[bell-maxSeats].Load(); p != nil {
		p.ring()
	}
}

// solo finds out whether all recent events belong to one registration.
func (l *Loop) solo(events []poller.Event) {
	if n := l.lone.restarts.Load(); n != l.restarted {
		l.restarted, l.streak = n, 0
	}
	if len(events) > 1 {
		l.streak = 0
		if l.lone.key.Load() != nobody {
			l.lone.key.Store(nobody)
		}
		return
	}
	key := events[0].Key()
	if key != l.lastKey {
		l.lastKey, l.streak = key, 0
		if l.lone.key.Load() != nobody {
			l.lone.key.Store(nobody)
		}
		return
	}
	if l.streak++; l.streak == aloneAfter && !l.options.NoAlone && !l.poller.Holds() {
		l.lone.key.Store(key)
	}
}

// notAlone makes calls wait by way of the loop, until aloneAfter further events have
// belonged to one registration.
func (l *Loop) notAlone() {
	l.lone.key.Store(nobody)
	l.lone.restarts.Add(1)
}

// nobody is no registration's key: a table has fewer slots.
const nobody = ^uint64(0)

// longestBlock bounds the time for which a call that waits alone blocks its thread. Then
// it parks. A thread that blocks keeps its P until the scheduler takes it away, which
// happens after 20 µs to ten milliseconds. Until then it may be that no thread asks for
// the events of other goroutines, such as those that wait in Go's package net.
var longestBlock = 500 * time.Microsecond // only tests change it

// receiveAlone is Receive for a call that waits alone. It returns ok false, and has
// done nothing, if the call must not.
func (r *Blocking) receiveAlone(c *Call, buf []byte) (n int, errno syscall.Errno, done bool, err error, ok bool) {
	x := &r.loop.lone
	if !x.take() {
		return 0, 0, false, nil, false
	}
	if way := x.thrift.way(); way != wayPark {
		if s, number := x.sit(); s != nil {
			if !r.unwatch(0) {
				s.leave()
				x.leave()
				return 0, 0, false, nil, false
			}
			x.count()
			if way == wayPoll {
				if got := r.try(x, buf); got.result != unreceived {
					s.leave()
					x.leave()
					n, errno, done = got.outcome()
					return n, errno, done, nil, true
				}
			}
			over, err := r.blockAlone(c, s, number)
			s.leave()
			if !over {
				x.leave()
				return 0, 0, false, err, true
			}
		}
	}
	if !r.toSpot(x) {
		return 0, 0, false, nil, false
	}
	got, err := r.parkAlone(c, reception{&buf[0], int32(len(buf)), unreceived}, nil)
	if n, errno, done = got.outcome(); done {
		err = nil // the input came before what has ended the call
	}
	return n, errno, done, err, true
}

// Repeat calls try, with the descriptor, until it returns true: at once, and again each
// time the descriptor may be readable. It waits as Wait for the read direction does, and
// returns the error of the wait. try makes a system call that does not wait, and returns
// false if that has returned EAGAIN. A panic of try passes through Repeat. Only the call
// that has the turn may call it.
//
// A Repeat that waits alone only parks: the program makes system calls of its own to
// receive many messages at a time, mostly for other goroutines of the process, and a
// thread that blocks or polls would keep those from running.
func (r *Blocking) Repeat(c *Call, try func(fd uintptr) bool) error {
	x := &r.loop.lone
	for {
		// A try that asks a question and does not wait, as libraries do before a request,
		// is not worth the way into the spot.
		parks := x.spot.holder.Load() == r.key
		if !parks && try(uintptr(r.fd)) {
			return nil
		}
		if r.mayPark(c) {
			got, err := r.parkAlone(c, reception{result: unreceived}, try)
			if got.result != unreceived {
				return nil
			}
			if err != nil {
				return err
			}
			continue
		}
		if parks && try(uintptr(r.fd)) {
			return nil
		}
		if err := r.Wait(Read, c); err != nil {
			return err
		}
	}
}

// sit takes a seat. If the last wait did not block the thread, sit starts a goroutine
// that does nothing: for it the scheduler wakes a thread, which then waits for events.
// Otherwise there may be no such thread, because this one was it.
func (x *lone) sit() (s *seat, number int) {
	s, number = takeSeat()
	if s != nil && !x.blocked {
		x.blocked = true
		go func() {}()
	}
	return s, number
}

// try repeats the system call for as long as the loop's busy poll takes, if two in
// three of the last polls have found something.
func (r *Blocking) try(x *lone, buf []byte) reception {
	got := reception{&buf[0], int32(len(buf)), unreceived}
	most := r.loop.options.BusyPoll
	if most <= 0 {
		return got
	}
	if x.skip > 0 {
		x.skip--
		return got
	}
	for start := time.Now(); time.Since(start) < most && r.state.Load()&(stateClosed|Read.interrupted()) == 0 && !r.overdue(Read); {
		if got.receive(r.fd); got.result != unreceived {
			x.doubt -= min(x.doubt, 1)
			return got
		}
	}
	x.doubt = min(x.doubt+failedPollDoubt, maxDoubt)
	x.skip = 1<<x.doubt - 1
	return got
}

// blockAlone is Wait that blocks the thread until the descriptor is readable. over is
// true if longestBlock has passed before.
func (r *Blocking) blockAlone(c *Call, s *seat, number int) (over bool, err error) {
	w, err := r.hangAlone(c)
	if w == nil {
		return false, err
	}
	defer r.giveAlone(w)
	if w.sit(number) {
		ready := s.block(r.fd, longestBlock)
		if !w.rise() {
			s.silence() // the goroutine that has taken w off rings
		} else if r.withdrawWaiter(w) {
			return !ready, nil
		}
	}
	return false, w.sleep() // the goroutine that has taken w off wakes it
}

// hangAlone makes a waiter wait without the loop, which giveAlone takes back. It returns
// nil if the call must not park: because the direction is ready, when err is nil, or
// because of err.
func (r *Blocking) hangAlone(c *Call) (w *waiter, err error) {
	if c.Timeout < 0 && r.limits.Load() == nil && r.hangReceiver(reception{}, 0) {
		return r.receiver, nil
	}
	w = waiters.Get().(*waiter)
	w.deadline = c.fix(r.loop)
	parked, err := r.hang(Read, w, hangUnwatched)
	if !parked {
		waiters.Put(w)
		return nil, err
	}
	return w, nil
}

func (r *Blocking) giveAlone(w *waiter) {
	if w != r.receiver {
		waiters.Put(w)
	}
}

// WaitInput is Wait for the read direction, for a descriptor that gives a message a call.
// If the call waits alone, it parks. tried says whether the call has made its system call
// already, with EAGAIN as the result.
func (r *Blocking) WaitInput(c *Call, tried bool) error {
	if !r.mayPark(c) {
		return r.Wait(Read, c)
	}
	r.loop.lone.spot.tried = tried
	got, err := r.parkAlone(c, reception{result: unreceived}, nil)
	if got.result == resultEnd {
		r.state.Or(stateBroken)
	}
	if got.result != unreceived {
		return nil
	}
	return err
}

// LooksFirst reports whether the system call had better come after WaitInput, which asks
// the kernel for input: the last calls of WaitInput have found none at once. Only the call
// that has the turn to read may call it.
func (r *Blocking) LooksFirst() bool {
	p := &r.loop.lone.spot
	return p.holder.Load() == r.key && p.looksFirst.Load()
}

// mayPark reserves the loop's lone and has r enter the spot, if the call may wait alone.
func (r *Blocking) mayPark(c *Call) bool {
	x := &r.loop.lone
	return c.Timeout != 0 && c.Context == nil && x.key.Load() == r.key && x.take() && r.toSpot(x)
}

// toSpot has r enter the spot, for the call that has reserved x. If it returns false, x is
// not reserved any more.
func (r *Blocking) toSpot(x *lone) bool {
	x.blocked = false
	if !r.enterSpot(0) {
		x.leave()
		return false
	}
	x.count()
	return true
}

// parkAlone is Wait that parks the goroutine in the spot, after toSpot. It makes the
// system call of got, or calls try, or looks for input if there is neither, and returns
// the result. When it returns, the loop's lone is not reserved any more. All of this is one
// function, because a goroutine that comes back from its wait pays for every function that
// it returns from.
func (r *Blocking) parkAlone(c *Call, got reception, try func(uintptr) bool) (reception, error) {
	x := &r.loop.lone
	w, err := r.hangAlone(c)
	if w == nil {
		x.leave()
		return got, err
	}
	p, hangs := &x.spot, true
	p.got, p.try, p.edge = got, try, false
	defer func() {
		if hangs && !(w.rise() && r.withdrawWaiter(w)) { // the program's call has panicked
			_ = w.sleep()
		}
		p.got, p.try = reception{}, nil
		r.giveAlone(w)
		x.leave()
	}()
	if w.sit(maxSeats + p.number - 1) {
		// Until got holds what was received, or an unpark of w has rung the spot, or the
		// spot is vacated.
		for d := p.dup.Load(); d != nil && errors.Is(d.conn.Read(p.receive), os.ErrDeadlineExceeded); {
			p.silence()
			if !w.sits() {
				break // else an earlier unpark has rung late
			}
		}
		got = p.got
		if w.rise() && got.result != unreceived && r.withdrawWaiter(w) {
			hangs = false
			return got, nil
		}
	}
	hangs = false
	return got, w.sleep() // what has vacated the spot has taken w off, or watches the descriptor
}

// Linger waits for input as a call that waits alone does, but no longer than most. It
// returns true if there is input, and neither an end nor an error. It returns false if
// the time is over, and at once if r is not the only busy registration of its loop.
//
// Linger is for a goroutine that has served a request and is about to leave r to its
// hooks. While Linger waits, and after it has returned true, the observers of these
// hooks are told of no events. After it has returned false they are told of events
// again, including those that came meanwhile. Interrupt and Close do not end a Linger
// early.
func (r *Registration) Linger(most time.Duration) (ready bool) {
	x := &r.loop.lone
	if x.key.Load() == r.key && r.Use() == nil {
		if x.take() {
			ready = r.lingerAlone(x, most)
			x.leave()
		}
		r.Done()
	}
	return ready || !r.rewatch()
}

func (r *Registration) lingerAlone(x *lone, most time.Duration) (ready bool) {
	x.count()
	way := x.thrift.way()
	var s *seat
	if way != wayPark {
		s, _ = x.sit()
	}
	if s == nil {
		x.blocked = false
		ready = r.enterSpot(stateObserved) && x.spot.linger(most)
	} else {
		busy := time.Duration(0)
		if way == wayPoll {
			busy = r.loop.options.BusyPoll
		}
		ready = r.unwatch(stateObserved) && s.linger(r.fd, busy, min(most, longestBlock))
		s.leave()
	}
	if !ready {
		r.loop.notAlone() // the requests pause
	}
	return ready
}

// rewatch undoes unwatch. If it returns false, the kernel does not report input to the
// hooks, and the caller must look for input itself.
func (r *Registration) rewatch() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Load()&stateClosed != 0 || r.interest != 0 || r.hooks == nil || r.watch(Read) == nil
}

// withdrawWaiter takes w off the registration, because its wait is over. It returns
// false if another goroutine has taken w off, which then wakes it.
func (r *Blocking) withdrawWaiter(w *waiter) bool {
	if w == r.receiver {
		for {
			s := r.state.Load()
			if s&stateReceiving == 0 {
				return false
			}
			if r.state.CompareAndSwap(s, s&^stateReceiving) {
				return true
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.take(nil, func(_ Direction, x *waiter) bool { return x == w })
	return list.pop() != nil
}

// unwatch takes the descriptor out of the epoll set and out of its spot, unless a waiter
// or an observer needs its events. except may have stateObserved, and then observers do
// not count.
func (r *Registration) unwatch(except uint64) bool {
	p := &r.loop.lone.spot
	if r.state.Load()&Read.watched() == 0 && p.holder.Load() != r.key {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.vacate(r.key)
	return r.leaveSet(except)
}

// enterSpot is unwatch for a goroutine that is about to park in the spot.
func (r *Registration) enterSpot(except uint64) bool {
	p := &r.loop.lone.spot
	if r.state.Load()&Read.watched() == 0 && p.holder.Load() == r.key {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Load()&stateClosed == 0 && r.leaveSet(except) && p.enter(r.fd, r.key)
}

// leaveSet takes the descriptor out of the epoll set. The caller holds the lock.
func (r *Registration) leaveSet(except uint64) bool {
	s := r.state.Load()
	if s&(stateClosed|stateObserved|Write.of(parkedBit))&^except != 0 || r.interest == 0 {
		return r.interest == 0
	}
	if r.loop.poller.Delete(int(r.fd)) != nil {
		return false // it was never in the set: a regular file's
	}
	r.interest = 0
	r.state.And(^(Read.watched() | Write.watched()))
	return true
}
