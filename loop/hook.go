package loop

// A Notice is why an observer is called.
type Notice uint8

const (
	NoticeReady       Notice = iota // a condition that it wants may hold
	NoticeClosed                    // the Registration was closed
	NoticeInterrupted               // Interrupt was called
)

// An Observer is told of what happens to a registration that it does not have
// the turn of. Notify is called under the Registration's lock: it must neither
// block nor call back.
type Observer interface {
	Notify(h *Hook, n Notice)
}

// A Hook is what hangs an observer on a Registration. It takes nothing from
// who waits in a call: both are told. A Hook is reused after Unhang.
type Hook struct {
	To   Observer
	want Interest
	reg  *Registration
	next *Hook
	prev *Hook
}

// Loop is the loop of the registration that h hangs on.
func (h *Hook) Loop() *Loop { return h.reg.loop }

// Hang hangs the hook on r. From then on its observer is told of every event
// that concerns the interest; what happened before is for Look to say.
func (h *Hook) Hang(r *Registration, want Interest) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Load()&stateClosed != 0 {
		return r.closedFor()
	}
	if err := r.watchFor(want); err != nil {
		return err
	}
	h.reg, h.want = r, want
	h.prev, h.next = nil, r.hooks
	if h.next != nil {
		h.next.prev = h
	} else {
		r.state.Or(stateObserved)
	}
	r.hooks = h
	return nil
}

// Change gives a hook that hangs another interest.
func (h *Hook) Change(want Interest) error {
	r := h.reg
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Load()&stateClosed != 0 {
		return r.closedFor()
	}
	if err := r.watchFor(want); err != nil {
		return err
	}
	h.want = want
	return nil
}

// Unhang takes the hook off. Its observer is not called any more.
func (h *Hook) Unhang() {
	r := h.reg
	if r == nil {
		return
	}
	r.mu.Lock()
	if h.next != nil {
		h.next.prev = h.prev
	}
	if h.prev != nil {
		h.prev.next = h.next
	} else if r.hooks = h.next; r.hooks == nil {
		r.state.And(^stateObserved)
	}
	r.mu.Unlock()
	h.reg, h.next, h.prev = nil, nil, nil
}

// watchFor watches what the interest needs. The caller holds the lock.
func (r *Registration) watchFor(want Interest) error {
	if want&(Readable|Exceptional) != 0 {
		if err := r.watch(Read); err != nil {
			return err
		}
	}
	if want&Writable != 0 {
		return r.watch(Write)
	}
	return nil
}

// observed reports whether a hook wants any of it. The caller holds the lock.
func (r *Registration) observed(want Interest) bool {
	for h := r.hooks; h != nil; h = h.next {
		if h.want&want != 0 {
			return true
		}
	}
	return false
}

// notify tells the observers, and how many. The caller holds the lock.
func (r *Registration) notify(want Interest, n Notice) (told int) {
	for h := r.hooks; h != nil; h = h.next {
		if n != NoticeReady || h.want&want != 0 {
			h.To.Notify(h, n)
			told++
		}
	}
	return told
}

// Stir tells the observers of a direction to look again, for readiness that is
// not the descriptor's: input that was read ahead.
func (r *Blocking) Stir(want Interest) {
	if r.state.Load()&stateObserved == 0 {
		return
	}
	r.mu.Lock()
	r.notify(want, NoticeReady)
	r.mu.Unlock()
}

// Observers are those that hang on the loop's registrations, in no order.
func (l *Loop) Observers() (all []Observer) {
	l.mu.Lock()
	regs := l.table.all()
	l.mu.Unlock()
	for _, r := range regs {
		r.mu.Lock()
		for h := r.hooks; h != nil; h = h.next {
			all = append(all, h.To)
		}
		r.mu.Unlock()
	}
	return all
}

// Observers is how many hooks hang on r.
func (r *Registration) Observers() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for h := r.hooks; h != nil; h = h.next {
		n++
	}
	return n
}
