package socket

import (
	"io"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The same script runs on a blocking socket of the kernel and on a Socket. It compares
// what a receive returns under SO_RCVLOWAT, and whether the receive times out.

const lowWater = 10

type lowWaterResult struct {
	n    int
	err  error
	late bool // the receive took all of its time
}

// A lowWaterSide is one backend: a receive, and the descriptors of both ends.
type lowWaterSide struct {
	limit    time.Duration // of a receive
	fd, peer int
	recv     func(buf []byte, flags int) (int, error)
}

func (s lowWaterSide) receive(size, flags int) lowWaterResult {
	began := time.Now()
	n, err := s.recv(make([]byte, size), flags)
	return lowWaterResult{n, err, time.Since(began) >= s.limit}
}

// taken waits until the kernel has no more data for the receiver.
func (s lowWaterSide) taken(t *testing.T) {
	require.Eventually(t, func() bool {
		n, err := unix.IoctlGetInt(s.fd, unix.SIOCINQ)
		return err == nil && n == 0
	}, time.Minute, 100*time.Microsecond)
}

func (s lowWaterSide) give(t *testing.T, n int) {
	sent, err := unix.Write(s.peer, make([]byte, n))
	require.NoError(t, err)
	require.Equal(t, n, sent)
}

// during runs act while a receive waits that has taken all the data that was there.
func (s lowWaterSide) during(t *testing.T, size int, act func()) lowWaterResult {
	result := make(chan lowWaterResult)
	go func() {
		runtime.LockOSThread() // the thread does not return to the pool while it is blocked
		defer runtime.UnlockOSThread()
		result <- s.receive(size, 0)
	}()
	s.taken(t)
	act()
	return <-result
}

var lowWaterScripts = []struct {
	name string
	run  func(t *testing.T, s lowWaterSide) []lowWaterResult
}{
	{"too little", func(t *testing.T, s lowWaterSide) []lowWaterResult {
		s.give(t, 3)
		return []lowWaterResult{s.receive(16, 0), s.receive(16, 0)}
	}},
	{"enough", func(t *testing.T, s lowWaterSide) []lowWaterResult {
		s.give(t, lowWater)
		return []lowWaterResult{s.receive(16, 0)}
	}},
	{"more than asked for", func(t *testing.T, s lowWaterSide) []lowWaterResult {
		s.give(t, 20)
		return []lowWaterResult{s.receive(16, 0), s.receive(16, 0)}
	}},
	{"small buffer", func(t *testing.T, s lowWaterSide) []lowWaterResult {
		s.give(t, 3)
		return []lowWaterResult{s.receive(2, 0), s.receive(1, 0)}
	}},
	{"small buffer, drained before", func(t *testing.T, s lowWaterSide) []lowWaterResult {
		first := s.receive(1, 0)
		s.give(t, 3)
		return []lowWaterResult{first, s.receive(1, 0)}
	}},
	{"peek", func(t *testing.T, s lowWaterSide) []lowWaterResult {
		s.give(t, 3)
		return []lowWaterResult{s.receive(16, unix.MSG_PEEK), s.receive(3, 0)}
	}},
	{"peek enough", func(t *testing.T, s lowWaterSide) []lowWaterResult {
		s.give(t, 12)
		return []lowWaterResult{s.receive(16, unix.MSG_PEEK), s.receive(16, 0)}
	}},
	{"peek for all", func(t *testing.T, s lowWaterSide) []lowWaterResult {
		s.give(t, 3)
		return []lowWaterResult{s.receive(16, unix.MSG_PEEK|unix.MSG_WAITALL), s.receive(3, 0)}
	}},
	{"wait for all", func(t *testing.T, s lowWaterSide) []lowWaterResult {
		s.give(t, 12)
		return []lowWaterResult{s.receive(16, unix.MSG_WAITALL)}
	}},
	{"do not wait", func(t *testing.T, s lowWaterSide) []lowWaterResult {
		s.give(t, 3)
		return []lowWaterResult{s.receive(16, unix.MSG_DONTWAIT), s.receive(16, unix.MSG_DONTWAIT)}
	}},
	{"the end", func(t *testing.T, s lowWaterSide) []lowWaterResult {
		s.give(t, 3)
		require.NoError(t, unix.Shutdown(s.peer, unix.SHUT_WR))
		return []lowWaterResult{s.receive(16, 0), s.receive(16, 0)}
	}},
	{"the end meanwhile", func(t *testing.T, s lowWaterSide) []lowWaterResult {
		s.give(t, 3)
		return []lowWaterResult{s.during(t, 16, func() { require.NoError(t, unix.Shutdown(s.peer, unix.SHUT_WR)) }), s.receive(16, 0)}
	}},
	{"the rest meanwhile", func(t *testing.T, s lowWaterSide) []lowWaterResult {
		s.give(t, 3)
		return []lowWaterResult{s.during(t, 16, func() { s.give(t, lowWater-3) })}
	}},
	{"much meanwhile", func(t *testing.T, s lowWaterSide) []lowWaterResult {
		s.give(t, 3)
		return []lowWaterResult{s.during(t, 16, func() { s.give(t, 20) }), s.receive(16, 0)}
	}},
	{"from nothing", func(t *testing.T, s lowWaterSide) []lowWaterResult {
		return []lowWaterResult{s.during(t, 16, func() { s.give(t, lowWater) })}
	}},
}

// lowWaterCalls are the calls that receive. A call without flags uses Recv for a case
// with flags.
var lowWaterCalls = map[string]func(s *Socket, buf []byte, flags int) (int, error){
	"recv": (*Socket).Recv,
	"read": func(s *Socket, buf []byte, flags int) (int, error) {
		if flags != 0 {
			return s.Recv(buf, flags)
		}
		return s.Read(buf)
	},
	"recvmsg": func(s *Socket, buf []byte, flags int) (int, error) {
		return s.RecvMsg(&Message{Buffers: [][]byte{buf[:1], buf[1:]}}, flags)
	},
	"recvmmsg": func(s *Socket, buf []byte, flags int) (int, error) {
		m := []Message{{Buffers: [][]byte{buf}}}
		_, err := s.RecvBatch(m, flags)
		return m[0].N, err
	},
}

func TestRcvLowWater(t *testing.T) {
	pairs := map[string]func(*testing.T) (a, b *Socket){
		"tcp": tcpPair,
		"unix": func(t *testing.T) (a, b *Socket) {
			a, b, err := Pair(Unix, Stream, 0)
			require.NoError(t, err)
			t.Cleanup(func() { a.Close(); b.Close() })
			return a, b
		},
	}
	for kind, pair := range pairs {
		for _, script := range lowWaterScripts {
			t.Run(kind+"/"+script.name, func(t *testing.T) {
				t.Parallel()
				for call, recv := range lowWaterCalls {
					for attempt := 1; ; attempt++ {
						limit := time.Duration(1+attempt%4) * 100 * time.Millisecond
						stalled := machine.Stalls(t)
						defer stalled() // for a script that fails
						want := script.run(t, kernelLowWater(t, pair, limit))
						a, b := pair(t)
						require.NoError(t, a.Setsockopt(nil, "SO_RCVLOWAT", lowWater))
						require.NoError(t, a.Setsockopt(nil, "SO_RCVTIMEO", limit))
						got := script.run(t, lowWaterSide{limit, a.Fd(), b.Fd(), func(buf []byte, flags int) (int, error) {
							n, err := recv(a, buf, flags)
							if e, ok := err.(*Error); ok {
								err = e.Errno
							}
							if err == io.EOF {
								err = nil
							}
							return n, err
						}})
						// On a busy machine a step may come too late. If the process was stopped (SIGSTOP),
						// the kernel ends its receive with EINTR.
						if stalled() > 5*time.Millisecond && attempt < 40 && !reflect.DeepEqual(want, got) {
							continue
						}
						require.Equal(t, want, got, call)
						break
					}
				}
			})
		}
	}
}

// kernelLowWater returns a blocking socket with the same options.
func kernelLowWater(t *testing.T, pair func(*testing.T) (a, b *Socket), timeout time.Duration) lowWaterSide {
	a, b := pair(t)
	fd := a.Fd()
	require.NoError(t, unix.SetNonblock(fd, false))
	require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, lowWater))
	limit := unix.NsecToTimeval(int64(timeout))
	require.NoError(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit))
	return lowWaterSide{timeout, fd, b.Fd(), func(buf []byte, flags int) (n int, err error) {
		unsignalled(func() { n, _, err = unix.Recvfrom(fd, buf, flags) })
		return max(n, 0), err
	}}
}

// An accepted TCP socket has the SO_RCVLOWAT of the listener.
func TestRcvLowWaterInherited(t *testing.T) {
	l, err := Config{Address: "127.0.0.1"}.New(Inet, Stream, 0)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, l.Setsockopt(nil, "SO_RCVLOWAT", lowWater))
	require.NoError(t, l.Listen(1))
	client := newTCP(t)
	require.NoError(t, client.ConnectAddr(l.LocalAddr()))
	s, err := l.Accept()
	require.NoError(t, err)
	defer s.Close()
	v, err := s.Getsockopt(nil, "SO_RCVLOWAT")
	require.NoError(t, err)
	require.Equal(t, lowWater, v)
	require.EqualValues(t, lowWater, s.core.lowWater.Load())
}
