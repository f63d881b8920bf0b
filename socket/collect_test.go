package socket

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// collectAll runs the collector until it has freed all unreachable sockets and their
// cleanups have run.
func collectAll() {
	for range 3 {
		done := make(chan struct{})
		marker := new([64]byte)
		runtime.AddCleanup(marker, func(c chan struct{}) { close(c) }, done)
		marker = nil
		for collected := false; !collected; {
			runtime.GC()
			select {
			case <-done:
				collected = true
			case <-time.After(time.Millisecond):
			}
		}
	}
}

// gone waits until the peer reads the end of the stream.
func gone(t *testing.T, peer *Socket) {
	t.Helper()
	require.NoError(t, peer.SetRecvTimeout(time.Millisecond))
	require.Eventually(t, func() bool {
		runtime.GC()
		_, err := peer.Recv(make([]byte, 1<<21), 0) // reads everything that the socket sent before
		return err == io.EOF
	}, time.Minute, time.Millisecond)
}

// half makes a pair, does something with one socket, and drops its reference to that
// socket.
//
//go:noinline
func half(t *testing.T, use func(forgotten *Socket)) (peer *Socket) {
	s, peer, err := Pair(Unix, Stream, 0)
	require.NoError(t, err)
	t.Cleanup(func() { peer.Close() })
	use(s)
	return peer
}

// The collector closes an unreachable socket, whatever the program has done with it.
func TestForgottenSocketIsClosed(t *testing.T) {
	for name, use := range map[string]func(*Socket){
		"untouched": func(*Socket) {},
		"after a wait": func(s *Socket) {
			s.SetRecvTimeout(time.Millisecond)
			s.Recv(make([]byte, 1), 0)
		},
		"after a long timeout": func(s *Socket) {
			s.SetRecvTimeout(time.Hour) // the timer stays in the wheel
			waiting := make(chan struct{})
			go func() { s.Recv(make([]byte, 1), 0); close(waiting) }()
			for sleepers("Recv") == 0 {
				runtime.Gosched()
			}
			s.Interrupt()
			<-waiting
		},
		"with buffered input": func(s *Socket) { s.core.needInput() },
		"a view too":          func(s *Socket) { s.WithContext(context.Background()).Send([]byte{}, 0) },
		"after a look at its descriptor": func(s *Socket) {
			s.Fd()
			s.LocalAddr()
		},
	} {
		t.Run(name, func(t *testing.T) { gone(t, half(t, use)) })
	}
	t.Run("a listener and what it accepted", func(t *testing.T) {
		before := descriptors(t)
		var client *Socket
		func() {
			l, err := Config{Address: "127.0.0.1"}.New(Inet, Stream, 0)
			require.NoError(t, err)
			require.NoError(t, l.Listen(1))
			client = connectedTo(t, l)
			_, err = l.Accept()
			require.NoError(t, err)
		}()
		gone(t, client)
		require.NoError(t, client.Close())
		require.Eventually(t, func() bool { runtime.GC(); return descriptors(t) <= before }, time.Minute, time.Millisecond)
	})
}

// The cleanup of a closed socket still runs. It does not close another socket.
func TestForgottenAfterClose(t *testing.T) {
	half(t, func(s *Socket) { s.Close() })
	a, b := inputPair(t, Stream) // probably with the same descriptor numbers
	collectAll()
	put(t, a, "x")
	requireRune(t, b, 'x')
}

// Only the blocked call has a reference to the socket.
func TestBlockedSocketIsNotCollected(t *testing.T) {
	for name, c := range map[string]struct {
		call func(*Socket) error
		end  func(t *testing.T, peer *Socket)
	}{
		"Recv":     {func(s *Socket) error { _, err := s.Recv(make([]byte, 1), 0); return err }, func(t *testing.T, peer *Socket) { put(t, peer, "x") }},
		"ReadLine": {func(s *Socket) error { _, err := s.ReadLine(); return err }, func(t *testing.T, peer *Socket) { put(t, peer, "x\n") }},
		"Fread":    {func(s *Socket) error { _, err := s.Fread(make([]byte, 1)); return err }, func(t *testing.T, peer *Socket) { put(t, peer, "x\n") }},
		"Send":     {func(s *Socket) error { _, err := s.Send(make([]byte, 1<<20), 0); return err }, nil},
		"Write":    {func(s *Socket) error { _, err := s.Write(make([]byte, 1<<20)); return err }, nil},
		"waitTurn": {func(s *Socket) error {
			return s.wait(loop.Read, loop.Forever, func(fd int) (bool, unix.Errno) {
				_, errno := sys.Recvfrom(fd, make([]byte, 1), 0, nil)
				return true, errno
			})
		}, func(t *testing.T, peer *Socket) { put(t, peer, "x") }},
	} {
		t.Run(name, func(t *testing.T) {
			var result chan error
			peer := half(t, func(s *Socket) { result = blockedOnly(t, name, s, c.call) })
			collectAll()
			require.Empty(t, result)
			if c.end != nil {
				c.end(t, peer)
			}
			for range 1000 {
				if len(result) > 0 {
					break
				}
				drainAll(t, peer)
				time.Sleep(time.Millisecond) // until the sender has sent more
			}
			require.NoError(t, soon(t, result))
			gone(t, peer)
		})
	}
	t.Run("Accept", func(t *testing.T) {
		var result chan error
		var to Addr
		func() {
			l, err := Config{Filename: fmt.Sprintf("@weir-collected-%d", os.Getpid())}.New(Unix, Stream, 0)
			require.NoError(t, err)
			require.NoError(t, l.Listen(1))
			to = l.LocalAddr()
			result = blockedOnly(t, "Accept", l, func(s *Socket) error { _, err := s.Accept(); return err })
		}()
		collectAll()
		require.NoError(t, unconnected(t, Unix).ConnectAddr(to))
		require.NoError(t, soon(t, result))
	})
	t.Run("ConnectAddr", func(t *testing.T) {
		l := fullListener(t, Unix)
		to := l.LocalAddr()
		var result chan error
		func() {
			s, err := New(Unix, Stream, 0)
			require.NoError(t, err)
			result = blockedOnly(t, "ConnectAddr", s, func(s *Socket) error { return s.ConnectAddr(to) })
		}()
		collectAll()
		first, err := l.Accept()
		require.NoError(t, err)
		defer first.Close()
		require.NoError(t, soon(t, result))
	})
}

// blockedOnly starts a call. Then only the call has a reference to s.
//
//go:noinline
func blockedOnly(t *testing.T, method string, s *Socket, call func(*Socket) error) chan error {
	result := make(chan error, 1)
	before := sleepers(method)
	go onlyCall(s, call, result)
	require.Eventually(t, func() bool { return sleepers(method) > before }, time.Minute, time.Millisecond)
	return result
}

//go:noinline
func onlyCall(s *Socket, call func(*Socket) error, result chan<- error) {
	err := call(s)
	result <- err
}

// A view keeps its socket open, as a reference to the socket does.
func TestViewKeepsTheSocketOpen(t *testing.T) {
	var view *Socket
	peer := half(t, func(s *Socket) { view = s.WithContext(context.Background()).WithContext(context.Background()) })
	collectAll()
	put(t, view, "x")
	requireRune(t, peer, 'x')
	runtime.KeepAlive(view)
	view = nil
	gone(t, peer)
}
