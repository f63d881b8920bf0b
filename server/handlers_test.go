package server_test

import (
	"bufio"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// No more than MaxHandlers calls run at once. The others wait, and all are served.
func TestMaxHandlers(t *testing.T) {
	const most, clients = 3, 20
	var running, highest atomic.Int64
	more := make(chan struct{})
	enter := func() func() {
		n := running.Add(1)
		for old := highest.Load(); n > old && !highest.CompareAndSwap(old, n); {
			old = highest.Load()
		}
		return func() { running.Add(-1) }
	}
	srv := &server.Server{MaxHandlers: most,
		Begin: func(*server.Session) error {
			defer enter()()
			return nil
		},
		Handler: func(s *server.Session) error {
			defer enter()()
			line, err := s.ReadLine()
			if err != nil {
				return err
			}
			<-more
			_, err = s.WriteLine(line)
			return err
		}}
	addr := serve(t, srv)
	answered := make(chan struct{}, clients)
	for range clients {
		c := client(t, addr)
		send(t, c, "a\n")
		go func() {
			if _, err := bufio.NewReader(c).ReadString('\n'); err == nil {
				answered <- struct{}{}
			}
		}()
	}
	require.Eventually(t, func() bool {
		stats := srv.Stats()
		return stats.Waiting == clients-most && stats.Handlers == most
	}, weirtest.Patience, time.Millisecond)
	for range clients {
		more <- struct{}{}
	}
	for range clients {
		weirtest.Take(t, answered)
	}
	require.EqualValues(t, most, highest.Load())
	require.Eventually(t, func() bool { return srv.Stats().Handlers == 0 }, weirtest.Patience, time.Millisecond)
	require.Zero(t, srv.Stats().Waiting)
}

// A session that always has a next request lets those that wait go first.
func TestMaxHandlersIsFair(t *testing.T) {
	var served journal
	first := make(chan struct{})
	srv := &server.Server{MaxHandlers: 1, Handler: func(s *server.Session) error {
		line, err := s.ReadLine()
		if err != nil {
			return err
		}
		if line == "flood first" {
			<-first
		}
		served.add(line)
		_, err = s.WriteLine(line)
		return err
	}}
	addr := serve(t, srv)
	flooder := client(t, addr)
	send(t, flooder, "flood first\n")
	require.Eventually(t, func() bool { return srv.Stats().Handlers == 1 }, weirtest.Patience, time.Millisecond)
	for range 1000 {
		send(t, flooder, "flood\n")
	}
	other := client(t, addr)
	send(t, other, "ping\n")
	require.Eventually(t, func() bool { return srv.Stats().Waiting == 1 }, weirtest.Patience, time.Millisecond)
	close(first)
	expect(t, other, "ping\n")
	require.Equal(t, "ping", served.all()[1])
}

// Sessions that wait end when the server closes, and Close does not wait for the
// handlers: Stats says how many are left.
func TestCloseWithWaitingHandlers(t *testing.T) {
	hold := make(chan struct{})
	srv := &server.Server{MaxHandlers: 1,
		Handler: func(s *server.Session) error {
			<-hold // it never looks at its Socket
			_, err := s.ReadLine()
			return err
		},
	}
	addr := serve(t, srv)
	for range 3 {
		send(t, client(t, addr), "x\n")
	}
	require.Eventually(t, func() bool { s := srv.Stats(); return s.Handlers == 1 && s.Waiting == 2 }, weirtest.Patience, time.Millisecond)
	require.NoError(t, srv.Close())
	require.Equal(t, 1, srv.Stats().Handlers)
	close(hold)
	require.Eventually(t, func() bool { s := srv.Stats(); return s.Handlers == 0 && s.Waiting == 0 && s.Conns == 0 }, weirtest.Patience, time.Millisecond)
}

func TestPublicServes(t *testing.T) {
	srv := server.Public()
	require.Equal(t, &server.Server{
		MaxConns: 20_000, MaxConnsPerIP: 100, MaxHandlers: 4096, MaxInput: 1 << 20, MaxOutput: 4 << 20, StallAfter: time.Second,
		Timeouts: server.Timeouts{
			FirstByte: 10 * time.Second, Idle: 2 * time.Minute, Read: 30 * time.Second, Write: 30 * time.Second,
			MinRate: 500, Grace: 10 * time.Second, Linger: 5 * time.Second,
		},
	}, srv, "the table of its documentation")
	srv.Events.Data = echo
	c := client(t, serve(t, srv))
	send(t, c, "x")
	expect(t, c, "x")
}
