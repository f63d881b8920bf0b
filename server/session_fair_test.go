package server_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// Sessions that have input without end do not keep the loop from others: before the byte of
// another session is served, each of them has been served a bounded number of times. One
// processor makes the order of events the same each time.
func TestFairToOthersWhileSessionsFlood(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const floods, each, frame = 3, 1000, 100
	var served atomic.Int64
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
				seen <- served.Load()
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
			if served.Add(1) == 1 {
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
	require.LessOrEqual(t, weirtest.Take(t, seen), int64(4*floods*16), "of %d calls", floods*each)
	weirtest.Eventually(t, func() bool { return served.Load() == floods*each }, "the floods are served to the end")
}
