package loop

import "time"

// Registrations returns the registrations on the loop, in no order.
func (l *Loop) Registrations() []*Registration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.all()
}

// Key returns a number that names r among the registrations of its loop. After r was
// closed, another registration gets the number only after 2^32 others.
func (r *Registration) Key() uint64 { return r.key }

// ageUnit is the unit in which a Registration notes when it was put on its loop.
const ageUnit = 10 * time.Millisecond

func ageUnits(d time.Duration) uint32 { return uint32(d / ageUnit) }

// Age returns how long ago r was put on its loop, to within 10 ms. After 497 days it
// begins at 0 again. Before Register it is 0.
func (r *Registration) Age() time.Duration {
	if r.loop == nil {
		return 0
	}
	return time.Duration(ageUnits(r.loop.Elapsed())-r.timer.Note) * ageUnit
}

// Handler returns the handler that serves r, or nil.
func (r *Registration) Handler() Handler {
	if r.handler == nil {
		return nil
	}
	return *r.handler
}

// Observers returns the observers that hang on r.
func (r *Registration) Observers() (all []Observer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for h := r.hooks; h != nil; h = h.next {
		all = append(all, h.To)
	}
	return all
}
