//go:build linux

package poller

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func forever() time.Time { return time.Time{} }

// Run reports each edge of many descriptors, however few fit into one wait, and whatever
// else wakes it meanwhile.
func TestRunLosesNoEdge(t *testing.T) {
	for _, c := range []struct {
		strategy Strategy
		hold     Hold
		room     int
	}{
		{Parked, HoldNever, 1}, {Parked, HoldNever, 3}, {Parked, HoldNever, 64},
		{Parked, HoldAlways, 3}, {Blocking, HoldAuto, 3},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			p := open(t, c.strategy)
			p.Hold(c.hold)
			const fds, rounds = 8, 2000
			var fd [fds]int
			for i := range fd {
				var err error
				fd[i], err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
				require.NoError(t, err)
				defer unix.Close(fd[i])
				require.NoError(t, p.Add(fd[i], uint64(i), Readable))
			}
			turns := make(chan struct{}, 1) // says that got has changed
			var got [fds]uint64
			ended := make(chan error, 1)
			sum := uint64(0)
			events := make([]Event, c.room)
			go p.Run(events, forever, func(n int, err error) bool {
				if err != nil {
					ended <- err
					return false
				}
				for _, ev := range events[:n] {
					var b [8]byte
					if _, err := unix.Read(fd[ev.Key()], b[:]); err == nil {
						v := binary.NativeEndian.Uint64(b[:])
						got[ev.Key()] += v
						sum += v
					}
				}
				if sum == fds*rounds {
					select {
					case turns <- struct{}{}:
					default:
					}
				}
				return true
			})
			for i := range rounds {
				for j := range fd {
					unix.Write(fd[j], binary.NativeEndian.AppendUint64(nil, 1))
				}
				switch i % 16 {
				case 3:
					require.NoError(t, p.Wake())
				case 7:
					if s, parks := p.sleeper.(*parked); parks {
						s.rouse()
					}
				case 11:
					require.NoError(t, p.Hasten(time.Now()))
				case 13:
					time.Sleep(time.Duration(i%100) * time.Microsecond) // so that it parks
				}
			}
			select {
			case <-turns:
			case <-time.After(time.Minute):
				t.Error("edges were lost")
			}
			require.NoError(t, p.Close())
			require.ErrorIs(t, <-ended, ErrClosed)
			for _, n := range got {
				require.EqualValues(t, rounds, n)
			}
		})
	}
}

// A wait of Run ends at its deadline, by Wake, and at once if the deadline has passed.
func TestRunWaits(t *testing.T) {
	for _, strategy := range []Strategy{Parked, Blocking} {
		t.Run(strategy.String(), func(t *testing.T) {
			p := open(t, strategy)
			var begun time.Time
			waits := 0
			p.Run(make([]Event, 4), func() time.Time {
				begun = time.Now()
				switch waits++; waits {
				case 1, 2:
					return begun.Add(5 * time.Millisecond)
				case 3:
					return begun.Add(-time.Second)
				}
				require.NoError(t, p.Wake())
				return time.Time{}
			}, func(n int, err error) bool {
				require.NoError(t, err)
				require.Zero(t, n)
				if waits <= 2 {
					require.GreaterOrEqual(t, time.Since(begun), 5*time.Millisecond)
				}
				return waits < 5
			})
			require.Equal(t, 5, waits)
		})
	}
}

// Between two turns with events Run makes one epoll_wait(2), where Wait makes two.
func TestRunLooksOncePerWake(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that the writer does not run beside it
	p := open(t, Parked)
	p.Hold(HoldNever)
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, p.Add(fd, 1, Readable))
	const rounds = 100
	turned := make(chan uint64)
	go p.Run(make([]Event, 4), forever, func(n int, err error) bool {
		if err == nil {
			turned <- p.sleeper.(*parked).looks
		}
		return err == nil
	})
	var first, last uint64
	for i := range rounds {
		unix.Write(fd, binary.NativeEndian.AppendUint64(nil, 1))
		if last = <-turned; i == 0 {
			first = last
		}
		time.Sleep(10 * time.Microsecond) // it parks
	}
	require.LessOrEqual(t, last-first, uint64(rounds+rounds/4))
	require.NoError(t, p.Close())
}

// Close may come while turn runs and uses the Poller.
func TestCloseDuringTurn(t *testing.T) {
	for _, strategy := range []Strategy{Parked, Blocking} {
		p := open(t, strategy)
		require.NoError(t, p.Wake())
		closed := make(chan error, 1)
		var turns []error
		p.Run(make([]Event, 4), forever, func(n int, err error) bool {
			if turns = append(turns, err); err != nil {
				return false
			}
			go func() { closed <- p.Close() }()
			for err == nil {
				err = p.Hasten(time.Time{})
			}
			return errors.Is(err, ErrClosed)
		})
		require.Equal(t, []error{nil, ErrClosed}, turns)
		require.NoError(t, <-closed)
	}
}

// A step of Run that finds only an alarm that came too early sleeps on if there was room
// for more events, and otherwise looks for more, because no edge tells of them.
func TestRunLooksAgainWhenTheRoomWasFull(t *testing.T) {
	for _, room := range []int{1, 2} {
		p := open(t, Parked)
		p.Hold(HoldNever)
		require.NoError(t, p.Hasten(time.Now()))
		for sys.Polled(p.alarm.fd, unix.POLLIN) == 0 {
			runtime.Gosched()
		}
		p.alarm.reset()
		turns := 0
		events := make([]Event, room)
		r := &run{p: p, parked: p.sleeper.(*parked), events: events, begin: forever, turn: func(n int, err error) bool {
			turns++
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.EqualValues(t, 9, events[0].Key())
			return false
		}, more: true}
		if room > 1 {
			require.False(t, r.step(0))
			require.EqualValues(t, 1, r.looks)
			require.EqualValues(t, 1, p.Counts().Sleeps)
		}
		fd, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		require.NoError(t, err)
		defer unix.Close(fd)
		require.NoError(t, p.Add(fd, 9, Readable))
		require.True(t, r.step(0))
		require.EqualValues(t, 2, r.looks)
		require.Equal(t, 1, turns)
		require.EqualValues(t, room-1, p.Counts().Sleeps)
	}
}

// A turn after Close has no events, even if there are some.
func TestRunHasNoEventsAfterClose(t *testing.T) {
	p := open(t, Parked)
	p.Hold(HoldNever)
	require.NoError(t, p.Wake())
	turns := 0
	r := &run{p: p, parked: p.sleeper.(*parked), events: make([]Event, 2), turn: func(n int, err error) bool {
		turns++
		require.ErrorIs(t, err, ErrClosed)
		require.Zero(t, n)
		return false
	}, more: true}
	fd, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, p.Add(fd, 9, Readable))
	look, err := p.enter(time.Time{})
	require.NoError(t, err)
	require.False(t, look)
	r.waiting = true
	p.closing.Store(true)
	require.True(t, r.step(0))
	require.Equal(t, 1, turns)
	p.closing.Store(false)
}
