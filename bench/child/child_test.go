package child_test

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/subjects"
	needs "github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

type noOrder struct{}

// TestMain lets the test's binary be a child, as the program's binary is.
func TestMain(m *testing.M) {
	benchtest.Main(m, subjects.Roles, map[string]child.Role{"test-parent": child.Ordered(beParent)})
}

func TestChildIsPinned(t *testing.T) {
	cores, _ := machine.ChooseCores()
	if cores.Server == nil {
		needs.Missing(t, "the machine has no two cores to choose from")
	}
	for _, core := range []int{cores.Server[0], cores.Load[0]} {
		c, err := child.Start(benchtest.Context(t), child.Place{Cores: []int{core}, Threads: 1}, "echo-server", subjects.Order{Subject: "net", Size: 1})
		require.NoError(t, err)
		var at subjects.Listening
		require.NoError(t, c.Answer(&at))

		var set unix.CPUSet
		require.NoError(t, unix.SchedGetaffinity(c.Pid(), &set))
		require.Equal(t, 1, set.Count())
		require.True(t, set.IsSet(core))
		require.NoError(t, c.Stop())
	}
	var own unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &own))
	require.Greater(t, own.Count(), 1, "the parent stays where it was")
}

// beParent is a role that has a server as a child of its own.
func beParent(_ noOrder, answer child.Answer) error {
	c, err := child.Start(context.Background(), child.Place{Threads: 1}, "echo-server", subjects.Order{Subject: "raw", Size: 1})
	if err != nil {
		return err
	}
	var at subjects.Listening
	if err := c.Answer(&at); err != nil {
		return err
	}
	if err := answer(at); err != nil {
		return err
	}
	select {}
}

func TestServerDiesWithAKilledParent(t *testing.T) {
	parent, err := child.Start(benchtest.Context(t), child.Place{}, "test-parent", noOrder{})
	require.NoError(t, err)
	var at subjects.Listening
	require.NoError(t, parent.Answer(&at))
	conn, err := net.Dial("tcp", at.Addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.Copy(conn, strings.NewReader("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err, "the server is alive")

	require.NoError(t, unix.Kill(parent.Pid(), unix.SIGKILL))
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the server outlived its parent")
	parent.Stop() //nolint:errcheck // it was killed
	benchtest.NoChildren(t)
}

func TestChildTellsWhatIsWrong(t *testing.T) {
	_, err := child.Ask[subjects.Listening](benchtest.Context(t), child.Place{Threads: 1}, "echo-server", subjects.Order{Subject: "kernel", Size: 1})
	require.EqualError(t, err, `echo-server: subject "kernel" has no echo server`)

	_, err = child.Ask[subjects.Listening](benchtest.Context(t), child.Place{Threads: 1}, "juggler", noOrder{})
	require.ErrorContains(t, err, "no such role")
	benchtest.NoChildren(t)
}
