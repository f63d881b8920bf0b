package loop_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
)

// An event comes while a probe begins. The probe still notices the next event.
func TestEventsWhileAProbeBegins(t *testing.T) {
	r := registerAs(t, loop.DropWritable, false)
	const rounds = 20_000
	var begun, ended atomic.Int32
	go func() {
		for i := range int32(rounds) {
			loop.Until(func() bool { return begun.Load() > i })
			r.Arrive(poller.Readable|poller.Writable, 1)
			ended.Add(1)
		}
	}()
	lost := 0
	for i, start := int32(0), time.Now(); i < rounds && time.Since(start) < loop.MeetingTime; i++ {
		begun.Add(1)
		for range i % 128 { // so that the two meet in all orders
			begun.Load()
		}
		p, err := r.Probe()
		require.NoError(t, err)
		loop.Until(func() bool { return ended.Load() > i })
		call(t, r, loop.Read, false) // takes the data
		r.Arrive(poller.Readable, 1)
		p.Disprove(loop.Readable)
		if !call(t, r, loop.Read, false) {
			lost++
		}
	}
	begun.Store(rounds) // this ends the other
	loop.Until(func() bool { return ended.Load() == rounds })
	require.Zero(t, lost, "events were lost")
}
