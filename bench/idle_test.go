package main

import (
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// A connection of net has a goroutine, whose stack takes two kilobytes, and a buffer.
func TestIdleOfEverySubject(t *testing.T) {
	opts := options{suites: []string{"idle"}, subjects: realSubjects, conns: []int{300}, sizes: []int{4096}, reps: 1}
	shown, heaps := runSuite(t, opts, heapPerConn)
	serving := able(realSubjects, func(s subject) bool { return s.serveEcho != nil })
	for _, name := range serving {
		require.Contains(t, shown, "│ "+name+" ")
	}
	require.Len(t, heaps, len(serving))

	got, err := contest{server: "echo-server", load: "idle-load", conns: 300, size: 4096, burst: 1}.measureIdle(testContext(t), testEnv(), "net")
	require.NoError(t, err)
	require.Greater(t, got[stackPerConn], 2000.0)
	require.Greater(t, got[heapPerConn], 4096.0)
	require.Greater(t, got[residentPerConn], 4096.0)
	requireNoChildren(t)
}

func TestIdleNoticesClosedConnections(t *testing.T) {
	_, err := contest{server: "echo-server", load: "idle-load", conns: 100, size: 128, burst: 1}.measureIdle(testContext(t), testEnv(), "hasty")
	require.ErrorContains(t, err, "the server closed")
	requireNoChildren(t)

	before := footprint{resident: 1 << 20, memory: memory{Heap: 1000, Stacks: 2000}, files: 10}
	after := footprint{resident: 1<<20 + 600, memory: memory{Heap: 1300, Stacks: 2000}, files: 13}
	got, err := contest{conns: 3}.growth(before, after)
	require.NoError(t, err)
	require.Equal(t, sample{residentPerConn: 200, heapPerConn: 100, stackPerConn: 0}, got)
	_, err = contest{conns: 5}.growth(before, after)
	require.EqualError(t, err, "of 5 silent connections the server closed 2")
}

func TestResidentBytes(t *testing.T) {
	before, err := residentBytes(os.Getpid())
	require.NoError(t, err)
	p := make([]byte, 32<<20)
	for i := 0; i < len(p); i += 4096 {
		p[i] = 1
	}
	after, err := residentBytes(os.Getpid())
	require.NoError(t, err)
	runtime.KeepAlive(p)
	require.Greater(t, after-before, int64(24<<20))

	settled()
	freed, err := residentBytes(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, after-freed, int64(24<<20), "what is not used goes back to the kernel")
	_, err = residentBytes(1 << 22) // the kernel's PID_MAX_LIMIT: nobody has it
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestOpenFiles(t *testing.T) {
	before, err := openFiles(os.Getpid())
	require.NoError(t, err)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	after, err := openFiles(os.Getpid())
	require.NoError(t, err)
	require.Equal(t, before+2, after)
}
