//go:build linux

package poller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// spoil puts another file in the place of a descriptor, so that system calls fail.
func spoil(t *testing.T, fd int) {
	t.Helper()
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Dup3(null, fd, unix.O_CLOEXEC))
	require.NoError(t, unix.Close(null))
}

// ways are the ways in which a Wait looks for events.
var ways = map[string]struct {
	strategy Strategy
	hold     Hold
	spin     time.Duration
	past     bool // the deadline
}{
	"parked":                {Parked, HoldNever, 0, false},
	"parked, with a spin":   {Parked, HoldAlways, time.Millisecond, false},
	"parked, with a linger": {Parked, HoldAlways, 0, false},
	"parked, looks":         {Parked, HoldNever, 0, true},
	"blocking":              {Blocking, HoldNever, 0, false},
	"blocking, with a spin": {Blocking, HoldNever, time.Millisecond, false},
	"blocking, looks":       {Blocking, HoldNever, 0, true},
}

// If epoll_wait(2) fails, Wait and Run return its error, and no events.
func TestFailedWaitHasNoEvents(t *testing.T) {
	for name, c := range ways {
		t.Run(name, func(t *testing.T) {
			p := open(t, c.strategy)
			p.Hold(c.hold)
			p.BusyPoll(c.spin)
			spoil(t, p.epfd)
			var deadline time.Time
			if c.past {
				deadline = time.Unix(1, 0)
			}
			n, err := p.Wait(make([]Event, 4), deadline)
			require.ErrorIs(t, err, unix.EINVAL)
			require.Zero(t, n)
			turns := 0
			p.Run(make([]Event, 4), func() time.Time { return deadline }, func(n int, err error) bool {
				turns++
				require.ErrorIs(t, err, unix.EINVAL)
				require.Zero(t, n)
				return false
			})
			require.Equal(t, 1, turns)
		})
	}
}

// A Wait whose alarm fails leaves the Poller free: Close does not wait for it.
func TestFailedAlarm(t *testing.T) {
	for _, s := range []Strategy{Parked, Blocking} {
		p := open(t, s)
		spoil(t, p.alarm.fd)
		n, err := p.Wait(make([]Event, 4), time.Now().Add(time.Hour))
		require.ErrorIs(t, err, unix.EINVAL)
		require.Zero(t, n)
		look, err := p.enter(time.Now().Add(time.Hour))
		require.ErrorIs(t, err, unix.EINVAL)
		require.False(t, look)
		require.NoError(t, p.Close())
	}
}

// The alarm has expired too early, for a deadline that was given up, and cannot be set
// again.
func TestFailedAlarmEndsTheWait(t *testing.T) {
	p := open(t, Blocking)
	require.NoError(t, p.Hasten(time.Now()))
	events := make([]Event, 4)
	n, err := block(p.epfd, events)
	require.Zero(t, err)
	require.Equal(t, 1, n)
	p.alarm.due = p.alarm.now() + int64(time.Hour)
	spoil(t, p.alarm.fd)
	n, ended, failed := p.sift(events[:n])
	require.ErrorIs(t, failed, unix.EINVAL)
	require.True(t, ended)
	require.Zero(t, n)
}

func TestRunOfAClosedPoller(t *testing.T) {
	for _, s := range []Strategy{Parked, Blocking} {
		p := open(t, s)
		require.NoError(t, p.Close())
		turns := 0
		p.Run(make([]Event, 4), forever, func(n int, err error) bool {
			turns++
			require.ErrorIs(t, err, ErrClosed)
			require.Zero(t, n)
			return turns < 3
		})
		require.Equal(t, 3, turns)
	}
}

// Without enough descriptors, Open fails and keeps none.
func TestOpenWithoutDescriptors(t *testing.T) {
	open(t, Parked) // the runtime has its own descriptors by then
	free := func() int {
		fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 0)
		require.NoError(t, err)
		unix.Close(fd)
		return fd
	}
	first := free()
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	for _, s := range []Strategy{Automatic, Parked, Blocking} {
		for missing := range 3 {
			few := limit
			few.Cur = uint64(first + missing)
			require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &few))
			_, err := Open(s)
			require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
			require.ErrorIs(t, err, unix.EMFILE)
			require.Equal(t, first, free(), "%v with %d descriptors", s, missing)
		}
	}
}
