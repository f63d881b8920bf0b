package socket

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func requireInterrupted(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.True(t, isErrno(err, unix.EINTR), "%v", err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

// Interrupt ends a blocked call of every kind. The next call succeeds.
func TestInterruptEndsEveryBlockedCall(t *testing.T) {
	for _, b := range blockedCalls() {
		t.Run(b.name, func(t *testing.T) {
			s, call, satisfy := b.begin(t)
			s.Interrupt() // has no call to interrupt
			first := b.start(t, s, call)
			queued := b.start(t, s, call)
			s.Interrupt()
			requireInterrupted(t, soon(t, first))
			requireInterrupted(t, soon(t, queued))
			satisfy()
			require.NoError(t, call(s))
		})
	}
}

func TestContextEndsEveryBlockedCall(t *testing.T) {
	why := errors.New("the user is gone")
	for _, b := range blockedCalls() {
		t.Run(b.name, func(t *testing.T) {
			s, call, satisfy := b.begin(t)
			ctx, cancel := context.WithCancelCause(context.Background())
			first := b.start(t, s.WithContext(ctx), call)
			other := b.start(t, s, call) // waits behind it, without the context
			cancel(why)
			err := soon(t, first)
			requireInterrupted(t, err)
			require.ErrorIs(t, err, why)
			err = call(s.WithContext(ctx))
			requireInterrupted(t, err)
			require.ErrorIs(t, err, why)

			limit := 20 * time.Millisecond
			start := time.Now()
			brief, cancel2 := context.WithTimeout(context.Background(), limit)
			defer cancel2()
			err = call(s.WithContext(brief)) // waits for the turn
			requireInterrupted(t, err)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.GreaterOrEqual(t, time.Since(start), limit)
			satisfy()
			require.NoError(t, soon(t, other))
		})
	}
}

// The program chooses the cause. The call does not mistake it for a result of its own,
// even if the cause is an errno, a timeout or another socket's closure.
func TestContextCauseIsNotTheCallsError(t *testing.T) {
	silent, _ := inputPair(t, Stream)
	require.NoError(t, silent.SetRecvTimeout(time.Millisecond))
	_, timedOut := silent.Recv(make([]byte, 1), 0)
	require.NoError(t, silent.Close())
	_, closed := silent.Recv(make([]byte, 1), 0)
	for _, cause := range []error{unix.ECONNRESET, timedOut, closed} {
		for _, b := range blockedCalls() {
			if b.name != "tcp Recv" && b.name != "unix Send" && b.name != "unix ConnectAddr" {
				continue
			}
			t.Run(b.name+" "+cause.Error(), func(t *testing.T) {
				before := cause.Error()
				s, call, satisfy := b.begin(t)
				ctx, cancel := context.WithCancelCause(context.Background())
				result := b.start(t, s.WithContext(ctx), call)
				cancel(cause)
				for _, err := range []error{soon(t, result), call(s.WithContext(ctx))} {
					require.True(t, isErrno(err, unix.EINTR), "%v", err)
					require.False(t, err.(*Error).Timeout())
					require.ErrorIs(t, err, cause)
					require.False(t, err == cause)
				}
				require.Equal(t, before, cause.Error(), "it is another's error, and stays as it is")
				satisfy()
				require.NoError(t, call(s), "nothing is owed to the next call")
			})
		}
	}
	t.Run("after a part", func(t *testing.T) {
		s, peer := inputPair(t, Stream)
		ctx, cancel := context.WithCancelCause(context.Background())
		sending := blocked(t, "Send", func() error { _, err := s.WithContext(ctx).Send(make([]byte, 1<<22), 0); return err })
		cancel(unix.ECONNRESET)
		require.NoError(t, soon(t, sending))
		drainAll(t, peer)
		_, err := s.Send([]byte("x"), 0)
		require.NoError(t, err)
	})
}

// A cancelled context ends only the calls that use its own view.
func TestContextIsOfOneView(t *testing.T) {
	s, peer := inputPair(t, Stream)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	put(t, peer, "x")
	_, err := s.WithContext(ctx).Recv(make([]byte, 1), 0)
	requireInterrupted(t, err)
	_, err = s.WithContext(ctx).WithContext(context.Background()).Recv(make([]byte, 1), 0)
	require.NoError(t, err)
	runtime.KeepAlive(s)
}
