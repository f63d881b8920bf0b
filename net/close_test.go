package net_test

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// When Close returns, the address is free and the peer is disconnected. A blocked call
// does not keep the descriptor open.
func TestAddressIsFreeAfterClose(t *testing.T) {
	const times = 200
	listeners := map[string]string{
		"tcp": "127.0.0.1:0", "unix": fmt.Sprintf("@weir-test-free-%d", os.Getpid()),
	}
	packets := map[string]string{
		"udp": "127.0.0.1:0", "unixgram": fmt.Sprintf("@weir-test-free-gram-%d", os.Getpid()),
	}
	onFaces(t, func(t *testing.T, f face) {
		for network, address := range listeners {
			for range times {
				l, err := f.Listen(network, address)
				require.NoError(t, err)
				at := l.Addr().String()
				began, done := untilBlocked(t, func() error { _, err := l.Accept(); return err })
				<-began
				require.NoError(t, l.Close())
				_, err = f.Dial(network, at)
				require.ErrorIs(t, err, unix.ECONNREFUSED)
				again, err := f.Listen(network, at)
				require.NoError(t, err)
				require.NoError(t, again.Close())
				require.ErrorIs(t, <-done, net.ErrClosed)
			}
		}
		for network, address := range packets {
			for range times {
				c, err := f.ListenPacket(network, address)
				require.NoError(t, err)
				at := c.LocalAddr().String()
				began, done := untilBlocked(t, func() error { _, _, err := c.ReadFrom(make([]byte, 1)); return err })
				<-began
				require.NoError(t, c.Close())
				again, err := f.ListenPacket(network, at)
				require.NoError(t, err)
				require.NoError(t, again.Close())
				require.ErrorIs(t, <-done, net.ErrClosed)
			}
		}
	})
}

// untilBlocked makes a call in a goroutine. It closes began just before the call, so the
// call may not be blocked yet.
func untilBlocked(t *testing.T, call func() error) (began chan struct{}, done chan error) {
	began, done = make(chan struct{}), make(chan error, 1)
	go func() {
		close(began)
		done <- call()
	}()
	return began, done
}

// Close also waits for a program's own call on the descriptor.
func TestCloseWaitsForRawControl(t *testing.T) {
	onFaces(t, func(t *testing.T, f face) {
		c, err := f.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		raw, err := c.(syscall.Conn).SyscallConn()
		require.NoError(t, err)
		inside, leave := make(chan struct{}), make(chan struct{})
		var left atomic.Bool
		go raw.Control(func(uintptr) {
			close(inside)
			<-leave
			left.Store(true)
		})
		<-inside
		closed := make(chan struct{})
		go func() { c.Close(); close(closed) }()
		require.Eventually(t, func() bool { return c.SetDeadline(time.Time{}) != nil }, time.Minute, time.Millisecond)
		close(leave)
		<-closed
		require.True(t, left.Load())
	})
}
