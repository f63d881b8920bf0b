package socket

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/rate"
	"github.com/seed-2334f180/weir/internal/sockethook"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// paced gives the reading or the writing of s a rate, with a burst of four bytes. Its clock
// stands still until a call begins to wait, and then goes an hour on. waits counts the waits.
func paced(s *Socket, write bool) (waits *atomic.Int32) {
	var now atomic.Int64
	waits = new(atomic.Int32)
	var limits [2]rate.Bucket
	direction := 0
	if write {
		direction = 1
	}
	limits[direction] = rate.NewBucket(1000, 4)
	sockethook.Pace(s, rate.NewPair(limits[0], limits[1],
		func() time.Duration { return time.Duration(now.Load()) },
		func(w bool) {
			if w == write {
				waits.Add(1)
			}
			now.Add(int64(time.Hour))
		}))
	return waits
}

// The calls that receive take no more than the rate allows, and the next call waits.
func TestPaceOfReceiving(t *testing.T) {
	for name, c := range map[string]struct {
		receive func(s *Socket, buf []byte, flags int) (int, error)
		parts   []string
	}{
		"Recv": {(*Socket).Recv, []string{"0123", "4567", "89"}},
		"RecvMsg": {func(s *Socket, buf []byte, flags int) (int, error) {
			return s.RecvMsg(&Message{Buffers: [][]byte{buf[:8]}}, flags)
		}, []string{"01234567", "89"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, peer := inputPair(t, Stream)
			waits := paced(s, false)
			put(t, peer, "0123456789")
			buf := make([]byte, 16)
			for range 2 { // a peek takes nothing
				n, err := c.receive(s, buf, unix.MSG_PEEK)
				require.NoError(t, err)
				require.Equal(t, c.parts[0], string(buf[:n]))
			}
			for i, part := range c.parts {
				n, err := c.receive(s, buf, 0)
				require.NoError(t, err)
				require.Equal(t, part, string(buf[:n]))
				require.EqualValues(t, i, waits.Load())
			}
			n, err := s.Send(make([]byte, 100), 0)
			require.NoError(t, err)
			require.Equal(t, 100, n, "sending has no rate")
			require.EqualValues(t, len(c.parts)-1, waits.Load())
		})
	}
}

// A call that sends waits until all is sent at the rate. A message is sent whole, and the
// next one waits.
func TestPaceOfSending(t *testing.T) {
	for name, c := range map[string]struct {
		send  func(s *Socket, buf []byte) (int, error)
		waits []int // after each call
	}{
		"Send": {func(s *Socket, buf []byte) (int, error) { return s.Send(buf, 0) }, []int{2, 5}}, // 4+4+2, and two are left, for which no call goes on
		"SendMsg": {func(s *Socket, buf []byte) (int, error) {
			return s.SendMsg(&Message{Buffers: [][]byte{buf}}, 0)
		}, []int{0, 1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			s, peer := inputPair(t, Stream)
			waits := paced(s, true)
			for _, want := range c.waits {
				n, err := c.send(s, []byte("0123456789"))
				require.NoError(t, err)
				require.Equal(t, 10, n)
				require.EqualValues(t, want, waits.Load())
				n, err = peer.Recv(make([]byte, 16), 0)
				require.NoError(t, err)
				require.Equal(t, 10, n)
			}
			put(t, peer, "0123456789")
			n, err := s.Recv(make([]byte, 16), 0)
			require.NoError(t, err)
			require.Equal(t, 10, n, "receiving has no rate")
		})
	}
}

// A call that does not wait fails when nothing is allowed.
func TestPaceOfCallsThatDoNotWait(t *testing.T) {
	s, peer := inputPair(t, Stream)
	sockethook.Pace(s, rate.NewPair(rate.NewBucket(1000, 4), rate.NewBucket(1000, 4),
		func() time.Duration { return 0 }, func(bool) {}))
	put(t, peer, "0123456789")
	for _, call := range []func() (int, error){
		func() (int, error) { return s.Recv(make([]byte, 16), unix.MSG_DONTWAIT) },
		func() (int, error) { return s.Send(make([]byte, 16), unix.MSG_DONTWAIT) },
	} {
		n, err := call()
		require.NoError(t, err)
		require.Equal(t, 4, n)
		n, err = call()
		require.True(t, isErrno(err, unix.EAGAIN), "%v", err)
		require.Zero(t, n)
	}
	for _, call := range []func() (int, error){
		func() (int, error) { return s.Recv([]byte{}, unix.MSG_DONTWAIT) },
		func() (int, error) { return s.Send([]byte{}, unix.MSG_DONTWAIT) },
	} {
		n, err := call()
		require.NoError(t, err, "nothing is always allowed")
		require.Zero(t, n)
	}
	for _, call := range []func() (int, error){
		func() (int, error) {
			return s.RecvMsg(&Message{Buffers: [][]byte{make([]byte, 8)}}, unix.MSG_DONTWAIT)
		},
		func() (int, error) { return s.SendMsg(&Message{Buffers: [][]byte{make([]byte, 8)}}, unix.MSG_DONTWAIT) },
	} {
		_, err := call()
		require.True(t, isErrno(err, unix.EAGAIN), "%v", err)
	}
}

// A message needs one byte of the rate to begin with.
func TestPaceOfAMessage(t *testing.T) {
	s, peer := inputPair(t, Stream)
	receives := paced(s, false)
	put(t, peer, "0123456789")
	_, err := s.Recv(make([]byte, 3), 0)
	require.NoError(t, err)
	n, err := s.RecvMsg(&Message{Buffers: [][]byte{make([]byte, 8)}}, 0)
	require.NoError(t, err)
	require.Equal(t, 7, n)
	require.Zero(t, receives.Load(), "one byte was left")

	sends := paced(s, true)
	_, err = s.Send(make([]byte, 3), 0)
	require.NoError(t, err)
	n, err = s.SendMsg(&Message{Buffers: [][]byte{make([]byte, 8)}}, 0)
	require.NoError(t, err)
	require.Equal(t, 8, n)
	require.Zero(t, sends.Load(), "one byte was left")
}
