package machine

import (
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestLacking runs in the child process of the tests below. It needs something that no
// machine has.
func TestLacking(t *testing.T) {
	switch os.Getenv("WEIR_TEST_LACKING") {
	case "tool":
		NeedTool(t, "no-such-program")
	case "files":
		NeedFiles(t, 1<<40)
	case "permission":
		NeedPermission(t, "this", &fs.PathError{Op: "open", Path: "x", Err: unix.EPERM})
	default:
		return
	}
	t.Error("the test goes on")
}

func TestWhatIsMissingSkipsOrFails(t *testing.T) {
	for lacking, want := range map[string]string{
		"tool":       "no-such-program is not installed: apt-get install no-such-program",
		"files":      "1099511627776 descriptors are needed, and the limit is ",
		"permission": "no permission for this: open x: operation not permitted",
	} {
		for ci, verdict := range map[string]string{"": "--- SKIP: TestLacking", "true": "--- FAIL: TestLacking"} {
			cmd := exec.Command(os.Args[0], "-test.run=^TestLacking$", "-test.v")
			cmd.Env = append(os.Environ(), "WEIR_TEST_LACKING="+lacking, "CI="+ci)
			out, err := cmd.Output()
			require.Equal(t, ci == "true", err != nil, "%s", out)
			require.Contains(t, string(out), verdict)
			require.Contains(t, string(out), want)
			require.NotContains(t, string(out), "goes on")
		}
	}
}

func TestNeedsThatAreMet(t *testing.T) {
	NeedFiles(t, 20)
	NeedPermission(t, "this", nil)
	NeedPermission(t, "this", unix.EINVAL)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/program", nil, 0o700))
	t.Setenv("PATH", dir)
	require.Equal(t, dir+"/program", NeedTool(t, "program"))
}

// The function raises the limit if the process may do that.
func TestNeedFilesRaisesTheLimit(t *testing.T) {
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	low := limit
	low.Cur = 64
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) //nolint:errcheck // it was the limit before
	require.NoError(t, files(65))
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &low))
	require.EqualValues(t, 65, low.Cur)
	require.ErrorContains(t, files(limit.Max+1), "descriptors are needed")
}

func TestIPv6SaysWhatTheKernelRefused(t *testing.T) {
	if err := IPv6(); err != nil {
		require.True(t, strings.HasPrefix(err.Error(), "socket: ") || strings.HasPrefix(err.Error(), "bind to ::1: "), "%v", err)
	}
}
