//go:build linux

package poller

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestChoiceGoesByThePace(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		held, parked  pace
		starts, stays bool // whether to start parking, and whether to stay with it
	}{
		{pace{10 * ms, 8}, pace{2 * ms, 8}, true, true},
		{pace{10 * ms, 8}, pace{10 * ms, 40}, true, true},
		{pace{8 * ms, 8}, pace{6 * ms, 8}, false, true}, // parking gains little
		{pace{8 * ms, 8}, pace{8 * ms, 8}, false, false},
		{pace{2 * ms, 8}, pace{10 * ms, 8}, false, false},
		{pace{2 * ms, 8}, pace{2 * ms, 2}, false, false},
		{pace{8 * ms, 0}, pace{ms, 0}, false, false}, // neither way had events
	} {
		var c choice
		c.judge(test.held, test.parked)
		require.Equal(t, test.starts, c.parks, "%v", test)
		c = choice{parks: true}
		c.judge(test.parked, test.held)
		require.Equal(t, test.stays, c.parks, "%v", test)
	}
}

// The trial of a way that is much slower ends early.
func TestChoiceEndsATrialThatTakesLong(t *testing.T) {
	c := choice{phase: trying, left: trial, begun: time.Now(), usual: pace{time.Hour, trial}}
	for range 3 {
		require.True(t, c.park())
	}
	c.begun = c.begun.Add(-3 * time.Hour)
	require.False(t, c.park())
	require.Equal(t, resting, c.phase)
}

func TestChoiceIsMadeAgainWhenHoldingIsInVain(t *testing.T) {
	c := choice{left: maxRest, rest: maxRest}
	for range mostMisses {
		require.False(t, c.park())
		require.Equal(t, resting, c.phase)
		c.missed()
	}
	c.park()
	require.Equal(t, timing, c.phase, "at once")
	c.missed()
	require.NotZero(t, c.left, "not in the midst of a trial")
	for c.phase != resting {
		c.park()
	}
	for range mostMisses - 1 {
		c.missed()
	}
	require.NotZero(t, c.left, "they are counted anew")
}

func TestChoiceTriesTheOtherWayEverLessOften(t *testing.T) {
	for _, usual := range []bool{false, true} {
		c := choice{parks: usual}
		// run returns how many waits go the usual way, and then how many go the other
		// way. The trial changes nothing.
		run := func() (n, others int) {
			for c.park() == usual {
				n++
			}
			c.usual.took = time.Hour // the trial does not take too long
			for others = 1; c.left > 0; others++ {
				require.Equal(t, !usual, c.park())
			}
			if usual {
				c.usual, c.events = pace{1, 1000}, 1
			} else {
				c.usual, c.events = pace{1, 1}, 0
			}
			return n, others
		}
		n, others := run()
		require.LessOrEqual(t, n, minRest+trial, "the first trial is soon")
		require.Equal(t, trial, others)
		for rest := 2 * minRest; rest <= maxRest; rest *= 2 {
			n, others = run()
			require.Equal(t, rest+trial, n)
			require.Equal(t, trial, others)
		}
		n, _ = run()
		require.Equal(t, maxRest+trial, n, "things change")

		c.judge(pace{1, 1}, pace{1, 1})
		c.parks = !usual
		c.judge(pace{time.Hour, 1}, pace{time.Hour, 1})
		require.LessOrEqual(t, c.rest, 2*minRest, "and soon again, when they have")
	}
}

func TestChoiceComparesTrialWithTrial(t *testing.T) {
	var c choice
	for c.phase != timing {
		require.False(t, c.park())
		c.events += 2
	}
	begun := c.begun
	for c.park(); c.phase == timing; c.park() {
		c.events += 2
	}
	require.Equal(t, 2*trial, c.usual.events)
	require.Zero(t, c.events)
	require.Equal(t, c.usual.took, c.begun.Sub(begun))
}

// A goroutine of this process sends the answers. It cannot run while the poller holds the
// only P.
func TestParkedLearnsToPark(t *testing.T) {
	for _, spin := range []time.Duration{0, 50 * time.Microsecond} {
		learnToPark(t, spin)
	}
}

func learnToPark(t *testing.T, spin time.Duration) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	p, err := Open(Parked)
	require.NoError(t, err)
	defer p.Close()
	p.Hold(HoldAlways)
	p.BusyPoll(spin)
	var there, back [2]*os.File
	for _, pipe := range []*[2]*os.File{&there, &back} {
		pipe[0], pipe[1], err = os.Pipe()
		require.NoError(t, err)
		defer pipe[0].Close()
		defer pipe[1].Close()
	}
	fd := int(back[0].Fd()) // Fd makes the file blocking
	require.NoError(t, unix.SetNonblock(fd, true))
	require.NoError(t, p.Add(fd, 1, Readable))
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1)
		for {
			if _, err := there[0].Read(b); err != nil {
				return
			}
			if _, err := back[1].Write(b); err != nil {
				return
			}
		}
	}()
	events := make([]Event, 1)
	b := make([]byte, 1)
	c := &p.sleeper.(*parked).choice
	end := time.Now().Add(time.Minute)
	for !c.parks {
		require.True(t, time.Now().Before(end), "it holds still, busy polling for %v", spin)
		_, err := there[1].Write(b)
		require.NoError(t, err)
		n, err := p.Wait(events, time.Time{})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		_, err = unix.Read(fd, b)
		require.NoError(t, err)
	}
	require.NoError(t, there[1].Close())
	<-done
}

func TestLingeringInVainIsNoted(t *testing.T) {
	p, err := Open(Parked)
	require.NoError(t, err)
	defer p.Close()
	p.Hold(HoldAlways)
	s := p.sleeper.(*parked)
	for _, hits := range []uint{0, 1} {
		s.hits, s.skip, s.choice = hits, 0, choice{}
		_, err := p.Wait(make([]Event, 1), time.Now().Add(100*linger))
		require.NoError(t, err)
		require.EqualValues(t, hits, s.choice.misses)
	}
}
