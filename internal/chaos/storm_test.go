package chaos

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/server"
	"golang.org/x/sys/unix"
)

// storms are what goroutines do beside the transfers, over and over.
var storms = map[string]func(t *testing.T){
	// A descriptor's number that a connection gives back is another file's at once. If a
	// call used such a number, bytes would be missing here or there.
	"descriptors": func(t *testing.T) {
		var p [2]int
		if unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
			return
		}
		want := []byte("only for this pipe")
		got := make([]byte, 2*len(want))
		if _, err := unix.Write(p[1], want); err != nil {
			t.Errorf("a pipe is not writable: %v", err)
		}
		if n, err := unix.Read(p[0], got); err != nil || !bytes.Equal(got[:n], want) {
			t.Errorf("a pipe has %q, %v", got[:max(n, 0)], err)
		}
		unix.Close(p[0])
		unix.Close(p[1])
	},
	// A signal that has a handler ends system calls with EINTR. Go's own handler of
	// SIGURG does nothing more.
	"signals": func(*testing.T) {
		unix.Kill(unix.Getpid(), unix.SIGURG)
		time.Sleep(50 * time.Microsecond)
	},
}

// Bad peers get what they are owed while descriptors are opened and closed all the time,
// and while signals rain.
func TestBadPeersInStorms(t *testing.T) {
	for name, storm := range storms {
		t.Run(name, func(t *testing.T) {
			services := startAll(t, here, server.Timeouts{})
			watch(t, nil, services)
			var over atomic.Bool
			var winds, all sync.WaitGroup
			for range 2 {
				winds.Go(func() {
					for !over.Load() {
						storm(t)
					}
				})
			}
			rounds(func(seed uint64) {
				for i, s := range services {
					for j := range 8 {
						all.Go(func() {
							seed := seed*1000 + uint64(i*100+j)
							var err error
							if j%2 == 0 {
								err = cutShort(t, s, seed, j%4 == 0)
							} else {
								err = orderly(s, seed, 200<<10, func(*transfer) {})
							}
							if err != nil {
								t.Errorf("%s: %v", s.name, err)
							}
						})
					}
				}
				all.Wait()
				settled(t, services)
			})
			over.Store(true)
			winds.Wait()
		})
	}
}
