//go:build linux

package poller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func openAlarm(t *testing.T) *alarm {
	t.Helper()
	a := new(alarm)
	require.NoError(t, a.open(nil))
	t.Cleanup(func() { unix.Close(a.fd) })
	return a
}

// left returns the time until the descriptor becomes readable; 0 if it does not.
func (a *alarm) left(t *testing.T) time.Duration {
	t.Helper()
	var spec unix.ItimerSpec
	require.NoError(t, unix.TimerfdGettime(a.fd, &spec))
	return time.Duration(unix.TimespecToNsec(spec.Value))
}

// The alarm rings at the earliest of the requested times, in whatever order they come.
func TestAlarmIsNotPutOff(t *testing.T) {
	a := openAlarm(t)
	for _, c := range []struct {
		ask  func() error
		most time.Duration
	}{
		{func() error { return a.hasten(time.Now().Add(time.Hour)) }, time.Hour},
		{func() error { return a.within(2 * time.Hour) }, time.Hour},
		{func() error { return a.within(time.Minute) }, time.Hour}, // the earlier setting has not expired yet
		{func() error { return a.hasten(time.Now().Add(10 * time.Minute)) }, 10 * time.Minute},
		{func() error { return a.hasten(time.Now().Add(20 * time.Minute)) }, 10 * time.Minute},
		{func() error { return a.within(time.Hour) }, 10 * time.Minute},
	} {
		require.NoError(t, c.ask())
		require.LessOrEqual(t, a.left(t), c.most)
		require.Greater(t, a.left(t), c.most/2)
	}
}
