package simnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/simnet"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var silent = slog.New(slog.DiscardHandler)

// A scene has a server on 10.0.0.1 and clients on 10.0.0.2.
type scene struct {
	t       *testing.T
	n       *simnet.Network
	rng     *rand.Rand
	srv     *server.Server
	clients *loop.Group
}

func newScene(t *testing.T, seed uint64, link simnet.Link, srv *server.Server) *scene {
	s := &scene{t: t, rng: rand.New(rand.NewPCG(seed, 98)), srv: srv}
	s.n = simnet.New(t, simnet.Options{Seed: seed, Link: link})
	srv.Group = s.n.Host("10.0.0.1").GroupWith(1+s.rng.IntN(3), loop.LeastRegistered(), loop.Options{})
	srv.Log = silent
	_, err := srv.Listen("tcp", "10.0.0.1:80")
	require.NoError(t, err)
	s.clients = s.n.Host("10.0.0.2").Group(1)
	return s
}

func (s *scene) dial() net.Conn {
	d := weirnet.Dialer{Group: s.clients}
	c, err := d.Dial("tcp", "10.0.0.1:80")
	require.NoError(s.t, err)
	return c
}

func (s *scene) upTo(d time.Duration) time.Duration { return 1 + time.Duration(s.rng.Int64N(int64(d))) }

// good is a link without losses.
var good = simnet.Link{Latency: time.Millisecond, Jitter: time.Millisecond}

// A seen is what the server has seen of a connection.
type seen struct {
	opened, last, part time.Time // when it began, last sent something, and began its message
	any                bool
}

// The timeouts FirstByte, Idle and Read end connections at their time, and no others.
func TestServerTimeouts(t *testing.T) {
	seeds(t, 300, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 0))
		limit := func() time.Duration { return time.Millisecond + time.Duration(rng.Int64N(int64(time.Hour))) }
		limits := server.Timeouts{FirstByte: limit(), Idle: limit(), Read: limit()}
		var mu sync.Mutex
		ended := make(map[string]int)
		srv := &server.Server{Timeouts: limits, Events: server.Events{
			Open: func(c *server.Conn) error { c.User = &seen{opened: time.Now(), last: time.Now()}; return nil },
			Data: func(c *server.Conn) error { // messages end with a dot
				u := c.User.(*seen)
				if u.last, u.any = time.Now(), true; u.part.IsZero() {
					u.part = time.Now()
				}
				p := c.Peek(-1)
				if end := bytes.LastIndexByte(p, '.') + 1; end > 0 {
					c.Discard(end)
					if u.part = (time.Time{}); end < len(p) {
						u.part = time.Now()
					}
				}
				return nil
			},
			Closed: func(c *server.Conn, err error) {
				u := c.User.(*seen)
				var out *server.TimeoutError
				mu.Lock()
				defer mu.Unlock()
				if !errors.As(err, &out) {
					ended["other"]++
					return
				}
				ended[out.Of]++
				since := map[string]time.Time{"first byte": u.opened, "idle": u.last, "read": u.part}[out.Of]
				checkAt(t, out.After, time.Since(since), out.Of)
				if out.Of == "first byte" && u.any {
					t.Error("first byte: it has come")
				}
			},
		}}
		s := newScene(t, seed, good, srv)
		var clients sync.WaitGroup
		const count = 5
		for range count {
			rng := rand.New(rand.NewPCG(s.rng.Uint64(), 0))
			clients.Go(func() {
				c := s.dial()
				defer c.Close()
				for range rng.IntN(6) {
					time.Sleep(time.Duration(rng.Int64N(int64(40 * time.Minute))))
					if _, err := c.Write([]byte([]string{"a", "a.", "a.b"}[rng.IntN(3)])); err != nil {
						return
					}
				}
				_, _ = c.Read(make([]byte, 1)) // until the server ends the connection
			})
		}
		clients.Wait()
		time.Sleep(time.Second)
		require.Zero(t, srv.Stats().Conns)
		total := 0
		for _, n := range ended {
			total += n
		}
		require.Equal(t, count, total, "%v", ended)
		require.NoError(t, srv.Close())
	})
}

// Write ends a connection whose peer takes nothing, at its time. MaxOutput bounds what is queued
// for it, and HighWater stops reading from it.
func TestServerBackpressure(t *testing.T) {
	seeds(t, 100, func(t *testing.T, seed uint64) {
		const most = 300_000
		limit := 10 * time.Second
		closed := make(chan error, 1)
		full := 0
		srv := &server.Server{MaxOutput: most, HighWater: 100_000, Timeouts: server.Timeouts{Write: limit}, Events: server.Events{
			Data: func(c *server.Conn) error {
				p := c.Next(-1)
				for range 3 {
					if _, err := c.Write(p); errors.Is(err, server.ErrOutputFull) {
						full++
					} else if err != nil {
						return err
					}
				}
				if queued := c.Buffered(); queued > most {
					t.Errorf("%d bytes are queued", queued)
				}
				return nil
			},
			Closed: func(_ *server.Conn, err error) { closed <- err },
		}}
		s := newScene(t, seed, good, srv)
		c := s.dial()
		stop := time.Now().Add(s.upTo(time.Second))
		if err := c.SetWriteDeadline(stop); err != nil {
			t.Fatal(err)
		}
		for err := error(nil); err == nil; { // until the server does not read any more
			_, err = c.Write(make([]byte, 1+s.rng.IntN(30_000)))
		}
		begin := time.Now()
		err := <-closed
		var out *server.TimeoutError
		require.ErrorAs(t, err, &out)
		require.Equal(t, "write", out.Of)
		// When the time is over, the server asks the kernel whether the peer has taken something
		// since the last send. The kernel has room, of which it has reported nothing because it is
		// little. So the time may begin anew, once.
		require.LessOrEqual(t, time.Since(begin), 2*limit+10*time.Millisecond) // and some segments may be on their way
		require.LessOrEqual(t, srv.Stats().Memory, int64(2*most))
		c.Close()
		require.NoError(t, srv.Close())
	})
}

// Without descriptors the server pauses, does not spin, and accepts all clients in the end.
func TestServerAcceptBackOff(t *testing.T) {
	seeds(t, 300, func(t *testing.T, seed uint64) {
		srv := &server.Server{Events: server.Events{Data: func(c *server.Conn) error {
			_, err := c.Write(c.Next(-1))
			return err
		}}}
		s := newScene(t, seed, good, srv)
		h := s.n.Host("10.0.0.1")
		room := 1 + s.rng.IntN(3)
		h.SetLimit(1 + room) // the listener's, too
		var clients sync.WaitGroup
		count := 1 + s.rng.IntN(10)
		for range count {
			hold := s.upTo(3 * time.Second)
			clients.Go(func() {
				c := s.dial()
				_, err := c.Write([]byte("x"))
				require.NoError(t, err)
				_, err = io.ReadFull(c, make([]byte, 1))
				require.NoError(t, err)
				time.Sleep(hold)
				c.Close()
			})
		}
		begin := s.n.Events()
		over := time.Now()
		clients.Wait()
		require.Less(t, time.Since(over), time.Duration(count)*4*time.Second)
		if spent := s.n.Events() - begin; spent > 2000 {
			t.Errorf("%d events: the listener spins", spent)
		}
		stats := srv.Stats()
		require.EqualValues(t, count, stats.Accepted)
		if count > room {
			require.Positive(t, stats.Pauses)
		}
		require.NoError(t, srv.Close())
	})
}

// LeastRegistered balances the connections over the loops.
func TestServerBalances(t *testing.T) {
	seeds(t, 200, func(t *testing.T, seed uint64) {
		srv := &server.Server{Events: server.Events{Data: func(c *server.Conn) error { return nil }}}
		s := newScene(t, seed, good, srv)
		count := 1 + s.rng.IntN(20)
		for range count {
			defer s.dial().Close()
		}
		time.Sleep(time.Second)
		loops := srv.Group.Loops()
		total, least, most := 0, count+1, 0
		for _, l := range loops {
			n := l.Registered()
			total, least, most = total+n, min(least, n), max(most, n)
		}
		require.Equal(t, count+len(loops), total+len(loops)-1, "the listener is registered, too")
		require.LessOrEqual(t, most-least, 1)
		require.NoError(t, srv.Close())
	})
}

// A member is a connection of a chat, and what the server has written to it.
type member struct {
	c    *server.Conn
	sent int
	rng  *rand.Rand
}

// Shutdown loses nothing of what the callbacks have written, to whichever connection.
func TestServerShutdown(t *testing.T) {
	seeds(t, 400, func(t *testing.T, seed uint64) {
		var mu sync.Mutex
		var members [5]*member // by the first byte that a client sends
		srv := &server.Server{Events: server.Events{
			Data: func(c *server.Conn) error {
				p := c.Next(-1)
				mu.Lock()
				defer mu.Unlock()
				if c.User == nil {
					c.User = &member{c: c, rng: rand.New(rand.NewPCG(seed, uint64(p[0])))}
					members[p[0]] = c.User.(*member)
				}
				rng := c.User.(*member).rng
				for _, m := range members { // some get it, and the sender does
					if to := rng.IntN(2); m != nil && (m.c == c || to == 0) {
						if _, err := m.c.Write(p); err == nil {
							m.sent += len(p)
						}
					}
				}
				return nil
			},
		}}
		link := good
		if seed%2 == 0 {
			link = bad
		}
		s := newScene(t, seed, link, srv)
		got := make([]int, len(members))
		var clients sync.WaitGroup
		for i := range got {
			rng := rand.New(rand.NewPCG(s.rng.Uint64(), 0))
			clients.Go(func() {
				d := weirnet.Dialer{Group: s.clients}
				c, err := d.Dial("tcp", "10.0.0.1:80")
				if err != nil {
					return // it came too late
				}
				defer c.Close()
				if _, err := c.Write([]byte{byte(i)}); err != nil {
					return
				}
				clients.Go(func() {
					for range 20 {
						time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Millisecond))))
						if _, err := c.Write(bytes.Repeat([]byte{byte(i)}, 1+rng.IntN(2000))); err != nil {
							return
						}
					}
				})
				n, err := io.Copy(io.Discard, c)
				if err != nil { // the client has sent more after it had acknowledged all
					require.ErrorIs(t, err, unix.ECONNRESET, "client %d", i)
				}
				got[i] = int(n)
			})
		}
		time.Sleep(20*time.Millisecond + s.upTo(30*time.Millisecond))
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		require.NoError(t, srv.Shutdown(ctx))
		clients.Wait()
		for i, n := range got {
			want := 0
			if m := members[i]; m != nil {
				want = m.sent
			}
			require.Equal(t, want, n, fmt.Sprintf("client %d", i))
		}
		require.Zero(t, s.n.Host("10.0.0.1").Open())
	})
}

// The same with Handler: a goroutine for each connection that has something to do.
func TestServerHandler(t *testing.T) {
	seeds(t, 200, func(t *testing.T, seed uint64) {
		limits := server.Timeouts{Idle: time.Minute, Read: time.Second}
		srv := &server.Server{Timeouts: limits, Handler: func(x *server.Session) error {
			line, err := x.ReadLine()
			if err == nil {
				_, err = x.WriteString(line + "\n")
			}
			return err
		}}
		s := newScene(t, seed, good, srv)
		var clients sync.WaitGroup
		for i := range 4 {
			rng := rand.New(rand.NewPCG(s.rng.Uint64(), 0))
			clients.Go(func() {
				c := s.dial()
				defer c.Close()
				line := fmt.Sprintf("line %d\n", i)
				for range rng.IntN(5) {
					_, err := c.Write([]byte(line[:3]))
					require.NoError(t, err)
					time.Sleep(time.Duration(rng.Int64N(int64(900 * time.Millisecond))))
					_, err = c.Write([]byte(line[3:]))
					require.NoError(t, err)
					got := make([]byte, len(line))
					_, err = io.ReadFull(c, got)
					require.NoError(t, err)
					require.Equal(t, line, string(got))
				}
				begin, want := time.Now(), limits.Idle
				if rng.IntN(2) == 0 {
					_, err := c.Write([]byte("half"))
					require.NoError(t, err)
					want = limits.Read
				}
				_, err := c.Read(make([]byte, 1))
				require.Error(t, err)
				took := time.Since(begin)
				require.InDelta(t, want, took, float64(5*time.Millisecond))
			})
		}
		clients.Wait()
		require.NoError(t, srv.Shutdown(context.Background()))
	})
}
