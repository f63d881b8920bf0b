package loop

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The zero Options mean the defaults that the fields' comments name. Other values stay
// unchanged.
func TestOptionsDefaults(t *testing.T) {
	o, err := Options{}.withDefaults()
	require.NoError(t, err)
	require.Equal(t, []int{256, 256, 1024, 65536}, []int{o.Events, o.Expiries, o.Tasks, o.TaskQueue})
	require.Equal(t, 50*time.Microsecond, o.BusyPoll)
	o, err = Options{Events: 1, Expiries: 2, Tasks: 3, TaskQueue: 4, BusyPoll: NoBusyPoll}.withDefaults()
	require.NoError(t, err)
	require.Equal(t, []int{1, 2, 3, 4}, []int{o.Events, o.Expiries, o.Tasks, o.TaskQueue})
	require.Equal(t, NoBusyPoll, o.BusyPoll)
}
