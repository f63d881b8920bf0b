package loop

import (
	"fmt"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every bit of the state has exactly one name.
func TestStateBitsAreDistinct(t *testing.T) {
	fields := map[string]uint64{
		"closed": stateClosed, "broken": stateBroken, "urgent": stateUrgent, "observed": stateObserved,
		"probed": stateProbed, "handled": stateHandled, "receiving": stateReceiving, "poked": statePoked,
		"calls": callsMask,
	}
	for _, d := range []Direction{Read, Write} {
		for name, bit := range map[string]uint64{
			"ready": d.of(readyBit), "held": d.of(heldBit), "parked": d.of(parkedBit), "queued": d.of(queuedBit),
			"sure": d.sure(), "watched": d.watched(), "interrupted": d.interrupted(), "stamp": stampMask << d.stampShift(),
		} {
			fields[fmt.Sprint(d, " ", name)] = bit
		}
	}
	var all uint64
	count := 0
	for name, bit := range fields {
		require.Zero(t, all&bit, name)
		all |= bit
		count += bits.OnesCount64(bit)
	}
	require.Equal(t, 64, count)
}

func TestDirectionsHaveNames(t *testing.T) {
	require.Equal(t, "read", Read.String())
	require.Equal(t, "write", Write.String())
}

func TestWaits(t *testing.T) {
	for _, c := range []struct {
		state       uint64
		read, write bool
	}{
		{0, false, false},
		{Read.of(parkedBit), true, false},
		{Write.of(parkedBit), false, true},
		{stateReceiving, true, false},
		{Write.of(parkedBit) | stateReceiving, true, true},
	} {
		var r Registration
		r.state.Store(c.state)
		require.Equal(t, c.read, r.Waits(Read), "%#x", c.state)
		require.Equal(t, c.write, r.Waits(Write), "%#x", c.state)
	}
}
