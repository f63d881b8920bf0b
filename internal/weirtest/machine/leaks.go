//go:build linux

package machine

import (
	"fmt"
	"os"
	"time"

	"go.uber.org/goleak"
)

// leakPatience is how long a goroutine may take to end after the last test.
const leakPatience = 20 * time.Second

// Main runs the tests of a package, and exits. It fails if a goroutine is left.
func Main(m interface{ Run() int }) {
	code := m.Run()
	if code == 0 {
		if err := leaks(leakPatience); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// leaks returns an error that names the goroutines that are left. goleak.Find waits for less than
// half a second, which is too short on a busy machine.
func leaks(patience time.Duration) error {
	end := time.Now().Add(patience)
	for {
		err := goleak.Find()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
