package loop

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// play lets a thrift decide for the given number of waits. A wait costs poll or block, as
// the thrift chooses. play returns how many waits polled.
func play(t *thrift, waits int, poll, block bill) (polls int) {
	var now bill
	if t.begun != (bill{}) {
		now = t.begun
	}
	for range waits {
		if t.left == 0 {
			t.next(now)
		}
		t.left--
		cost := block
		if t.blocks == (t.phase == thriftTrying) {
			polls++
			cost = poll
		}
		now.cpu += cost.cpu
		now.clock += cost.clock
	}
	return polls
}

func TestThriftChoosesByCost(t *testing.T) {
	const us = time.Microsecond
	for name, c := range map[string]struct {
		poll, block bill
		polls       bool
	}{
		"a quiet machine":                    {bill{23 * us, 24 * us}, bill{22 * us, 52 * us}, true},
		"the peer needs the core":            {bill{40 * us, 60 * us}, bill{10 * us, 30 * us}, false},
		"twice the processor's time":         {bill{24 * us, 20 * us}, bill{12 * us, 25 * us}, false},
		"slower, at the same processor time": {bill{10 * us, 40 * us}, bill{10 * us, 30 * us}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var x thrift
			play(&x, 4*thriftTrial+2*thriftMinRest, c.poll, c.block)
			require.Equal(t, c.polls, !x.blocks)
			const waits = 1 << 20
			polls := play(&x, waits, c.poll, c.block)
			if c.polls {
				require.Greater(t, polls, waits-waits/100, "the trials become rare")
			} else {
				require.Less(t, polls, waits/100, "the trials become rare")
			}
		})
	}
}

// When the other way becomes better, the thrift changes to it.
func TestThriftChangesItsMind(t *testing.T) {
	const us = time.Microsecond
	costly, cheap := bill{40 * us, 40 * us}, bill{10 * us, 10 * us}
	var x thrift
	for range 3 {
		play(&x, 2*thriftMaxRest, cheap, costly)
		require.False(t, x.blocks)
		play(&x, 2*thriftMaxRest, costly, cheap)
		require.True(t, x.blocks)
	}
}
