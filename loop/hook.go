package loop

// A Notice is the reason for which an observer is called.
type Notice uint8

const (
	NoticeReady       Notice = iota // a condition of its interest may hold
	NoticeClosed                    // the Registration was closed
	NoticeInterrupted               // Interrupt was called
)

// An Observer learns what happens to a registration, without having the turn of
// it. It must be concurrency-safe. Notify is called under the Registration's lock: it
// must not block, and must not call methods of the Registration or the Hook, except
// Hook.Loop.
type Observer interface {
	Notify(h *Hook, n Notice)
}

// A Hook hangs an observer on a Registration. An event wakes the waiting calls and
// tells the observers, too. A Hook may be hung again after Unhang. It is for one
// goroutine at a time.
type Hook struct {
	To   Observer // set it before Hang
	want Interest
	reg  *Registration
	next *Hook
	prev *Hook
}

// Loop returns the loop of the registration that h hangs on.
func (h *Hook) Loop() *Loop { return h.reg.loop }

// Hang hangs the hook on r. From then on the observer is told of every event that
// concerns the interest. Call Look after Hang for what happened before. The errors
// are ErrClosed, ErrLoopClosed, and those of epoll_ctl(2).
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

// Change gives another interest to a hook that hangs. The errors are Hang's.
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

// Unhang takes the hook off. When it returns, the observer is not called any more.
// Unhang of a hook that does not hang does nothing.
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

// watchFor has the kernel watch what the interest needs. The caller holds the lock.
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

// observed reports whether a hook wants any condition of want. The caller holds the
// lock.
func (r *Registration) observed(want Interest) bool {
	for h := r.hooks; h != nil; h = h.next {
		if h.want&want != 0 {
			return true
		}
	}
	return false
}

// notify tells the observers that want to know, and returns how many it has told.
// The caller holds the lock.
func (r *Registration) notify(want Interest, n Notice) (told int) {
	for h := r.hooks; h != nil; h = h.next {
		if n != NoticeReady || h.want&want != 0 {
			h.To.Notify(h, n)
			told++
		}
	}
	return told
}

// Stir tells the observers of a condition to look again, because of readiness that
// the kernel does not have: input that was read ahead.
func (r *Blocking) Stir(want Interest) {
	if r.state.Load()&stateObserved == 0 {
		return
	}
	r.mu.Lock()
	r.notify(want, NoticeReady)
	r.mu.Unlock()
}

// Observers returns the observers that hang on the loop's registrations, in no
// order.
func (l *Loop) Observers() (all []Observer) {
	for _, r := range l.Registrations() {
		all = append(all, r.Observers()...)
	}
	return all
}
