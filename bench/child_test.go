package main

import (
	"context"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

type noOrder struct{}

func TestChildIsPinned(t *testing.T) {
	cores, _ := chooseCores()
	if cores.server == anywhere {
		t.Skip("this machine has no two cores to choose from")
	}
	for _, core := range []int{cores.server, cores.load} {
		c, err := startChild(testContext(t), place{core, 1}, "echo-server", serverOrder{"net", 1})
		require.NoError(t, err)
		var at listening
		require.NoError(t, c.answer(&at))

		var set unix.CPUSet
		require.NoError(t, unix.SchedGetaffinity(c.cmd.Process.Pid, &set))
		require.Equal(t, 1, set.Count())
		require.True(t, set.IsSet(core))
		require.NoError(t, c.stop())
	}
	var own unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &own))
	require.Greater(t, own.Count(), 1, "the parent stays where it was")
}

// A server that never yields must go as well: the raw one holds its thread for ever.
func TestChildEndsWithItsInput(t *testing.T) {
	for _, name := range able(realSubjects, func(s subject) bool { return s.serveEcho != nil }) {
		c, err := startChild(testContext(t), place{anywhere, 1}, "echo-server", serverOrder{name, 1})
		require.NoError(t, err)
		var at listening
		require.NoError(t, c.answer(&at))
		require.NoError(t, c.stop(), "%s: exit code 0, not killed", name)
	}
	requireNoChildren(t)
}

func TestChildTellsWhatIsWrong(t *testing.T) {
	_, err := ask[listening](testContext(t), place{anywhere, 1}, "echo-server", serverOrder{"kernel", 1})
	require.EqualError(t, err, `echo-server: subject "kernel" has no echo server`)

	_, err = ask[listening](testContext(t), place{anywhere, 1}, "juggler", noOrder{})
	require.ErrorContains(t, err, "no such role")
	requireNoChildren(t)
}

// beParent is a role that has a server as a child of its own.
func beParent(_ noOrder, answer answerFunc) error {
	c, err := startChild(context.Background(), place{anywhere, 1}, "echo-server", serverOrder{"raw", 1})
	if err != nil {
		return err
	}
	var at listening
	if err := c.answer(&at); err != nil {
		return err
	}
	if err := answer(at); err != nil {
		return err
	}
	select {}
}

func TestServerDiesWithAKilledParent(t *testing.T) {
	parent, err := startChild(testContext(t), place{anywhere, 0}, "test-parent", noOrder{})
	require.NoError(t, err)
	var at listening
	require.NoError(t, parent.answer(&at))
	conn, err := net.Dial("tcp", at.Addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.Copy(conn, strings.NewReader("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err, "the server is alive")

	require.NoError(t, parent.cmd.Process.Kill())
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the server outlived its parent")
	parent.stop() //nolint:errcheck // it was killed
	requireNoChildren(t)
}

// A subject's process must not have what another subject's library starts by
// being there: a timer alone makes each switch of goroutines dearer.
func TestNoLibraryTicks(t *testing.T) {
	require.Eventually(t, func() bool {
		stacks := make([]byte, 1<<20)
		return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "panjf2000/ants")
	}, 10*time.Second, time.Millisecond)
}
