//go:build linux

package poller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCounts(t *testing.T) {
	for _, strategy := range []Strategy{Parked, Blocking} {
		t.Run(strategy.String(), func(t *testing.T) {
			p, err := Open(strategy)
			require.NoError(t, err)
			defer p.Close()
			p.Hold(HoldNever)
			events := make([]Event, 4)

			_, err = p.Wait(events, time.Now().Add(-time.Second))
			require.NoError(t, err)
			require.Zero(t, p.Counts(), "a Wait that only looks does not sleep")

			require.NoError(t, p.Wake())
			_, err = p.Wait(events, time.Time{})
			require.NoError(t, err)
			require.Equal(t, uint64(1), p.Counts().Wakes)

			before := p.Counts().Sleeps
			_, err = p.Wait(events, time.Now().Add(time.Millisecond))
			require.NoError(t, err)
			require.Greater(t, p.Counts().Sleeps, before)
			require.Zero(t, p.Counts().Polls)
		})
	}
}

func TestCountsOfPolls(t *testing.T) {
	p, err := Open(Parked)
	require.NoError(t, err)
	defer p.Close()
	p.Hold(HoldAlways)
	p.BusyPoll(time.Microsecond)
	var c Counts
	for c.Lingers == 0 { // a busy machine may let the deadline pass before
		_, err = p.Wait(make([]Event, 4), time.Now().Add(5*time.Millisecond))
		require.NoError(t, err)
		c = p.Counts()
	}
	require.Equal(t, uint64(1), c.Polls)
	require.Equal(t, uint64(1), c.Vain)
	require.Equal(t, uint64(1), c.Lingers)
}
