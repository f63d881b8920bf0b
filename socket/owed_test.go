package socket

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// receives and sends are the calls that report an error which an earlier call had no way
// to report. Each returns its count.
var receives = map[string]func(*Socket) (int, error){
	"Recv":            func(s *Socket) (int, error) { return s.Recv(make([]byte, 8), 0) },
	"Recv, peek":      func(s *Socket) (int, error) { return s.Recv(make([]byte, 8), unix.MSG_PEEK) },
	"Recv at once":    func(s *Socket) (int, error) { return s.Recv(make([]byte, 8), unix.MSG_DONTWAIT) },
	"Recv all":        func(s *Socket) (int, error) { return s.Recv(make([]byte, 1), unix.MSG_WAITALL) },
	"RecvFrom":        func(s *Socket) (int, error) { n, _, err := s.RecvFrom(make([]byte, 8), 0); return n, err },
	"RecvMsg":         func(s *Socket) (int, error) { return s.RecvMsg(room(8), 0) },
	"RecvMsg at once": func(s *Socket) (int, error) { return s.RecvMsg(room(8), unix.MSG_DONTWAIT) },
	"Read":            func(s *Socket) (int, error) { return s.Read(make([]byte, 8)) },
	"Fread":           func(s *Socket) (int, error) { return s.Fread(make([]byte, 1)) },
	"ReadRune":        func(s *Socket) (int, error) { _, n, err := s.ReadRune(); return n, err },
	"Peek":            func(s *Socket) (int, error) { b, err := s.Peek(1); return len(b), err },
	"RecvBatch":       func(s *Socket) (int, error) { return s.RecvBatch(batchOf(1, 8), 0) },
	"RecvBatch quick": func(s *Socket) (int, error) { return s.RecvBatch(batchOf(1, 8), unix.MSG_DONTWAIT) },
}

var sends = map[string]func(*Socket) (int, error){
	"Send":            func(s *Socket) (int, error) { return s.Send([]byte("x"), 0) },
	"Send at once":    func(s *Socket) (int, error) { return s.Send([]byte("x"), unix.MSG_DONTWAIT) },
	"SendToAddr":      func(s *Socket) (int, error) { return s.SendToAddr([]byte("x"), s.RemoteAddr(), 0) },
	"SendTo":          func(s *Socket) (int, error) { return s.SendTo([]byte("x"), "localhost", "9", 0) },
	"SendMsg":         func(s *Socket) (int, error) { return s.SendMsg(&Message{Buffers: [][]byte{{1}}}, 0) },
	"SendMsg at once": func(s *Socket) (int, error) { return s.SendMsg(&Message{Buffers: [][]byte{{1}}}, unix.MSG_DONTWAIT) },
	"SendBatch":       func(s *Socket) (int, error) { return s.SendBatch([]Message{{Buffers: [][]byte{{1}}}}, 0) },
	"Write":           func(s *Socket) (int, error) { return s.Write([]byte("x")) },
	"Fwrite":          func(s *Socket) (int, error) { return s.Fwrite([]byte("x")) },
	"WriteString":     func(s *Socket) (int, error) { return s.WriteString("x") },
	"WriteRune":       func(s *Socket) (int, error) { return s.WriteRune('x') },
}

// The next call reports an error that is owed, once, and transfers nothing.
func TestOwedErrorIsReportedOnce(t *testing.T) {
	for _, calls := range []map[string]func(*Socket) (int, error){receives, sends} {
		for name, call := range calls {
			t.Run(name, func(t *testing.T) {
				s, peer := tcpPair(t)
				s.core.owed.Store(uint32(unix.ECONNRESET))
				n, err := call(s)
				require.ErrorIs(t, err, unix.ECONNRESET)
				require.Zero(t, n)
				require.Zero(t, s.core.owed.Load())
				require.Zero(t, queued(peer.Fd()))
				put(t, peer, "x")
				require.Eventually(t, func() bool { return queued(s.Fd()) == 1 }, time.Minute, time.Millisecond)
				n, err = call(s)
				require.NoError(t, err)
				require.Equal(t, 1, n)
			})
		}
	}
}

// The bytes that a stream has come before an error that is owed to a receiver. A sender
// learns of it at once.
func TestInputComesBeforeAnOwedError(t *testing.T) {
	for name, call := range receives {
		t.Run(name, func(t *testing.T) {
			s, peer := tcpPair(t)
			put(t, peer, "x")
			require.Eventually(t, func() bool { return queued(s.Fd()) == 1 }, time.Minute, time.Millisecond)
			s.core.owed.Store(uint32(unix.ECONNRESET))
			n, err := call(s)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.NotZero(t, s.core.owed.Load())
			n, err = s.Send([]byte("y"), 0)
			require.ErrorIs(t, err, unix.ECONNRESET)
			require.Zero(t, n)
		})
	}
}

// A call that does not have the turn reports an owed error at once, and one that gets the
// turn looks again.
func TestOwedErrorDoesNotWaitForTheTurn(t *testing.T) {
	s, peer := inputPair(t, Dgram)
	first := blocked(t, "Recv", func() error { _, err := s.Recv(make([]byte, 8), 0); return err })
	s.core.owed.Store(uint32(unix.ECONNRESET))
	n, err := s.Recv(make([]byte, 8), 0)
	require.ErrorIs(t, err, unix.ECONNRESET)
	require.Zero(t, n)
	put(t, peer, "x")
	require.NoError(t, soon(t, first))

	turn := s.core.past(0, true)
	require.True(t, turn.after)
	done, err := turn.first()
	require.NoError(t, err)
	require.False(t, done)
	s.core.owed.Store(uint32(unix.ECONNRESET))
	_, err = turn.first()
	require.ErrorIs(t, err, unix.ECONNRESET)
	require.False(t, s.core.past(0, false).after)
}

// Calls that fail return no count, whatever keeps them from running.
func TestFailedCallsCountNothing(t *testing.T) {
	for _, calls := range []map[string]func(*Socket) (int, error){receives, sends} {
		for name, call := range calls {
			s, _ := tcpPair(t)
			require.NoError(t, s.Close())
			n, err := call(s)
			require.ErrorIs(t, err, unix.EBADF, name)
			require.Zero(t, n, name)
		}
	}
	for name, call := range receives {
		s, _ := tcpPair(t)
		require.NoError(t, s.SetRecvTimeout(time.Microsecond))
		n, err := call(s)
		require.ErrorIs(t, err, unix.EAGAIN, name)
		require.Zero(t, n, name)
	}
	s, _ := tcpPair(t)
	for name, call := range map[string]func() (int, error){
		"recv nil": func() (int, error) { return s.Recv(nil, 0) },
		"send nil": func() (int, error) { return s.Send(nil, 0) },
		"to nil":   func() (int, error) { return s.SendToAddr(nil, s.RemoteAddr(), 0) },
		"nowhere":  func() (int, error) { return s.SendToAddr([]byte("x"), Addr{}, 0) },
		"name nil": func() (int, error) { return s.SendTo(nil, "localhost", "9", 0) },
		"no name":  func() (int, error) { return s.SendTo([]byte("x"), "nowhere.invalid.", "9", 0) },
		"no rune":  func() (int, error) { return s.WriteRune(0xD800) },
	} {
		n, err := call()
		require.Error(t, err, name)
		require.Zero(t, n, name)
	}
}
