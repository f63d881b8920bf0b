// Package benchtest has what the tests of several packages under bench need.
package benchtest

import (
	"context"
	"maps"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Main is a TestMain for tests that start children: the children are processes of the test's
// own binary, with one of these roles.
func Main(m *testing.M, roles ...map[string]child.Role) {
	all := map[string]child.Role{}
	for _, r := range roles {
		maps.Copy(all, r)
	}
	child.Main(all)
	// A process of a race build sleeps for a second before it exits, unless told not to.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(m.Run())
}

// Context returns a context that ends with the test, and after two minutes at the latest: on a busy
// machine a test may take many times as long as on a quiet one.
func Context(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// NoChildren fails the test if this process has a child left, running or not waited for.
func NoChildren(t *testing.T) {
	t.Helper()
	_, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
	require.ErrorIs(t, err, syscall.ECHILD)
}
