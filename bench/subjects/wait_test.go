package subjects

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A Waiter that is ended by anything but its timeout must not pass as punctual. (The kernel's
// is left out: nobody may read from a descriptor that is closed.)
func TestWaiterNoticesWhatIsNotATimeout(t *testing.T) {
	for _, s := range All {
		if s.NewWaiter == nil || s.Name == "kernel" {
			continue
		}
		w, err := s.NewWaiter(time.Minute)
		require.NoError(t, err)
		w.close()
		require.Error(t, w.wait(), s.Name)
	}
}
