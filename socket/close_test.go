package socket

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func requireClosed(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, unix.EBADF)
	require.ErrorIs(t, err, net.ErrClosed)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.False(t, e.Timeout())
}

func TestCloseWakesEveryBlockedCall(t *testing.T) {
	for _, b := range blockedCalls() {
		t.Run(b.name, func(t *testing.T) {
			s, call, _ := b.begin(t)
			first := b.start(t, s, call)
			queued := b.start(t, s, call)
			require.NoError(t, s.Close())
			requireClosed(t, soon(t, first))
			requireClosed(t, soon(t, queued))
			require.Equal(t, -1, s.Fd())
			requireClosed(t, call(s))
			requireClosed(t, s.Close())
		})
	}
}

// Closing a loop closes its sockets.
func TestLoopCloseIsAClose(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	l := listening(t, Unix, 1, Config{Group: g})
	accepting := blocked(t, "Accept", func() error { _, err := l.Accept(); return err })
	client := connectedTo(t, listening(t, Inet, 1, Config{Group: g})) // on the default group
	require.NoError(t, g.Close())
	requireClosed(t, soon(t, accepting))
	_, err = Config{Group: g}.New(Inet, Stream, 0)
	requireClosed(t, err)
	_, err = client.Recv(make([]byte, 1), 0)
	require.Error(t, err, "its listener went")
}

// If a call has transferred data before the close, it returns the count. close(2) waits
// as SO_LINGER says, even on a non-blocking descriptor. Close waits for it. Neither the
// end of a loop nor the garbage collector waits.
func TestCloseAndLinger(t *testing.T) {
	// stuffed returns a socket that has sent more than its peer takes.
	stuffed := func(t *testing.T, seconds int, cfg ...Config) *Socket {
		l, err := Config{Address: "127.0.0.1"}.New(Inet, Stream, 0)
		require.NoError(t, err)
		defer l.Close()
		require.NoError(t, l.Listen(1))
		s := open(t, Inet, Stream, cfg...)
		require.NoError(t, s.ConnectAddr(l.LocalAddr()))
		peer, err := l.Accept()
		require.NoError(t, err)
		t.Cleanup(func() { peer.Close() }) // this resets the connection and ends the linger
		for err == nil {
			_, err = s.Send(make([]byte, 64<<10), unix.MSG_DONTWAIT)
		}
		require.ErrorIs(t, err, unix.EAGAIN)
		require.NoError(t, s.Setsockopt(nil, "SO_LINGER", []int{1, seconds}))
		return s
	}
	const long = 60 // seconds
	begin := time.Now()
	t.Run("abandon", func(t *testing.T) {
		require.NoError(t, stuffed(t, long).core.reg.Abandon())
	})
	t.Run("the loop", func(t *testing.T) {
		group, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
		require.NoError(t, err)
		for range 3 {
			stuffed(t, long, Config{Group: group})
		}
		require.NoError(t, group.Close())
	})
	require.Less(t, time.Since(begin), long*time.Second/2)
	t.Run("close", func(t *testing.T) {
		s := stuffed(t, 1)
		begin := time.Now()
		require.NoError(t, s.Close())
		require.GreaterOrEqual(t, time.Since(begin), 900*time.Millisecond)
	})
}

func TestCloseLeavesTheCount(t *testing.T) {
	for _, end := range []struct {
		name string
		now  func(*Socket)
		err  error
	}{
		{"close", func(s *Socket) { s.Close() }, unix.EBADF},
		{"interrupt", (*Socket).Interrupt, unix.EINTR},
	} {
		t.Run(end.name, func(t *testing.T) {
			s, peer := inputPair(t, Stream)
			counts := make(chan int, 1)
			sending := blocked(t, "Send", func() error {
				n, err := s.Send(make([]byte, 1<<22), 0)
				counts <- n
				return err
			})
			end.now(s)
			require.NoError(t, soon(t, sending))
			sent := <-counts
			require.Equal(t, sent, drainAll(t, peer))
			require.Positive(t, sent)

			other := peer
			if end.name == "close" {
				s, other = inputPair(t, Stream)
			}
			writing := blocked(t, "Write", func() error {
				n, err := s.Write(make([]byte, 1<<22))
				counts <- n
				return err
			})
			end.now(s)
			require.ErrorIs(t, soon(t, writing), end.err, "a Write that is not whole says why")
			require.Equal(t, <-counts, drainAll(t, other))

			if end.name == "close" {
				s, other = inputPair(t, Stream)
			}
			put(t, other, "part")
			buf := make([]byte, 8)
			receiving := blocked(t, "Recv", func() error {
				n, err := s.Recv(buf, unix.MSG_WAITALL)
				counts <- n
				return err
			})
			end.now(s)
			require.NoError(t, soon(t, receiving))
			require.Equal(t, "part", string(buf[:<-counts]))
		})
	}
}

// While any call uses a descriptor, no other file gets its number.
func TestDescriptorIsGivenBackAfterTheLastCall(t *testing.T) {
	s, peer := inputPair(t, Stream)
	fd, inside, leave := s.Fd(), make(chan struct{}), make(chan struct{})
	result := make(chan error)
	go func() {
		result <- s.control("test", "", func(int) error {
			close(inside)
			<-leave
			return nil
		})
	}()
	<-inside
	require.NoError(t, s.Close())
	require.Equal(t, -1, s.Fd())
	_, err := unix.Write(fd, []byte("still mine"))
	require.NoError(t, err)
	close(leave)
	require.NoError(t, <-result)
	text, err := peer.ReadString()
	require.NoError(t, err)
	require.Equal(t, "still mine", text)
	_, err = peer.ReadString()
	require.ErrorContains(t, err, "EOF", "it is closed now")
}

// Goroutines close sockets under traffic and make others at once, which get the same
// descriptor numbers. Each socket carries a byte of its own, so a call on a wrong
// descriptor would send or find a wrong byte. The process also has descriptors that
// belong to no socket, and no call may touch them.
func TestNoCallTouchesAForeignDescriptor(t *testing.T) {
	const rounds, sockets = 150, 4
	type tagged struct {
		*Socket
		tag byte
	}
	var slots [sockets]atomic.Pointer[tagged]
	var all sync.WaitGroup
	done := make(chan struct{})
	over := func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
	check := func(s *Socket, tag byte, buf []byte) bool {
		n, err := s.Recv(buf, 0)
		for _, b := range buf[:n] {
			if !assert.Equal(t, tag, b, "another socket's data") {
				break
			}
		}
		return err == nil
	}
	room := make(chan struct{}, 4*sockets) // bounds how many peers have not seen their end yet
	open := func(i, round int) {
		room <- struct{}{}
		a, b, err := Pair(Unix, Stream, 0)
		require.NoError(t, err)
		tag := byte(1 + (round*sockets+i)%250)
		all.Go(func() {
			defer func() { assert.NoError(t, b.Close()); <-room }()
			buf := make([]byte, 64)
			for {
				if _, err := b.Send([]byte{tag, tag, tag}, 0); err != nil || !check(b, tag, buf) {
					return
				}
			}
		})
		if old := slots[i].Swap(&tagged{a, tag}); old != nil {
			assert.NoError(t, old.Close())
		}
	}
	for i := range sockets {
		open(i, 0)
	}
	for i := range 2 * sockets {
		all.Go(func() {
			buf := make([]byte, 64)
			for !over() {
				s := slots[i/2].Load()
				s.Send([]byte{s.tag}, 0)
				check(s.Socket, s.tag, buf)
			}
		})
	}
	for round := range rounds {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		require.NoError(t, err)
		for i := range sockets {
			open(i, round+1)
		}
		_, err = unix.Write(fds[0], []byte{0})
		require.NoError(t, err)
		buf := make([]byte, 8)
		n, err := unix.Read(fds[1], buf)
		require.NoError(t, err, "a call of a socket has read it")
		require.Equal(t, []byte{0}, buf[:n], "a call of a socket has written")
		unix.Close(fds[0])
		unix.Close(fds[1])
	}
	close(done)
	for i := range slots {
		require.NoError(t, slots[i].Load().Close())
	}
	all.Wait()
}

// Every descriptor of a new socket is close-on-exec and non-blocking.
func TestDescriptorFlags(t *testing.T) {
	a, b := tcpPair(t)
	c, d := inputPair(t, Stream)
	for _, s := range []*Socket{a, b, c, d} {
		flags, err := unix.FcntlInt(uintptr(s.Fd()), unix.F_GETFD, 0)
		require.NoError(t, err)
		require.NotZero(t, flags&unix.FD_CLOEXEC)
		flags, err = unix.FcntlInt(uintptr(s.Fd()), unix.F_GETFL, 0)
		require.NoError(t, err)
		require.NotZero(t, flags&unix.O_NONBLOCK)
	}
}

// Interrupt, Close and the end of a context come at the same time during one call. The
// call ends once, for one of the reasons.
func TestEndsCollide(t *testing.T) {
	for range 200 {
		s, peer := inputPair(t, Stream)
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error, 2)
		for range 2 {
			go func() { _, err := s.WithContext(ctx).Recv(make([]byte, 1), 0); result <- err }()
		}
		var all sync.WaitGroup
		for _, end := range []func(){cancel, s.Interrupt, func() { s.Close() }, func() { peer.Send([]byte{1}, 0) }} {
			all.Go(end)
		}
		all.Wait()
		for range 2 {
			if err := soon(t, result); err != nil {
				require.True(t, isErrno(err, unix.EINTR) || isErrno(err, unix.EBADF), "%v", err)
			}
		}
		peer.Close()
	}
}

// A closed socket returns the error for that, even if another error is still pending.
func TestClosedSocketOwesNothing(t *testing.T) {
	for method, call := range map[string]func(*Socket) error{
		"Recv":    func(s *Socket) error { _, err := s.Recv(make([]byte, 1), 0); return err },
		"Send":    func(s *Socket) error { _, err := s.Send([]byte{1}, 0); return err },
		"RecvMsg": func(s *Socket) error { _, err := s.RecvMsg(room(1), 0); return err },
		"SendMsg": func(s *Socket) error { _, err := s.SendMsg(room(1), 0); return err },
	} {
		s, peer := tcpInputPair(t)
		put(t, peer, "part of a line")
		_, err := s.Peek(len("part of a line"))
		require.NoError(t, err)
		require.NoError(t, peer.Setsockopt(nil, "SO_LINGER", []int{1, 0}))
		require.NoError(t, peer.Close())
		_, err = s.ReadLine() // the next call returns the reset
		require.NoError(t, err)
		require.NoError(t, s.Close())
		err = call(s)
		require.ErrorIs(t, err, unix.EBADF, method)
		requireClosed(t, err)
	}
}
