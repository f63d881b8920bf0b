//go:build linux

package poller

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Each Wake adds 1 to the eventfd's counter, which no call reads. A Poller with a very
// high counter can still be woken.
func TestWakeAfterVeryMany(t *testing.T) {
	for _, s := range []Strategy{Parked, Blocking} {
		t.Run(s.String(), func(t *testing.T) {
			p, err := Open(s)
			require.NoError(t, err)
			defer p.Close()
			const full = math.MaxUint64 - 1
			_, err = unix.Write(p.wakefd, binary.NativeEndian.AppendUint64(nil, full-2))
			require.NoError(t, err)
			events := make([]Event, 1)
			look := func() {
				n, err := p.Wait(events, time.Now())
				require.NoError(t, err)
				require.Zero(t, n)
			}
			look()
			require.NoError(t, p.Wake())
			look()
			require.False(t, p.waking.Load(), "it was not noticed")
		})
	}
}
