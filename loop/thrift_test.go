package loop

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// play lets a thrift choose for the given number of waits, of which each has the cost of
// its way. play returns how many waits went each way.
func play(t *thrift, waits int, cost [ways]bill) (n [ways]int) {
	now := t.begun
	for range waits {
		if t.left == 0 {
			t.next(now)
		}
		w := t.way()
		n[w]++
		now.cpu += cost[w].cpu
		now.clock += cost[w].clock
	}
	return n
}

func TestThriftChoosesByCost(t *testing.T) {
	const us = time.Microsecond
	for name, c := range map[string]struct {
		park, block, poll bill
		want              way
	}{
		"a quiet machine":               {bill{24 * us, 55 * us}, bill{22 * us, 52 * us}, bill{23 * us, 24 * us}, wayPoll},
		"the peer is a goroutine":       {bill{10 * us, 10 * us}, bill{25 * us, 20 * us}, bill{60 * us, 60 * us}, wayPark},
		"polling takes too much":        {bill{12 * us, 30 * us}, bill{12 * us, 25 * us}, bill{24 * us, 20 * us}, wayBlock},
		"slow requests":                 {bill{12 * us, 999 * us}, bill{14 * us, 1000 * us}, bill{60 * us, 1001 * us}, wayPark},
		"slow, and blocking is cheaper": {bill{14 * us, 999 * us}, bill{12 * us, 1000 * us}, bill{60 * us, 1001 * us}, wayBlock},
		"all the same":                  {bill{10 * us, 10 * us}, bill{10 * us, 10 * us}, bill{10 * us, 10 * us}, wayPark},
	} {
		t.Run(name, func(t *testing.T) {
			cost := [ways]bill{c.park, c.block, c.poll}
			var x thrift
			n := play(&x, 3*(thriftSlices*thriftSlice+thriftMinRest), cost)
			require.Equal(t, c.want, x.usual)
			for _, tried := range n {
				require.NotZero(t, tried)
			}
			const waits = 1 << 20
			require.Greater(t, play(&x, waits, cost)[c.want], waits-waits/50, "the trials become rare")
		})
	}
}

// When another way becomes better, the thrift changes to it.
func TestThriftChangesItsMind(t *testing.T) {
	const us = time.Microsecond
	costly, cheap := bill{40 * us, 40 * us}, bill{10 * us, 10 * us}
	var x thrift
	for _, want := range []way{wayPoll, wayPark, wayBlock, wayPark, wayPoll} {
		cost := [ways]bill{costly, costly, costly}
		cost[want] = cheap
		play(&x, 2*thriftMaxRest, cost)
		require.Equal(t, want, x.usual)
	}
}

// A way that costs far too much is tried for one slice in a trial.
func TestThriftLeavesHopelessWays(t *testing.T) {
	const us = time.Microsecond
	var x thrift
	cost := [ways]bill{{10 * us, 10 * us}, {22 * us, 10 * us}, {10 * us, 22 * us}}
	play(&x, thriftMinRest, cost)
	first := x
	play(&first, thriftSlice+1, cost)
	require.Equal(t, [ways]bill{{thriftSlice * 10 * us, thriftSlice * 10 * us}}, first.least, "the first slice counts")
	n := play(&x, 6*thriftSlice, cost)
	require.Equal(t, [ways]int{4 * thriftSlice, thriftSlice, thriftSlice}, n)
	require.Equal(t, wayPark, x.tried())
	play(&x, 1, cost)
	require.Zero(t, x.trial)
}

// A slice during which another program has run does not decide.
func TestThriftIgnoresOutliers(t *testing.T) {
	const us = time.Microsecond
	var x thrift
	x.note(wayPark, bill{10 * us, 10 * us})
	x.note(wayBlock, bill{30 * us, 4000 * us})
	x.note(wayBlock, bill{8 * us, 8 * us})
	x.note(wayPoll, bill{9 * us, 9 * us})
	x.judge()
	require.Equal(t, wayBlock, x.usual)
}
