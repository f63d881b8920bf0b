//go:build linux

package machine

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestProcessorTimeIsThatOfTheProcess(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	require.NoError(t, err)
	start := time.Now()
	for time.Since(start) < 20*time.Millisecond {
		continue // and so use the processor
	}
	after, err := cpuTime(os.Getpid())
	require.NoError(t, err)
	require.Positive(t, after-before)
	require.Less(t, after-before, 100*time.Second)
	_, err = cpuTime(1 << 22) // the kernel's PID_MAX_LIMIT: nobody has it
	require.ErrorIs(t, err, unix.EINVAL)
}
