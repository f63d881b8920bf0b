package loop

import (
	"testing"
	"time"
	"unsafe"

	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
)

func TestInspectRegistrations(t *testing.T) {
	l := handlerLoop(t)
	ours, theirs := handlerPair(t)
	h := newRecorder(func(poller.Readiness) {})
	require.Zero(t, h.reg.Age())
	require.NoError(t, l.Handle(&h.reg, ours, h.handler()))
	var plain Registration
	require.NoError(t, l.Register(&plain, theirs, DropWritable))
	require.ElementsMatch(t, []*Registration{&h.reg.Registration, &plain}, l.Registrations())
	require.NotEqual(t, h.reg.Key(), plain.Key())
	require.Equal(t, Handler(h), h.reg.Handler())
	require.Nil(t, plain.Handler())
	require.Empty(t, plain.Observers())
	hook := Hook{To: nil}
	require.NoError(t, hook.Hang(&plain, Exceptional))
	require.Len(t, plain.Observers(), 1)
	hook.Unhang()

	require.Less(t, plain.Age(), 20*time.Second)
	plain.timer.Note -= uint32(time.Hour / ageUnit)
	require.GreaterOrEqual(t, plain.Age(), time.Hour)
	_, err := plain.Release()
	require.NoError(t, err)
	require.Len(t, l.Registrations(), 1)
}

// The note of when a Registration began takes no space: there may be a million of them.
func TestRegistrationsStaySmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(Registration{}), uintptr(176))
}
