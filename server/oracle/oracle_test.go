package oracle

import (
	"flag"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/race"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/stretchr/testify/require"
)

// ordinary is how many conversations make a test of a few seconds.
const ordinary = 200

var (
	firstSeed = flag.Uint64("seed", 1, "the first conversation")
	count     = flag.Int("talks", ordinary, "how many conversations there are")
	locked    = flag.Bool("locked", false, "each loop keeps a thread of its own")
	long      = flag.Duration("long", 0, "how long conversations go on, instead of -talks")
)

func TestMain(m *testing.M) { weirtest.Main(m) }

// A peer gets the same from each server, and each server the same from the peer. To play
// one conversation again: go test ./server/oracle -seed 17 -talks 1
func TestServerAgreesWithKernel(t *testing.T) {
	type subject struct {
		name string
		port int
		accounts
	}
	subjects := []*subject{{name: "threads"}, {name: "Events"}, {name: "Handler"}, {name: "Handler for each request"}}
	subjects[0].port = startKernel(t, &subjects[0].accounts)
	subjects[1].port = startEvents(t, &subjects[1].accounts)
	subjects[2].port = startHandler(t, &subjects[2].accounts, 1<<30)
	subjects[3].port = startHandler(t, &subjects[3].accounts, 1)
	n := *count
	if race.Enabled && n == ordinary {
		n = ordinary / 2
	}
	start := time.Now()
	var next atomic.Uint64
	var kinds sync.Map
	var peers sync.WaitGroup
	for range 24 { // most of them wait
		peers.Go(func() {
			for !t.Failed() {
				i := next.Add(1) - 1
				if *long > 0 && time.Since(start) > *long || *long == 0 && i >= uint64(n) {
					return
				}
				s := newScript(*firstSeed + i)
				kinds.Store(s.kind, true)
				var want outcome
				for i, x := range subjects {
					got, err := s.run(x.port, &x.accounts)
					if err != nil {
						t.Errorf("seed %d (%s), %s: %v", s.id, s.kind, x.name, err)
						return
					}
					if i == 0 {
						want = got
					} else if got != want {
						t.Errorf("seed %d (%s): with %s\n\t%v\nwith %s\n\t%v", s.id, s.kind, subjects[0].name, want, x.name, got)
						return
					}
				}
			}
		})
	}
	peers.Wait()
	all := 0
	kinds.Range(func(any, any) bool { all++; return true })
	if n >= 100 {
		require.Equal(t, 5, all, "kinds of conversations")
	}
	t.Logf("%d conversations of %d kinds with each of %d servers", next.Load(), all, len(subjects))
}
