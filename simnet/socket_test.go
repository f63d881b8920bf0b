package simnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/simnet"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// latest is how late a timeout may be: a tick of the wheel, and some events of a nanosecond.
const latest = 100*time.Microsecond + time.Microsecond

// checkAt fails the test unless a time has come exactly, as exactly as timeouts are.
func checkAt(t *testing.T, want, got time.Duration, what string) {
	if got < want || got > want+latest {
		t.Errorf("%s after %v, and not after %v", what, got, want)
	}
}

// A place makes sockets of one test.
type place struct {
	t   *testing.T
	n   *simnet.Network
	rng *rand.Rand
	a   *loop.Group // on 10.0.0.1
	b   *loop.Group // on 10.0.0.2
}

func newPlace(t *testing.T, seed uint64) *place {
	p := &place{t: t, rng: rand.New(rand.NewPCG(seed, 99))}
	p.n = simnet.New(t, simnet.Options{Seed: seed, Link: simnet.Link{Latency: p.upTo(2 * time.Millisecond), Jitter: time.Millisecond}})
	p.a = p.n.Host("10.0.0.1").Group(1 + p.rng.IntN(2))
	p.b = p.n.Host("10.0.0.2").Group(1)
	return p
}

func (p *place) upTo(d time.Duration) time.Duration { return 1 + time.Duration(p.rng.Int64N(int64(d))) }

func (p *place) listen() *socket.Socket {
	l, err := socket.Config{Group: p.a, Port: 80}.New(socket.Inet, socket.Stream, 0)
	require.NoError(p.t, err)
	require.NoError(p.t, l.Listen(100))
	return l
}

// connection makes a connection. Its first end is on 10.0.0.1.
func (p *place) connection(l *socket.Socket) (a, b *socket.Socket) {
	b, err := socket.Config{Group: p.b}.New(socket.Inet, socket.Stream, 0)
	require.NoError(p.t, err)
	require.NoError(p.t, b.Connect("10.0.0.1", "80"))
	a, err = l.Accept()
	require.NoError(p.t, err)
	return a, b
}

// SO_RCVTIMEO and SO_SNDTIMEO end calls exactly at their time.
func TestSocketTimeouts(t *testing.T) {
	seeds(t, 100, func(t *testing.T, seed uint64) {
		p := newPlace(t, seed)
		l := p.listen()
		var calls sync.WaitGroup
		limit := func() time.Duration { return p.upTo(time.Duration(1) << (10 + p.rng.IntN(30))) }
		// timed has call wait. The call must fail when d has passed.
		timed := func(what string, d time.Duration, want syscall.Errno, call func() error) {
			calls.Go(func() {
				begin := time.Now()
				err := call()
				checkAt(t, d, time.Since(begin), fmt.Sprintf("%s of %v", what, d))
				require.ErrorIs(t, err, want, what)
			})
		}
		for range 1 + p.rng.IntN(4) {
			a, b := p.connection(l)
			d := limit()
			require.NoError(t, b.SetRecvTimeout(d))
			timed("recv", d, unix.EAGAIN, func() error { _, err := b.Recv(make([]byte, 9), 0); return err })
			e := limit()
			require.NoError(t, b.SetSendTimeout(e))
			require.NoError(t, a.SetSendTimeout(e))
			for n := 1; n > 0; time.Sleep(10 * time.Millisecond) { // until all buffers are full
				n, _ = b.Send(make([]byte, 1<<20), unix.MSG_DONTWAIT)
			}
			timed("send", e, unix.EAGAIN, func() error { _, err := b.Send([]byte{0}, 0); return err })
		}
		calls.Wait()

		d := limit()
		require.NoError(t, l.SetRecvTimeout(d))
		timed("accept", d, unix.EAGAIN, func() error { _, err := l.Accept(); return err })
		p.n.Cut("10.0.0.1", "10.0.0.2")
		c, err := socket.Config{Group: p.b}.New(socket.Inet, socket.Stream, 0)
		require.NoError(t, err)
		d = p.upTo(100 * time.Second) // the kernel gives up after 127 s
		require.NoError(t, c.SetSendTimeout(d))
		timed("connect", d, unix.EINPROGRESS, func() error { return c.Connect("10.0.0.1", "80") })
		calls.Wait()
	})
}

// Several goroutines receive from one connection, with deadlines, contexts and interruptions.
// Nothing is lost, no call ends early or late, and none hangs.
func TestReaders(t *testing.T) {
	seeds(t, 2000, func(t *testing.T, seed uint64) {
		p := newPlace(t, seed)
		l := p.listen()
		a, b := p.connection(l)
		size, most, piece := 20_000, 3000, 4000
		if p.rng.IntN(2) == 0 { // full reads, after which a call tries before it waits
			size, most, piece = 200, 1, 2
		}
		closes := p.rng.IntN(4) == 0
		limit := time.Duration(0)
		if p.rng.IntN(3) == 0 {
			limit = p.upTo(5 * time.Millisecond)
			require.NoError(t, a.SetRecvTimeout(limit))
		}
		var mu sync.Mutex
		got, ends := 0, 0
		var interrupted, closed time.Time // when that was last done
		var deadline, set time.Time       // SetReadDeadline, and when it was called
		var expired time.Time             // when a deadline was replaced that had passed
		deadlines := p.rng.IntN(2) == 0   // without any, a call waits in a shorter way
		// meddle ends or bounds the calls in progress.
		meddle := func(how int, d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			if !deadlines {
				if how == 0 {
					interrupted = time.Now()
					a.Interrupt()
				}
				return
			}
			set = time.Now()
			if !deadline.IsZero() && !deadline.After(set) {
				expired = set
			}
			switch how {
			case 0:
				interrupted = set
				a.Interrupt()
			case 1:
				deadline = set.Add(d)
			case 2:
				deadline = time.Time{}
			}
			if err := a.SetReadDeadline(deadline); err != nil && closed.IsZero() {
				t.Errorf("set read deadline: %v", err)
			}
		}
		shut := func() {
			mu.Lock()
			defer mu.Unlock()
			if closed.IsZero() {
				closed = time.Now()
				require.NoError(t, a.Close())
			}
		}
		var readers, others sync.WaitGroup
		for range 1 + p.rng.IntN(3) {
			rng := rand.New(rand.NewPCG(p.rng.Uint64(), 0))
			readers.Go(func() {
				buf := make([]byte, 1+rng.IntN(most))
				for {
					s, end := a, time.Time{}
					cancel := func() {}
					if rng.IntN(2) == 0 {
						ctx, stop := context.WithTimeout(context.Background(), time.Duration(1+rng.Int64N(int64(3*time.Millisecond))))
						end, _ = ctx.Deadline()
						s, cancel = a.WithContext(ctx), stop
					}
					if meddles := rng.IntN(12); meddles < 3 { // while this call begins
						d := time.Duration(rng.IntN(3)-1) * time.Millisecond
						readers.Go(func() { meddle(meddles, d) })
					} else if meddles == 3 && closes && rng.IntN(5) == 0 {
						readers.Go(shut)
					}
					begin := time.Now()
					n, err := s.Recv(buf, 0)
					now := time.Now()
					cancel()
					mu.Lock()
					got += n
					if err == io.EOF {
						ends++
					}
					if !deadline.IsZero() && now.Sub(deadline) > latest && now.Sub(set) > latest && now.Sub(begin) > latest {
						t.Errorf("recv of %v: the deadline was %v ago", now.Sub(begin), now.Sub(deadline))
					}
					if limit > 0 && now.Sub(begin) > limit+latest {
						t.Errorf("recv of %v: the timeout is %v", now.Sub(begin), limit)
					}
					if err == nil && !deadline.IsZero() && deadline.Before(begin) && set.Before(begin) {
						t.Errorf("recv has found %d bytes %v after the deadline", n, begin.Sub(deadline))
					}
					switch {
					case err == nil, err == io.EOF:
					case errors.Is(err, context.DeadlineExceeded):
						checkAt(t, 0, now.Sub(end), "context")
					case errors.Is(err, unix.EINTR):
						checkAt(t, 0, now.Sub(interrupted), "Interrupt")
					case errors.Is(err, unix.EAGAIN):
						if (deadline.IsZero() || now.Before(deadline)) && expired.Before(begin) && (limit == 0 || now.Sub(begin) < limit) {
							t.Errorf("recv: %v before the deadline", err)
						}
					case closes && errors.Is(err, unix.EBADF):
						if now.Sub(closed) > latest && now.Sub(begin) > latest {
							t.Errorf("recv ends %v after Close", now.Sub(closed))
						}
					default:
						t.Errorf("recv: %v", err)
						mu.Unlock()
						return
					}
					mu.Unlock()
					switch {
					case err == io.EOF, errors.Is(err, unix.EBADF):
						return
					case errors.Is(err, unix.EAGAIN):
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		others.Go(func() {
			for left := size; left > 0; {
				n, err := b.Send(make([]byte, min(left, 1+p.rng.IntN(piece))), 0)
				if err != nil && closes {
					break
				}
				require.NoError(t, err)
				left -= n
				if p.rng.IntN(2) == 0 {
					time.Sleep(p.upTo(3 * time.Millisecond))
				}
			}
			for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) { // the end would wake all readers
				mu.Lock()
				all := got == size || !closed.IsZero()
				mu.Unlock()
				if all {
					break
				}
				if time.Since(begin) > time.Minute {
					t.Error("something sent was not received")
					break
				}
			}
			b.Close()
		})
		rng := rand.New(rand.NewPCG(seed, 3))
		others.Go(func() {
			for range rng.IntN(20) {
				time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Millisecond))))
				meddle(rng.IntN(3), time.Duration(rng.Int64N(int64(2*time.Millisecond))))
			}
			meddle(2, 0)
			if closes {
				shut()
			}
		})
		others.Wait()
		over := make(chan struct{})
		go func() { readers.Wait(); close(over) }()
		select {
		case <-over:
		case <-time.After(time.Minute):
			require.FailNow(t, "a reader hangs")
		}
		if !closes {
			require.Equal(t, size, got)
			require.Positive(t, ends)
		}
	})
}

// Several goroutines send on one connection whose buffers are full most of the time.
func TestWriters(t *testing.T) {
	seeds(t, 200, func(t *testing.T, seed uint64) {
		p := newPlace(t, seed)
		b, a := p.connection(p.listen()) // b waits for input before it waits for room
		require.NoError(t, b.Setsockopt("SOL_SOCKET", "SO_SNDBUF", 4000))
		require.NoError(t, a.Setsockopt("SOL_SOCKET", "SO_RCVBUF", 4000))
		var writers, reader sync.WaitGroup
		if p.rng.IntN(2) == 0 { // the loop watches b for input, too
			reader.Go(func() {
				_, err := b.Recv(make([]byte, 1), 0)
				require.ErrorIs(t, err, unix.EBADF)
			})
			time.Sleep(time.Millisecond)
		}
		sent := 0
		var mu sync.Mutex
		for range 1 + p.rng.IntN(3) {
			rng := rand.New(rand.NewPCG(p.rng.Uint64(), 0))
			writers.Go(func() {
				for range 5 {
					s, cancel := b, func() {}
					if rng.IntN(3) == 0 {
						ctx, stop := context.WithTimeout(context.Background(), time.Duration(1+rng.Int64N(int64(3*time.Millisecond))))
						s, cancel = b.WithContext(ctx), stop
					}
					n, err := s.Send(make([]byte, 1+rng.IntN(20_000)), 0)
					cancel()
					mu.Lock()
					sent += n
					mu.Unlock()
					if err != nil {
						require.ErrorIs(t, err, unix.EINTR)
					}
				}
			})
		}
		go func() { writers.Wait(); b.Close() }()
		total, buf := 0, make([]byte, 1+p.rng.IntN(5000))
		require.NoError(t, a.SetRecvTimeout(time.Minute))
		for {
			n, err := a.Recv(buf, 0)
			total += n
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			if p.rng.IntN(4) == 0 {
				time.Sleep(p.upTo(5 * time.Millisecond))
			}
		}
		require.Equal(t, sent, total)
		reader.Wait()
	})
}
