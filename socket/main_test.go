package socket

import (
	"errors"
	"flag"
	"net"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/loop"
)

// stressTime is how long TestStress runs: go test -race -run Stress -stress 10s.
var stressTime = flag.Duration("stress", time.Second, "how long TestStress runs")

func TestMain(m *testing.M) { machine.Main(tests{m}) }

// tests are all of them, without a name server, and then no goroutine should be
// left.
type tests struct{ *testing.M }

func (t tests) Run() int {
	net.DefaultResolver = fakeResolver
	code := t.M.Run()
	group, err := loop.Default()
	if err == nil {
		err = group.Close()
	}
	if err != nil && !errors.Is(err, loop.ErrLoopClosed) {
		panic(err)
	}
	return code
}
