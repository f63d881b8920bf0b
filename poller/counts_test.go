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

// Wait and Run hold the P before they park, if they may.
func TestCountsOfPolls(t *testing.T) {
	for name, wait := range map[string]func(*Poller, time.Time) error{
		"wait": func(p *Poller, end time.Time) error {
			_, err := p.Wait(make([]Event, 4), end)
			return err
		},
		"run": func(p *Poller, end time.Time) (failed error) {
			p.Run(make([]Event, 4), func() time.Time { return end }, func(n int, err error) bool { failed = err; return false })
			return failed
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, Parked)
			p.Hold(HoldAlways)
			p.BusyPoll(time.Microsecond)
			var c Counts
			for c.Lingers == 0 { // a busy machine may let the deadline pass before
				require.NoError(t, wait(p, time.Now().Add(5*time.Millisecond)))
				c = p.Counts()
			}
			require.Equal(t, uint64(1), c.Polls)
			require.Equal(t, uint64(1), c.Vain)
			require.Equal(t, uint64(1), c.Lingers)

			p.Hold(HoldNever)
			before := p.Counts()
			require.NoError(t, wait(p, time.Now().Add(2*time.Millisecond)))
			require.Equal(t, before.Polls, p.Counts().Polls)
			require.Equal(t, before.Lingers, p.Counts().Lingers)
		})
	}
}
