package server_test

import (
	"os"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
)

// A program under test starts itself again as a child: see play.
func TestMain(m *testing.M) {
	if role := os.Getenv("WEIR_TEST_ROLE"); role != "" {
		os.Exit(play(role))
	}
	weirtest.Main(m)
}
