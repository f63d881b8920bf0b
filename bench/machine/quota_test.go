//go:build linux

package machine

import (
	"os"
	"os/exec"
	"testing"
	"time"

	needs "github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
)

// A process that would use a whole core gets the share of the group.
func TestQuotaLimitsProcessorTime(t *testing.T) {
	quota, err := NewQuota(0.2)
	if err != nil {
		needs.Missing(t, "no control group can be made: %v", err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestSpin$", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), "WEIR_BENCH_SPIN=1")
	require.NoError(t, cmd.Start())
	require.NoError(t, quota.Add(cmd.Process.Pid))
	before, err := cpuTime(cmd.Process.Pid)
	require.NoError(t, err)
	start := time.Now()
	time.Sleep(5 * quotaPeriod)
	var after time.Duration
	require.Eventually(t, func() bool { // on a busy machine it may not have run yet
		after, err = cpuTime(cmd.Process.Pid)
		return err != nil || after > before
	}, time.Minute, quotaPeriod)
	require.NoError(t, err)
	passed := time.Since(start)
	require.NoError(t, cmd.Process.Kill())
	cmd.Wait() //nolint:errcheck // it was killed
	require.NoError(t, quota.Close())
	require.NoDirExists(t, quota.dir)
	require.Less(t, after-before, passed/2)
}

// TestSpin is the process of the test above. It does nothing by itself.
func TestSpin(t *testing.T) {
	if os.Getenv("WEIR_BENCH_SPIN") == "" {
		return
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); { // or until it is killed
	}
}
