package loop

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// lowestFree returns the number that the next descriptor will have.
func lowestFree(t *testing.T) int {
	t.Helper()
	fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	unix.Close(fd)
	return fd
}

// A closed spot gives its number to the next one, and takes no descriptor with it.
func TestSpotsAreUsedAgain(t *testing.T) {
	_, fd, _ := ownSeat(t)
	free := lowestFree(t)
	for range 2 * maxSpots {
		p := new(spot)
		require.True(t, p.enter(fd, 7))
		require.EqualValues(t, 7, p.holder.Load())
		require.Same(t, p, spots[p.number-1].Load())
		p.close()
		require.EqualValues(t, nobody, p.holder.Load())
		require.Nil(t, spots[p.number-1].Load())
	}
	require.Equal(t, free, lowestFree(t))
}

// Nobody waits alone when all spots are in use.
func TestNoMoreSpots(t *testing.T) {
	_, fd, _ := ownSeat(t)
	var all []*spot
	defer func() {
		for _, p := range all {
			p.close()
		}
	}()
	for {
		p := new(spot)
		if !p.enter(fd, 7) {
			require.EqualValues(t, nobody, p.holder.Load())
			break
		}
		all = append(all, p)
		require.LessOrEqual(t, len(all), maxSpots)
	}
	last := all[len(all)-1]
	last.close()
	all = all[:len(all)-1]
	p := new(spot)
	require.True(t, p.enter(fd, 7))
	p.close()
}

// The Go runtime does not watch a regular file: nobody parks in a spot for one.
func TestNoSpotForARegularFile(t *testing.T) {
	fd, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	free := lowestFree(t)
	p := new(spot)
	defer p.close()
	require.False(t, p.enter(int32(fd), 7))
	require.EqualValues(t, nobody, p.holder.Load())
	require.Nil(t, p.dup.Load())
	require.Equal(t, free, lowestFree(t))
}

// close(2) waits for SO_LINGER only if it is on, and for a time.
func TestLingers(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	for _, c := range []struct {
		on, seconds int32
		want        bool
	}{{0, 0, false}, {1, 0, false}, {1, 1, true}, {1, 5, true}, {0, 5, false}} {
		require.NoError(t, unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: c.on, Linger: c.seconds}))
		require.Equal(t, c.want, lingers(fd), "%+v", c)
	}
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	require.False(t, lingers(int(r.Fd())), "it is no socket")
}
