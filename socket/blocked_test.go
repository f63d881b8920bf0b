package socket

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A blockedCall makes a call wait, and can end the wait. The tests of Close, Interrupt,
// With, the timeouts and the collector run over all blockedCalls.
type blockedCall struct {
	name, method string // method is the method in which the call is parked
	sends        bool   // SO_SNDTIMEO applies to the call
	late         unix.Errno
	// begin makes the socket and the conditions that keep its call waiting. satisfy lets
	// a call succeed.
	begin func(t *testing.T) (s *Socket, call func(*Socket) error, satisfy func())
}

func blockedCalls() (all []blockedCall) {
	pairs := map[string]func(*testing.T) (a, b *Socket){
		"tcp":  tcpPair,
		"unix": func(t *testing.T) (a, b *Socket) { return inputPair(t, Stream) },
	}
	for kind, pair := range pairs {
		for method, call := range map[string]func(*Socket) error{
			"Recv":       func(s *Socket) error { _, err := s.Recv(make([]byte, 8), 0); return err },
			"Fread":      func(s *Socket) error { _, err := s.Fread(make([]byte, 8)); return err },
			"ReadRune":   func(s *Socket) error { _, _, err := s.ReadRune(); return err },
			"ReadString": func(s *Socket) error { _, err := s.ReadString(); return err },
			"ReadLine":   func(s *Socket) error { _, err := s.ReadLine(); return err },
		} {
			all = append(all, blockedCall{kind + " " + method, method, false, unix.EAGAIN, func(t *testing.T) (*Socket, func(*Socket) error, func()) {
				s, peer := pair(t)
				return s, call, func() { put(t, peer, "a line\n") }
			}})
		}
		for method, call := range map[string]func(*Socket) error{
			"Send":      func(s *Socket) error { _, err := s.Send(make([]byte, 8), 0); return err },
			"Write":     func(s *Socket) error { _, err := s.Write(make([]byte, 8)); return err },
			"WriteLine": func(s *Socket) error { _, err := s.WriteLine("a line"); return err },
		} {
			all = append(all, blockedCall{kind + " " + method, method, true, unix.EAGAIN, func(t *testing.T) (*Socket, func(*Socket) error, func()) {
				s, peer := pair(t)
				if kind == "tcp" { // fixed buffers, so that no room appears later
					require.NoError(t, peer.Setsockopt(nil, "SO_RCVBUF", 1<<16))
					require.NoError(t, s.Setsockopt(nil, "SO_SNDBUF", 1<<16))
				}
				fillUp(t, s)
				return s, call, func() { drainAll(t, peer) }
			}})
		}
	}
	accept := func(s *Socket) error {
		accepted, err := s.Accept()
		if err == nil {
			accepted.Close()
		}
		return err
	}
	for _, family := range []Family{Inet, Unix} {
		late := unix.EAGAIN
		if family == Inet {
			late = unix.EINPROGRESS
		}
		all = append(all, blockedCall{family.String() + " Accept", "Accept", false, unix.EAGAIN, func(t *testing.T) (*Socket, func(*Socket) error, func()) {
			l := listening(t, family, 1)
			return l, accept, func() { connectedTo(t, l) }
		}}, blockedCall{family.String() + " ConnectAddr", "ConnectAddr", true, late, func(t *testing.T) (*Socket, func(*Socket) error, func()) {
			l := fullListener(t, family)
			to := l.LocalAddr()
			return unconnected(t, family), func(s *Socket) error { return s.ConnectAddr(to) }, func() {
				require.NoError(t, accept(l))
			}
		}})
	}
	return append(all, blockedCall{"Connect in its look-up", "Connect", true, unix.EINPROGRESS, func(t *testing.T) (*Socket, func(*Socket) error, func()) {
		l := listening(t, Inet, 1)
		port := fmt.Sprint(l.LocalAddr().Port())
		answer := make(chan struct{})
		hosts.Store("slow.test", func(ctx context.Context) []netip.Addr {
			select {
			case <-answer:
				return []netip.Addr{l.LocalAddr().AddrPort().Addr()}
			case <-ctx.Done():
				return nil
			}
		})
		var once sync.Once
		return unconnected(t, Inet), func(s *Socket) error { return s.Connect("slow.test.", port) }, func() { once.Do(func() { close(answer) }) }
	}})
}

// start makes a call in a goroutine. It returns when the call is parked in its method or
// has timed out.
func (b blockedCall) start(t *testing.T, s *Socket, call func(*Socket) error) chan error {
	t.Helper()
	result := make(chan error, 1)
	before, _ := callers(b.method) // a call that asks again and again is awake now and then
	go func() { result <- call(s) }()
	require.Eventually(t, func() bool { return sleepers(b.method) > before || len(result) > 0 }, time.Minute, time.Millisecond)
	if len(result) > 0 {
		err := <-result
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the call does not block")
		result <- err
	}
	return result
}

// blocked is start for any call. method names the method in which the call is parked.
func blocked(t *testing.T, method string, call func() error) chan error {
	t.Helper()
	return blockedCall{method: method}.start(t, nil, func(*Socket) error { return call() })
}

// sleepers counts the goroutines that sleep in calls of the method.
func sleepers(method string) int {
	_, asleep := callers(method)
	return asleep
}

// callers counts the goroutines that are in calls of the method, and those of them that
// sleep: on a channel under the race detector, and in a system call if the call waits
// alone.
func callers(method string) (n, sleep int) {
	buf := make([]byte, 1<<20)
	for g := range bytes.SplitSeq(buf[:runtime.Stack(buf, true)], []byte("\n\n")) {
		if !bytes.Contains(g, []byte("(*Socket)."+method+"(")) && !bytes.Contains(g, []byte("socket."+method+"(")) {
			continue
		}
		n++
		asleep := bytes.Contains(g, []byte("[IO wait")) || bytes.Contains(g, []byte("[chan receive"))
		asleep = asleep && (bytes.Contains(g, []byte(").park(")) || bytes.Contains(g, []byte(").parkAlone("))) ||
			bytes.Contains(g, []byte("[syscall")) && bytes.Contains(g, []byte(").blockAlone("))
		if asleep {
			sleep++
		}
	}
	return n, sleep
}

// soon returns the result of a call that must end at once.
func soon[T any](t *testing.T, result <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-result:
	case <-time.After(time.Minute):
		require.Fail(t, "the call hangs")
	}
	return v
}

var abstractNames atomic.Int64

// listening returns a listener at an address that the kernel chooses.
func listening(t *testing.T, family Family, backlog int, cfg ...Config) *Socket {
	t.Helper()
	local := only(cfg)
	switch {
	case family == Unix:
		local.Filename = fmt.Sprintf("@weir-%d-%d", os.Getpid(), abstractNames.Add(1))
	case local.Address == "":
		local.Address = "127.0.0.1"
	}
	l, err := local.New(family, Stream, 0)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	require.NoError(t, l.Listen(backlog))
	return l
}

// fullListener returns a listener without room for another connection. A TCP listener
// does not answer; connect(2) to a unix listener returns EAGAIN.
func fullListener(t *testing.T, family Family, cfg ...Config) *Socket {
	t.Helper()
	l := listening(t, family, 0, cfg...)
	connectedTo(t, l)
	return l
}

func unconnected(t *testing.T, family Family) *Socket {
	t.Helper()
	if family == Inet6 {
		machine.NeedIPv6(t)
	}
	s, err := New(family, Stream, 0)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func connectedTo(t *testing.T, l *Socket) *Socket {
	t.Helper()
	s := unconnected(t, l.Family())
	require.NoError(t, s.ConnectAddr(l.LocalAddr()))
	return s
}

// fillUp sends until the kernel takes no more and cannot soon deliver any of it.
func fillUp(t *testing.T, s *Socket) (sent int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		stuck := s.Family() == Unix || isStuck(t, s)
		n, err := s.Send(make([]byte, 1<<16), unix.MSG_DONTWAIT)
		sent += n
		switch {
		case err == nil:
		case !isErrno(err, unix.EAGAIN) || time.Now().After(end):
			require.NoError(t, err)
		case stuck:
			return sent
		default:
			time.Sleep(time.Millisecond) // the kernel still moves data
		}
	}
}

// isStuck reports whether TCP has unsent output, the peer has acknowledged all that TCP
// sent, and the peer's window is closed.
func isStuck(t *testing.T, s *Socket) bool {
	t.Helper()
	raw, err := s.SyscallConn()
	require.NoError(t, err)
	var info *unix.TCPInfo
	require.NoError(t, raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }))
	require.NoError(t, err)
	return info.Notsent_bytes > 0 && info.Unacked == 0 && info.Snd_wnd == 0
}

// drainAll receives everything that has arrived.
func drainAll(t *testing.T, s *Socket) (got int) {
	t.Helper()
	for {
		n, err := s.Recv(make([]byte, 1<<16), unix.MSG_DONTWAIT)
		got += n
		if err != nil {
			require.True(t, err == io.EOF || isErrno(err, unix.EAGAIN), "%v", err)
			return got
		}
	}
}

func isErrno(err error, errno unix.Errno) bool {
	e, ok := err.(*Error)
	return ok && e.Errno == errno
}

// descriptors returns how many descriptors the process has open, those of the loops
// included. The first calls that wait alone make an eventfd each, which they keep for
// good; these do not count.
func descriptors(t *testing.T) int {
	t.Helper()
	_, err := loop.Default()
	require.NoError(t, err)
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	n := 0
	for _, e := range entries {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); to != "anon_inode:[eventfd]" {
			n++
		}
	}
	return n
}
