package together

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/load"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test's binary be a child, as the program's binary is.
func TestMain(m *testing.M) { benchtest.Main(m, Roles) }

func TestServerAndClientsInOneProcess(t *testing.T) {
	got, err := child.Ask[load.Result](benchtest.Context(t), child.Place{Threads: 2}, "together", Order{
		Server: "net", Client: "net", Conns: 4, Size: 64, Window: 20 * time.Millisecond, Patience: time.Minute,
	})
	require.NoError(t, err)
	require.Positive(t, got.Requests)
	require.Positive(t, got.ServerCPU)
	require.LessOrEqual(t, got.P50, got.P99)
	require.LessOrEqual(t, got.P99, got.P999)
	benchtest.NoChildren(t)
}

func TestBothSidesAreNeeded(t *testing.T) {
	_, err := child.Ask[load.Result](benchtest.Context(t), child.Place{}, "together", Order{Server: "kernel", Client: "net"})
	require.EqualError(t, err, `together: subject "kernel" has no ordinary server`)
	_, err = child.Ask[load.Result](benchtest.Context(t), child.Place{}, "together", Order{Server: "net", Client: "gnet"})
	require.EqualError(t, err, `together: subject "gnet" has no clients`)
	benchtest.NoChildren(t)
}
