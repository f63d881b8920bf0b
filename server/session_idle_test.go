package server_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

func TestHandleReceiveTimeout(t *testing.T) {
	const limit = 30 * time.Millisecond
	var log journal
	got := make(chan error, 1)
	took := make(chan time.Duration, 1)
	srv := &server.Server{Log: log.logger(), Timeouts: server.Timeouts{Read: limit, Write: time.Hour}, Handler: func(s *server.Session) error {
		begin := time.Now()
		_, err := s.ReadLine()
		took <- time.Since(begin)
		got <- err
		if d := s.SendTimeout(); d != time.Hour {
			return errors.New("the send timeout is " + d.String())
		}
		return err
	}}
	c := client(t, serve(t, srv))
	send(t, c, "no end of the line")
	require.GreaterOrEqual(t, weirtest.Take(t, took), limit)
	var timeout net.Error
	require.ErrorAs(t, weirtest.Take(t, got), &timeout)
	require.True(t, timeout.Timeout())
	expectEnd(t, c)
	weirtest.Eventually(t, func() bool { return log.count("DEBUG server: a connection was too slow") == 1 }, "it is logged")
	require.Zero(t, log.count("the send timeout is"))
	require.Zero(t, log.count("ERROR"), "the client is slow, and nothing is wrong with the handler")
}

func TestHandleIdleTimeouts(t *testing.T) {
	t.Parallel()
	type times = server.Timeouts
	for _, of := range []struct {
		name     string
		timeouts func(limit time.Duration) times
		requests int
	}{
		{"first byte", func(limit time.Duration) times { return times{FirstByte: limit} }, 0},
		{"first byte before idle", func(limit time.Duration) times { return times{FirstByte: limit, Idle: time.Hour} }, 0},
		{"idle before first byte", func(limit time.Duration) times { return times{FirstByte: time.Hour, Idle: limit} }, 0},
		{"idle", func(limit time.Duration) times { return times{Idle: limit} }, 0},
		{"idle after a request", func(limit time.Duration) times { return times{Idle: limit} }, 1},
		{"idle after many", func(limit time.Duration) times { return times{FirstByte: time.Hour, Idle: limit} }, 5},
	} {
		t.Run(of.name, func(t *testing.T) {
			t.Parallel()
			machine.WithTime(t, 2*short, func(limit time.Duration) bool {
				srv := &server.Server{Timeouts: of.timeouts(limit), Handler: lines}
				begin := time.Now()
				c := client(t, serve(t, srv))
				for range of.requests {
					time.Sleep(limit / 10) // steady traffic
					begin = time.Now()
					_, _ = io.WriteString(c, "x\n")
					if _, err := io.ReadFull(c, make([]byte, len("<x>"))); err != nil {
						return false
					}
				}
				expectEnd(t, c)
				require.GreaterOrEqual(t, time.Since(begin), limit)
				weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "it is counted out")
				return true
			})
		})
	}
}

// If a handler has run longer than the idle time, the idle time starts again when it
// returns.
func TestHandleIdleTimeoutAfterALongCall(t *testing.T) {
	t.Parallel()
	for _, first := range []time.Duration{0, time.Hour} {
		machine.WithTime(t, short/5, func(limit time.Duration) bool {
			g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
			require.NoError(t, err)
			defer g.Close()
			expired := make(chan struct{})
			var called atomic.Bool
			srv := &server.Server{Group: g, Timeouts: server.Timeouts{FirstByte: first, Idle: limit}, Handler: func(s *server.Session) error {
				called.Store(true)
				// The session set its timer before this one.
				if _, err := g.Loops()[0].AfterFunc(2*limit, func() { close(expired) }); err != nil {
					return err
				}
				<-expired
				return lines(s)
			}}
			c := client(t, serve(t, srv))
			send(t, c, "x\n")
			if _, err := io.ReadFull(c, make([]byte, len("<x>"))); !called.Load() {
				return false // the session is idle before the call of the handler
			} else {
				require.NoError(t, err)
			}
			expectEnd(t, c)
			weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "it is counted out")
			return true
		})
	}
}

// The time for the first byte is over while Begin runs. It starts again when Begin returns,
// also if the idle time is far longer.
func TestHandleFirstByteAfterALongBegin(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	const limit = 10 * time.Millisecond
	over := make(chan error, 1)
	srv := &server.Server{Group: g, Timeouts: server.Timeouts{FirstByte: limit, Idle: time.Hour}, Handler: lines,
		Begin: func(*server.Session) error {
			expired := make(chan struct{})
			if _, err := g.Loops()[0].AfterFunc(2*limit, func() { close(expired) }); err != nil {
				return err
			}
			<-expired
			return nil
		},
		Finish: func(_ *server.Session, err error) { over <- err },
	}
	expectEnd(t, client(t, serve(t, srv)))
	require.Equal(t, &server.TimeoutError{Of: "first byte", After: limit}, weirtest.Take(t, over))
}

// A connection that has ended leaves no memory in use, even if its timeout is far away.
func TestHandleForgetsWhoHasEnded(t *testing.T) {
	sockets := make(chan weak.Pointer[server.Session], 1)
	srv := &server.Server{Timeouts: server.Timeouts{Idle: time.Hour}, Handler: func(s *server.Session) error {
		sockets <- weak.Make(s)
		_, err := s.ReadLine()
		if err != nil {
			return err
		}
		return io.EOF
	}}
	c := client(t, serve(t, srv))
	send(t, c, "x\n")
	s := weirtest.Take(t, sockets)
	expectEnd(t, c)
	weirtest.Eventually(t, func() bool { runtime.GC(); return s.Value() == nil }, "it is collected")
}

// FirstByte does not end a session whose peer has sent something, however long the peer
// is silent afterwards.
func TestHandleFirstByteAloneLeavesTheLoopAlone(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	machine.WithTime(t, short/10, func(limit time.Duration) bool {
		release := make(chan struct{})
		srv := &server.Server{Group: g, Timeouts: server.Timeouts{FirstByte: limit}, Handler: func(s *server.Session) error {
			err := lines(s)
			<-release
			return err
		}}
		defer srv.Close()
		c := client(t, serve(t, srv))
		begin := time.Now()
		_, _ = io.WriteString(c, "x\n")
		if _, err := io.ReadFull(c, make([]byte, len("<x>"))); err != nil {
			require.GreaterOrEqual(t, time.Since(begin), limit/2)
			return false // it was late to send its first byte
		}
		time.Sleep(5 * limit) // the handler runs longer than FirstByte
		close(release)
		weirtest.Eventually(t, func() bool {
			before := g.Loops()[0].Turns()
			time.Sleep(3 * limit)
			return g.Loops()[0].Turns() == before
		}, "nothing more is done")
		send(t, c, "y\n")
		expect(t, c, "<y>")
		return true
	})
}

// A session may set its own idle time, for example a subscriber that only receives.
func TestSessionSetIdle(t *testing.T) {
	for _, ofServer := range []bool{false, true} { // the server has an idle time
		machine.WithTime(t, 30*time.Millisecond, func(limit time.Duration) bool {
			idle := limit
			if !ofServer {
				idle = 0
			}
			why := make(chan error, 2)
			subscribed := make(chan *server.Session, 1)
			srv := &server.Server{
				Timeouts: server.Timeouts{Idle: idle},
				Handler: func(s *server.Session) error {
					line, err := s.ReadLine()
					switch {
					case err != nil:
						return err
					case line == "subscribe":
						s.SetIdle(0)
						subscribed <- s
					default:
						s.SetIdle(limit)
					}
					_, err = s.WriteString("ok")
					return err
				},
				Finish: func(_ *server.Session, err error) { why <- err },
			}
			addr := serve(t, srv)
			connected := time.Now()
			subscriber, other := client(t, addr), client(t, addr)
			var begin time.Time
			for c, text := range map[net.Conn]string{subscriber: "subscribe\n", other: "x\n"} {
				if c == other {
					begin = time.Now()
				}
				_, _ = io.WriteString(c, text)
				if _, err := io.ReadFull(c, make([]byte, len("ok"))); err != nil {
					require.True(t, ofServer && time.Since(connected) >= limit, "%v", err)
					return false // the server's idle time ended before
				}
			}
			expectEnd(t, other)
			require.GreaterOrEqual(t, time.Since(begin), limit)
			require.Equal(t, &server.TimeoutError{Of: "idle", After: limit}, weirtest.Take(t, why))
			time.Sleep(2 * limit)
			_, err := weirtest.Take(t, subscribed).WriteString("news")
			require.NoError(t, err)
			expect(t, subscriber, "news")
			require.Empty(t, why)
			return true
		})
	}
}
