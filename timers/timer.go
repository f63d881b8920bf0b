package timers

// Timer is one timer of a [Wheel]. The zero value is ready for [Wheel.Schedule]. It takes 32 bytes
// and those of Owner, and is meant to be a field of its owner. While it is scheduled, do not copy it,
// and do not give it to another wheel; neither is checked. It is for one goroutine at a time, as its
// Wheel is.
type Timer[T any] struct {
	_ noCopy

	// Owner is what the timer belongs to, mostly a pointer: it leads there from an expired timer. The
	// wheel does not use it.
	Owner T

	next, prev *Timer[T] // neighbours in the slot; nil at its ends, and when not scheduled
	when       uint64    // never before the wheel's present when it was set
	slot       uint16    // index into Wheel.slots; valid while scheduled
	scheduled  bool

	// Note is for the owner of the timer. The wheel does not use it. It takes space that would
	// otherwise be padding.
	Note uint32
}

// Scheduled reports whether t is in a wheel: scheduled, and neither expired nor cancelled since.
func (t *Timer[T]) Scheduled() bool { return t.scheduled }

// When returns the tick for which t is scheduled: the one that was given to [Wheel.Schedule], or the
// wheel's present at that time if it was later. After t has left the wheel, When returns the last such
// tick.
func (t *Timer[T]) When() uint64 { return t.when }

// noCopy makes go vet report copies of the struct that it is a field of.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}
