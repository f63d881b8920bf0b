package socket

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// takeAllPipes takes all pipes, so that no other goroutine holds one.
func takeAllPipes(t *testing.T) (held []*pipe) {
	require.Eventually(t, func() bool {
		runtime.GC() // the collector closes the pipes that the pool has dropped
		for p, _ := pipes.Get().(*pipe); p != nil; p, _ = pipes.Get().(*pipe) {
			held = append(held, p)
		}
		return len(held) == int(pipeCount.Load())
	}, time.Minute, time.Millisecond)
	return held
}

// noMorePipes takes all pipes and lets the process make no more.
func noMorePipes(t *testing.T) {
	held := takeAllPipes(t)
	added := int32(mostPipes - len(held))
	pipeCount.Add(added)
	t.Cleanup(func() {
		pipeCount.Add(-added)
		for _, p := range held {
			p.free()
		}
	})
}

// A transfer holds no pipe while it waits for its source. If there are too many pipes, it
// copies, even from the middle of the transfer.
func TestTransferWithoutAPipe(t *testing.T) {
	content := random(3 << 20)
	half := len(content) / 2
	for _, family := range []Family{Inet, Unix} {
		for _, when := range []string{"before", "meanwhile"} {
			t.Run(fmt.Sprint(family, " ", when), func(t *testing.T) {
				in, source := streams(t, family)
				out, sink := streams(t, family)
				if when == "before" {
					noMorePipes(t)
				}
				got := hashed(t, sink)
				moved := make(chan int64, 1)
				go func() {
					n, err := out.ReadFrom(source)
					if err != nil {
						t.Error(err)
					}
					out.Shutdown(unix.SHUT_WR)
					moved <- n
				}()
				_, err := in.Write(content[:half])
				require.NoError(t, err)
				if when == "meanwhile" {
					require.Eventually(t, func() bool { return pipeCount.Load() > 0 }, time.Minute, time.Millisecond)
					noMorePipes(t)
				}
				_, err = in.Write(content[half:])
				require.NoError(t, err)
				require.NoError(t, in.Shutdown(unix.SHUT_WR))
				require.EqualValues(t, len(content), <-moved)
				require.Equal(t, sha256.Sum256(content), <-got)
			})
		}
	}
}

// There are at most mostPipes pipes. Each is large enough. The collector closes the pipes
// that are unreachable.
func TestPipesAreBounded(t *testing.T) {
	held := takeAllPipes(t)
	for len(held) < mostPipes {
		p := takePipe()
		if p == nil {
			machine.Missing(t, "the user has too many pipes already")
		}
		size, err := unix.FcntlInt(uintptr(p.in), unix.F_GETPIPE_SZ, 0)
		require.NoError(t, err)
		require.GreaterOrEqual(t, size, copySize)
		held = append(held, p)
	}
	require.Nil(t, takePipe())
	require.EqualValues(t, mostPipes, pipeCount.Load())
	fds := []int{held[0].in, held[0].out}
	held = nil
	takeAllPipes(t)
	require.Zero(t, pipeCount.Load())
	for _, fd := range fds {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
		require.ErrorIs(t, err, unix.EBADF)
	}
}
