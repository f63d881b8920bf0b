package server_test

import (
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// Sessions that have input without end do not keep the loop from others: before the byte of
// another session is served, they are served a bounded number of times, however many they
// are. That is the median of several bytes, because the kernel may hold up the thread of the
// loop. One processor makes the order of events the same each time.
func TestFairToOthersWhileSessionsFlood(t *testing.T) {
	for _, floods := range []int{3, 64} {
		t.Run(strconv.Itoa(floods), func(t *testing.T) { fairBesideSessions(t, floods) })
	}
}

func fairBesideSessions(t *testing.T, floods int) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const (
		frame, all   = 10, 40_000
		bytes, apart = 20, 100 // the onlooker's bytes, and how many calls of the floods are between them
	)
	each := all / floods
	var served, due atomic.Int64
	var waits []int64             // only the onlooker's calls use it
	due.Store(int64(floods * 16)) // each has stood back
	var onlooker atomic.Pointer[server.Session]
	seen := make(chan int64, 1)
	first := make(chan struct{})
	began := make(chan struct{}, floods)
	var poke func()
	srv := &server.Server{Loops: 1,
		Begin: func(s *server.Session) error {
			onlooker.CompareAndSwap(nil, s)
			return nil
		},
		Handler: func(s *server.Session) error {
			if s == onlooker.Load() {
				if _, err := s.Peek(1); err != nil {
					return err
				}
				s.Discard(1)
				now := served.Load()
				if waits = append(waits, now-due.Load()); len(waits) == bytes {
					slices.Sort(waits)
					seen <- waits[bytes/2]
				} else {
					due.Store(now + apart)
				}
				return nil
			}
			if s.User == nil {
				s.User = "flood"
				began <- struct{}{}
				<-first
			}
			if _, err := s.Peek(frame); err != nil {
				return err
			}
			s.Discard(frame)
			if served.Add(1) == due.Load() {
				poke()
			}
			return nil
		}}
	addr := serve(t, srv)
	by := client(t, addr)
	weirtest.Eventually(t, func() bool { return onlooker.Load() != nil }, "the onlooker's session has begun")
	poke = func() { _, _ = by.Write([]byte("x")) }
	for range floods {
		_, err := client(t, addr).Write(make([]byte, each*frame))
		require.NoError(t, err)
	}
	for range floods {
		weirtest.Take(t, began)
	}
	close(first)
	require.LessOrEqual(t, weirtest.Take(t, seen), int64(2*min(floods, 8)*16), "of %d calls", floods*each)
	weirtest.Eventually(t, func() bool { return served.Load() == int64(floods*each) }, "the floods are served to the end")
}
