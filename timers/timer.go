package timers

// Timer is one timer of a [Wheel]. The zero value is ready for [Wheel.Schedule]. It takes 32 bytes
// and those of Owner, and is meant to be a field of its owner. While it is scheduled it must not be
// copied, and only the wheel that it is in may be asked to move or cancel it; no check is made.
type Timer[T any] struct {
	_ noCopy

	// Owner leads from an expired timer back to what it belongs to: a pointer, most often. The wheel
	// does not touch it.
	Owner T

	next, prev *Timer[T] // neighbours in the slot; nil at its ends, and when not scheduled
	when       uint64    // never before the wheel's present when it was set
	slot       uint16    // index into Wheel.slots; valid while scheduled
	scheduled  bool
}

// Scheduled reports whether t is in a wheel: scheduled, and neither expired nor cancelled since.
func (t *Timer[T]) Scheduled() bool { return t.scheduled }

// When returns the tick that t is scheduled for: what was given to [Wheel.Schedule], or the
// wheel's present at the time if that was later. Once t has left the wheel it is the last such tick.
func (t *Timer[T]) When() uint64 { return t.when }

// noCopy makes go vet report copies of the struct that it is a field of.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}
