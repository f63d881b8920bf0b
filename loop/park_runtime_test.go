//go:build !race && !msan && !asan && !weir_portable

package loop

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The constants of park_runtime.go have the meaning that this release of Go gives them.
func TestParkedIsShownAsWaitingForIO(t *testing.T) {
	var p parker
	done := make(chan struct{})
	go func() {
		p.park()
		close(done)
	}()
	Until(func() bool { return parked("TestParkedIsShownAsWaitingForIO") })
	require.Regexp(t, `\[IO wait\]:\n.*\(\*parker\)\.park`, stacks())
	p.unpark()
	<-done
}

// woken reports whether an unpark waits for its park.
func (p *parker) woken() bool { return p.state.Load() == unparked }
