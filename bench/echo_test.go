package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func testEnv(names ...string) env {
	cores, _ := chooseCores()
	return env{
		options: options{subjects: names, conns: []int{1, 8}, sizes: []int{128}, dur: 20 * time.Millisecond, reps: 1},
		cores:   cores,
	}
}

// Messages that a socket's buffers do not hold need every partial read and write to be right.
func TestEchoOfLargeMessages(t *testing.T) {
	for _, name := range able(realSubjects, func(s subject) bool { return s.serveEcho != nil }) {
		got, err := echoContest(2, 8<<20).measure(testContext(t), testEnv(), name)
		require.NoError(t, err)
		require.Positive(t, got.Requests)
		require.Positive(t, got.ServerCPU)
	}
}

func echoContest(conns, size int) contest {
	return contest{server: "echo-server", load: "echo-load", conns: conns, size: size, burst: 1}
}

func TestGeneratorNoticesARefusingServer(t *testing.T) {
	_, err := ask[loadResult](testContext(t), place{anywhere, 1}, "echo-load", loadOrder{
		Addr: "127.0.0.1:1", Conns: 1, Size: 1, Burst: 1, Window: time.Millisecond, Patience: time.Second,
	})
	require.ErrorContains(t, err, "connection 1 of 1: connect: connection refused")
}

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
