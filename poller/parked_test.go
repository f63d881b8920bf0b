//go:build linux

package poller

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// newParked closes a descriptor that the scheduler does not poll.
func TestParkedRefused(t *testing.T) {
	fd, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	_, err = newParked(fd, new(atomic.Int32), new(alarm), new(spinner))
	require.Error(t, err)
	_, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	require.ErrorIs(t, err, unix.EBADF)

	_, err = newParked(-1, new(atomic.Int32), new(alarm), new(spinner))
	require.ErrorIs(t, err, unix.EBADF)
}

// If the scheduler refuses to watch the file any more, waits fail, and do not hang.
func TestParkedFileIsGone(t *testing.T) {
	p := open(t, Parked)
	p.Hold(HoldNever)
	s := p.sleeper.(*parked)
	require.NoError(t, s.file.Close())
	n, err := s.park(make([]Event, 1))
	require.ErrorContains(t, err, "closed")
	require.Zero(t, n)
	require.Nil(t, s.events, "they are the caller's")
	turns := 0
	p.Run(make([]Event, 1), forever, func(n int, err error) bool {
		turns++
		require.ErrorContains(t, err, "closed")
		require.Zero(t, n)
		return turns < 3
	})
	require.Equal(t, 3, turns)
}

// A linger is skipped, or it ends with events, by a signal, with an error, or by the alarm.
func TestLinger(t *testing.T) {
	type skips struct{ misses, hits, skip uint }
	own, other := eventOf(alarmKey), eventOf(5)
	for name, c := range map[string]struct {
		before, after skips
		answer        answer
		n             int
		err           error
		lingers       uint64
		misses        int // of the choice
	}{
		"skipped":               {skips{skip: 1}, skips{}, answer{}, 0, nil, 0, 0},
		"events":                {skips{misses: 3}, skips{misses: 3, hits: 1}, answer{events: []unix.EpollEvent{other}}, 1, nil, 1, 0},
		"events and the alarm":  {skips{}, skips{hits: 1}, answer{events: []unix.EpollEvent{own, other}}, 2, nil, 1, 0},
		"a signal":              {skips{}, skips{}, answer{errno: unix.EINTR}, 0, nil, 1, 0},
		"an error":              {skips{}, skips{}, answer{errno: unix.EHOSTDOWN}, 0, unix.EHOSTDOWN, 1, 0},
		"the alarm":             {skips{}, skips{misses: 1, skip: 1}, answer{events: []unix.EpollEvent{own}}, 1, nil, 1, 0},
		"the alarm again":       {skips{misses: 2}, skips{misses: 3, skip: 7}, answer{events: []unix.EpollEvent{own}}, 1, nil, 1, 0},
		"the alarm very often":  {skips{misses: 10}, skips{misses: 10, skip: 1023}, answer{events: []unix.EpollEvent{own}}, 1, nil, 1, 0},
		"the alarm after a hit": {skips{misses: 2, hits: 1}, skips{}, answer{events: []unix.EpollEvent{own}}, 1, nil, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			k := simulate(t)
			k.answers = []answer{c.answer}
			var a alarm
			require.NoError(t, a.open(k))
			p := &parked{epfd: k.first + 50, alarm: &a, spinner: &spinner{}, misses: c.before.misses, hits: c.before.hits, skip: c.before.skip}
			n, err := p.linger(make([]Event, 4))
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.n, n)
			require.Equal(t, c.after, skips{p.misses, p.hits, p.skip})
			require.Equal(t, Counts{Lingers: c.lingers}, p.spinner.counts)
			require.Equal(t, c.misses, p.choice.misses)
			require.Equal(t, int(c.lingers), len(k.waits))
		})
	}
	k := simulate(t)
	k.fail = map[string]error{"timerfd_settime": unix.EHOSTDOWN}
	var a alarm
	require.NoError(t, a.open(k))
	p := &parked{epfd: k.first + 50, alarm: &a, spinner: &spinner{}}
	n, err := p.linger(make([]Event, 4))
	require.ErrorIs(t, err, unix.EHOSTDOWN)
	require.Zero(t, n)
}
