package socket

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A task is an action of one goroutine on a socket that other goroutines use, too.
type task struct {
	name string
	do   func(s *Socket, to Addr) error
}

var tasks = []task{
	{"recv", func(s *Socket, _ Addr) error { _, err := s.Recv(make([]byte, 16), 0); return err }},
	{"read-line", func(s *Socket, _ Addr) error { _, err := s.ReadLine(); return err }},
	{"send", func(s *Socket, _ Addr) error { _, err := s.Send(make([]byte, 1<<14), 0); return err }},
	{"accept", func(s *Socket, _ Addr) error {
		a, err := s.Accept()
		if err == nil {
			a.Close()
		}
		return err
	}},
	{"connect", func(s *Socket, to Addr) error { return s.ConnectAddr(to) }},
	{"connect by name", func(s *Socket, to Addr) error { return s.Connect("localhost", fmt.Sprint(to.Port())) }},
	{"setsockopt", func(s *Socket, _ Addr) error {
		if err := s.SetRecvTimeout(time.Duration(rand.IntN(3)) * time.Millisecond); err != nil {
			return err
		}
		return s.Setsockopt(nil, "SO_RCVLOWAT", 1+rand.IntN(4))
	}},
	{"interrupt", func(s *Socket, _ Addr) error { s.Interrupt(); return nil }},
	{"poll", func(s *Socket, _ Addr) error {
		return s.control("poll", "", func(fd int) error {
			_, err := machine.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT}}, 0)
			return err
		})
	}},
	{"context", func(s *Socket, _ Addr) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_, err := s.WithContext(ctx).Recv(make([]byte, 16), 0)
		return err
	}},
	{"shutdown", func(s *Socket, _ Addr) error { return s.Shutdown(rand.IntN(3)) }},
	{"close", func(s *Socket, _ Addr) error { return s.Close() }},
}

// The test runs all pairs of calls many times, on sockets in every state. Then a Close
// ends all calls, and no descriptor stays open. Each error has an errno.
func TestPairsOfCalls(t *testing.T) {
	collectAll() // closes unreachable sockets of earlier tests
	before := descriptors(t)
	open := map[string]func(t *testing.T) (s, peer *Socket){
		"tcp":  tcpPair,
		"unix": func(t *testing.T) (s, peer *Socket) { return inputPair(t, Stream) },
		"listener": func(t *testing.T) (s, peer *Socket) {
			l := listening(t, Inet, 8)
			return l, connectedTo(t, l)
		},
		"unconnected":      func(t *testing.T) (s, peer *Socket) { return unconnected(t, Inet), unconnected(t, Inet) },
		"unconnected unix": func(t *testing.T) (s, peer *Socket) { return unconnected(t, Unix), unconnected(t, Unix) },
	}
	for kind, make := range open {
		t.Run(kind, func(t *testing.T) {
			to := fullListener(t, Inet).LocalAddr()
			toUnix := fullListener(t, Unix).LocalAddr()
			for i, one := range tasks {
				for _, other := range tasks[i:] {
					s, peer := make(t)
					target := to
					if s.Family() == Unix {
						target = toUnix
					}
					runPair(t, s, peer, target, one, other)
				}
			}
		})
	}
	require.Eventually(t, func() bool { return descriptors(t) <= before }, time.Minute, time.Millisecond)
}

func runPair(t *testing.T, s, peer *Socket, to Addr, pair ...task) {
	var all sync.WaitGroup
	var closed atomic.Bool
	for _, task := range append(pair, pair...) {
		all.Go(func() {
			for range 20 {
				wasClosed := closed.Load()
				err := task.do(s, to)
				if wasClosed && task.name != "interrupt" {
					assert.ErrorIs(t, err, unix.EBADF, "%s", task.name)
				}
				_, ok := err.(*Error)
				assert.True(t, err == nil || ok || err.Error() == "EOF", "%s: %v", task.name, err)
			}
		})
	}
	peer.Send([]byte("a line\n"), unix.MSG_DONTWAIT)
	for range 10 {
		runtime.Gosched()
	}
	s.Close()
	closed.Store(true)
	peer.Close()
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	soonClosed(t, done, pair)
}

func soonClosed(t *testing.T, done chan struct{}, pair []task) {
	select {
	case <-done:
	case <-time.After(time.Minute):
		buf := make([]byte, 1<<20)
		require.Fail(t, "a call hangs", "%s and %s\n%s", pair[0].name, pair[1].name, buf[:runtime.Stack(buf, true)])
	}
}

// Connections come and go under traffic, with every possible disturbance, for as long as
// the flag says. Each direction carries its own bytes in a known order. While only the
// reader takes bytes, none is lost, comes twice, or belongs to another connection.
func TestStress(t *testing.T) {
	collectAll()
	before := descriptors(t)
	end := time.Now().Add(*stressTime)
	var all sync.WaitGroup
	var bytes, conns atomic.Int64
	for w := range 6 {
		family := []Family{Inet, Unix}[w%2]
		l := listening(t, family, 64)
		all.Go(func() {
			for round := 0; time.Now().Before(end); round++ {
				client, err := New(family, Stream, 0)
				if !assert.NoError(t, err) || !assert.NoError(t, client.ConnectAddr(l.LocalAddr())) {
					return
				}
				server, err := l.Accept()
				if !assert.NoError(t, err) {
					return
				}
				conns.Add(1)
				bytes.Add(traffic(t, client, server, uint64(w)<<32|uint64(round)))
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(*stressTime + 20*time.Second):
		buf := make([]byte, 1<<20)
		require.Fail(t, "a call hangs", "%s", buf[:runtime.Stack(buf, true)])
	}
	t.Logf("%d connections, %d bytes", conns.Load(), bytes.Load())
	require.Positive(t, bytes.Load())
	require.Eventually(t, func() bool { return descriptors(t) <= before+6 }, time.Minute, time.Millisecond) // the listeners use 6
}

// traffic runs one connection and ends it in the middle of its traffic. It returns how
// many bytes arrived.
func traffic(t *testing.T, a, b *Socket, seed uint64) int64 {
	var all sync.WaitGroup
	var got atomic.Int64
	rng := rand.New(rand.NewPCG(seed, 1))
	tolerable := func(err error) bool { return isErrno(err, unix.EAGAIN) || isErrno(err, unix.EINTR) }
	one := func(from, to *Socket, tag byte) {
		all.Go(func() {
			next := tag
			for {
				buf := make([]byte, 1+rand.IntN(3000))
				for i := range buf {
					buf[i] = next + byte(i)
				}
				n, err := from.Send(buf, 0)
				next += byte(n)
				if err != nil && !tolerable(err) {
					return
				}
			}
		})
		all.Go(func() {
			next, buf := tag, make([]byte, 2000)
			for {
				flags := []int{0, 0, unix.MSG_WAITALL, unix.MSG_DONTWAIT}[rand.IntN(4)]
				n, err := to.Recv(buf[:1+rand.IntN(len(buf))], flags)
				for _, c := range buf[:n] {
					if c != next {
						assert.Equal(t, next, c, "a byte is lost, doubled or foreign")
						return
					}
					next++
				}
				got.Add(int64(n))
				if err != nil && !tolerable(err) {
					return
				}
			}
		})
	}
	one(a, b, byte(rng.Uint32()))
	one(b, a, byte(rng.Uint32()))
	for range rng.IntN(30) {
		s := []*Socket{a, b}[rng.IntN(2)]
		switch rng.IntN(5) {
		case 0:
			s.SetRecvTimeout(time.Duration(rng.IntN(3000)) * time.Microsecond)
		case 1:
			s.SetSendTimeout(time.Duration(rng.IntN(3000)) * time.Microsecond)
		case 2:
			s.Interrupt()
		case 3:
			s.Getsockopt(nil, "SO_TYPE")
		default:
			time.Sleep(time.Duration(rng.IntN(500)) * time.Microsecond) // lets the connection work
		}
	}
	if rng.IntN(3) == 0 {
		a.Shutdown(unix.SHUT_RDWR)
	}
	a.Close()
	b.Close()
	all.Wait()
	return got.Load()
}
