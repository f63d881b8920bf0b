package weir_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/internal/race"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { weirtest.Main(m) }

type list = []weir.Selectable

type set = weir.Set[weir.Selectable]

// bits are what select, poll or Select says about a descriptor.
type bits struct{ r, w, x bool }

func (b bits) String() string {
	s := ""
	for _, f := range []struct {
		on   bool
		name string
	}{{b.r, "r"}, {b.w, "w"}, {b.x, "x"}} {
		if f.on {
			s += f.name
		}
	}
	return s
}

func kernelSelect(t testing.TB, fd int) (b bits) {
	var r, w, x unix.FdSet
	var err error = unix.EINTR
	for err == unix.EINTR {
		for _, s := range []*unix.FdSet{&r, &w, &x} {
			s.Set(fd)
		}
		_, err = unix.Select(fd+1, &r, &w, &x, &unix.Timeval{})
	}
	require.NoError(t, err)
	return bits{r.IsSet(fd), w.IsSet(fd), x.IsSet(fd)}
}

func kernelPoll(t testing.TB, fd int) bits {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT | unix.POLLPRI}}
	_, err := machine.Poll(fds, 0)
	require.NoError(t, err)
	ev := fds[0].Revents
	return bits{ev&(unix.POLLIN|unix.POLLHUP|unix.POLLERR) != 0, ev&(unix.POLLOUT|unix.POLLERR) != 0, ev&unix.POLLPRI != 0}
}

// weirSelect polls each list alone, because Select is exact then.
func weirSelect(t testing.TB, s weir.Selectable) (b bits) {
	for i, on := range []*bool{&b.r, &b.w, &b.x} {
		var want [3]list
		want[i] = list{s}
		got, err := weir.Select(want[0], want[1], want[2], 0)
		require.NoError(t, err)
		*on = len(got.Read)+len(got.Write)+len(got.Except) == 1
	}
	return b
}

// watched hangs a Select on s, so that the kernel reports events from then on.
func watched(t testing.TB, s weir.Selectable) {
	for i := range 3 {
		var want [3]list
		want[i] = list{s}
		_, err := weir.Select(want[0], want[1], want[2], time.Microsecond)
		require.NoError(t, err)
	}
	settle(t, s)
}

// settle returns when the loop has taken in all events so far.
func settle(t testing.TB, s weir.Selectable) {
	for range 2 {
		done := make(chan struct{})
		require.NoError(t, s.Registration().Loop().Post(func() { close(done) }))
		<-done
	}
}

func dial(t testing.TB, to socket.Addr) net.Conn {
	c, err := net.Dial("tcp", to.String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func refused(t testing.TB) *socket.Socket {
	l := weirtest.Listen(t)
	to := l.LocalAddr()
	require.NoError(t, l.Close())
	s := weirtest.NewTCP(t)
	sa := &unix.SockaddrInet4{Port: int(to.Port()), Addr: [4]byte{127, 0, 0, 1}}
	require.Equal(t, unix.EINPROGRESS, unix.Connect(s.Fd(), sa))
	return s
}

// states are the rows of the table that compares Select with select(2) and poll(2).
var states = []struct {
	name string
	make func(t testing.TB) *socket.Socket
	want string
	act  func(t testing.TB, s *socket.Socket) // after the loop has begun to watch it
}{
	{"unconnected", weirtest.NewTCP, "rw", nil},
	{"listener, empty", weirtest.Listen, "", nil},
	{"listener, pending", weirtest.Listen, "r", func(t testing.TB, s *socket.Socket) { dial(t, s.LocalAddr()) }},
	{"listener, shut down", weirtest.Listen, "rw", func(t testing.TB, s *socket.Socket) { s.Shutdown(unix.SHUT_RDWR) }},
	{"connecting", connecting, "", nil},
	{"refused", refused, "rw", nil},
	{"connected", connected, "w", nil},
	{"data", connected, "rw", func(t testing.TB, s *socket.Socket) { peers[s].Send([]byte("x"), 0) }},
	{"own read side shut", connected, "rw", func(t testing.TB, s *socket.Socket) { s.Shutdown(unix.SHUT_RD) }},
	{"own write side shut", connected, "w", func(t testing.TB, s *socket.Socket) { s.Shutdown(unix.SHUT_WR) }},
	{"peer's write side shut", connected, "rw", func(t testing.TB, s *socket.Socket) { peers[s].Shutdown(unix.SHUT_WR) }},
	{"closed by peer", connected, "rw", func(t testing.TB, s *socket.Socket) { peers[s].Close() }},
	{"reset", connected, "rw", func(t testing.TB, s *socket.Socket) {
		unix.SetsockoptLinger(peers[s].Fd(), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		peers[s].Close()
	}},
	{"out of band", connected, "wx", func(t testing.TB, s *socket.Socket) { peers[s].Send([]byte("!"), unix.MSG_OOB) }},
	{"data and out of band", connected, "rwx", func(t testing.TB, s *socket.Socket) {
		peers[s].Send([]byte("x"), 0)
		peers[s].Send([]byte("!"), unix.MSG_OOB)
	}},
	{"full", connected, "", func(t testing.TB, s *socket.Socket) {
		for buf, err := make([]byte, 1<<20), error(nil); err == nil; _, err = s.Send(buf, unix.MSG_DONTWAIT) {
		}
	}},
	{"udp with an error", udpRefused, "rw", nil},
	{"udp", udp, "w", nil},
	{"unix datagram", unixDatagram, "w", nil},
	{"unix datagram, peer full", unixDatagram, "", func(t testing.TB, s *socket.Socket) {
		for err := error(nil); err == nil; _, err = s.Send([]byte("x"), unix.MSG_DONTWAIT) {
		}
	}},
	{"unix stream, peer gone", unixStream, "rw", func(t testing.TB, s *socket.Socket) { peers[s].Close() }},
	{"unix seqpacket, data", unixSeqpacket, "rw", func(t testing.TB, s *socket.Socket) { peers[s].Send([]byte("x"), 0) }},
}

// peers keeps the other ends of the connections that the table makes.
var peers = map[*socket.Socket]*socket.Socket{}

func of(t testing.TB, s, peer *socket.Socket) *socket.Socket {
	peers[s] = peer
	t.Cleanup(func() { delete(peers, s) })
	return s
}

func connected(t testing.TB) *socket.Socket { a, b := weirtest.TCP(t); return of(t, a, b) }
func unixDatagram(t testing.TB) *socket.Socket {
	a, b := weirtest.Pair(t, socket.Dgram)
	return of(t, a, b)
}
func unixStream(t testing.TB) *socket.Socket {
	a, b := weirtest.Pair(t, socket.Stream)
	return of(t, a, b)
}
func unixSeqpacket(t testing.TB) *socket.Socket {
	a, b := weirtest.Pair(t, socket.SeqPacket)
	return of(t, a, b)
}

func udp(t testing.TB) *socket.Socket {
	s, err := socket.Config{Address: "127.0.0.1"}.New(socket.Inet, socket.Dgram, 0)
	return weirtest.Keep(t, s, err)
}

func udpRefused(t testing.TB) *socket.Socket {
	gone := udp(t)
	to := gone.LocalAddr()
	require.NoError(t, gone.Close())
	s := udp(t)
	require.NoError(t, s.ConnectAddr(to))
	_, err := s.Send([]byte("x"), 0)
	require.NoError(t, err)
	return s
}

// connecting returns a socket whose SYN gets no answer, because the listener's queue
// is full.
func connecting(t testing.TB) *socket.Socket {
	l := weirtest.Listen(t)
	require.NoError(t, l.Listen(0))
	to := &unix.SockaddrInet4{Port: int(l.LocalAddr().Port()), Addr: [4]byte{127, 0, 0, 1}}
	for range 8 {
		s := weirtest.NewTCP(t)
		if err := unix.Connect(s.Fd(), to); err == unix.EINPROGRESS && kernelPoll(t, s.Fd()) == (bits{}) {
			return s
		}
	}
	t.Fatal("the backlog does not fill")
	return nil
}

// In each state, Select says what select(2) and poll(2) say about the same
// descriptor: for a new socket, with sure marks, and after an earlier look.
func TestStatesBesideTheKernel(t *testing.T) {
	for _, c := range states {
		for _, beforehand := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, watched before %v", c.name, beforehand), func(t *testing.T) {
				s := c.make(t)
				if beforehand {
					watched(t, s)
				}
				if c.act != nil {
					c.act(t, s)
				}
				waitFor(t, func() bool { return kernelSelect(t, s.Fd()).String() == c.want })
				require.Equal(t, c.want, kernelPoll(t, s.Fd()).String())
				for range 2 {
					require.Equal(t, c.want, weirSelect(t, s).String())
					settle(t, s)
				}
				want := len(c.want)
				got, err := weir.Select(list{s}, list{s}, list{s}, 10*time.Millisecond)
				require.NoError(t, err)
				require.Equal(t, want, len(got.Read)+len(got.Write)+len(got.Except), "all three lists at once, marks as they are")
			})
		}
	}
}

func waitFor(t testing.TB, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("it does not come about")
		}
	}
}

// parked starts a Select, and returns when its hook hangs on s.
func parked(t testing.TB, s weir.Selectable, f func() (set, error)) chan error {
	before := len(s.Registration().Observers())
	result := make(chan error, 1)
	go func() {
		got, err := f()
		if err == nil && len(got.Read)+len(got.Write)+len(got.Except) == 0 {
			err = errTimedOut
		}
		result <- err
	}()
	waitFor(t, func() bool { return len(s.Registration().Observers()) > before })
	return result
}

var errTimedOut = errors.New("nothing is ready")

func TestOrderDuplicatesAndSeveralLists(t *testing.T) {
	a, pa := weirtest.Pair(t, socket.Stream)
	b, _ := weirtest.Pair(t, socket.Stream)
	c, pc := weirtest.Pair(t, socket.Stream)
	pa.Write([]byte("x"))
	pc.Write([]byte("x"))
	got, err := weir.Select(list{c, b, a, c}, list{b, a}, list{a}, 0)
	require.NoError(t, err)
	require.Equal(t, set{Read: list{c, a, c}, Write: list{b, a}}, got)
}

func TestBlockingSelectIsWokenByData(t *testing.T) {
	a, _ := weirtest.Pair(t, socket.Stream)
	b, peer := weirtest.Pair(t, socket.Stream)
	for range 100 {
		result := parked(t, b, func() (set, error) { return weir.Select(list{a, b}, nil, nil, weir.Forever) })
		peer.Write([]byte("x"))
		require.NoError(t, <-result)
		_, err := b.Recv(make([]byte, 8), 0)
		require.NoError(t, err)
	}
}

func TestTimeoutsAreNeverEarly(t *testing.T) {
	a, _ := weirtest.Pair(t, socket.Stream)
	for _, read := range []list{{a}, nil} {
		for _, d := range []time.Duration{0, 1, 100 * time.Microsecond, 1500 * time.Microsecond, 30 * time.Millisecond} {
			start := time.Now()
			got, err := weir.Select(read, nil, nil, d)
			took := time.Since(start)
			require.NoError(t, err)
			require.Empty(t, got.Read)
			require.GreaterOrEqual(t, took, d)
			require.Less(t, took, d+30*time.Second)
		}
	}
}

func TestBadEntries(t *testing.T) {
	a, peer := weirtest.Pair(t, socket.Stream)
	peer.Write([]byte("x"))
	closed, _ := weirtest.Pair(t, socket.Stream)
	require.NoError(t, closed.Close())
	var typed *socket.Socket
	var file *weir.File
	for _, c := range []struct {
		want  set
		errno error
		says  string
	}{
		{set{Read: list{a, nil}}, unix.EINVAL, "read list, index 1"},
		{set{Read: list{a}, Write: list{typed}}, unix.EINVAL, "write list, index 0"},
		{set{Read: list{file, a}}, unix.EINVAL, "read list, index 0"},
		{set{Read: list{a}, Except: list{closed}}, unix.EBADF, "except list, index 0"},
		{set{Read: list{a, closed}}, unix.EBADF, "read list, index 1"},
	} {
		got, err := weir.Select(c.want.Read, c.want.Write, c.want.Except, weir.Forever)
		require.ErrorIs(t, err, c.errno)
		require.ErrorContains(t, err, c.says)
		require.Empty(t, got.Read, "no partial answer")
	}
	_, err := weir.Select(list{closed}, nil, nil, 0)
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestCloseEndsSelect(t *testing.T) {
	a, _ := weirtest.Pair(t, socket.Stream)
	b, _ := weirtest.Pair(t, socket.Stream)
	first := parked(t, b, func() (set, error) { return weir.Select(list{a, b}, nil, nil, weir.Forever) })
	second := parked(t, b, func() (set, error) { return weir.Select(nil, nil, list{b, a}, time.Hour) })
	require.NoError(t, b.Close())
	require.ErrorIs(t, <-first, unix.EBADF)
	require.ErrorIs(t, <-second, unix.EBADF)
	_, err := weir.Select(list{a}, nil, nil, 0)
	require.NoError(t, err)
	require.Zero(t, len(a.Registration().Observers()))
}

func TestInterruptAndContextEndSelect(t *testing.T) {
	a, _ := weirtest.Pair(t, socket.Stream)
	result := parked(t, a, func() (set, error) { return weir.Select(list{a}, nil, nil, time.Hour) })
	a.Interrupt()
	require.ErrorIs(t, <-result, unix.EINTR)

	why := errors.New("the user is gone")
	ctx, cancel := context.WithCancelCause(context.Background())
	result = parked(t, a, func() (set, error) {
		return weir.SelectContext(ctx, list{a}, nil, nil, time.Hour)
	})
	cancel(why)
	err := <-result
	require.ErrorIs(t, err, unix.EINTR)
	require.ErrorIs(t, err, why)
	_, err = weir.SelectContext(ctx, list{a}, nil, nil, 0)
	require.ErrorIs(t, err, why)

	ctx, cancel = context.WithCancelCause(context.Background())
	asleep := make(chan error, 1)
	go func() { _, err := weir.SelectContext(ctx, list(nil), nil, nil, weir.Forever); asleep <- err }()
	cancel(why)
	require.ErrorIs(t, <-asleep, why)
}

func TestBufferedInputIsReadable(t *testing.T) {
	a, peer := weirtest.Pair(t, socket.Stream)
	peer.Write([]byte("a line\nmore"))
	_, err := a.ReadLine()
	require.NoError(t, err)
	require.Equal(t, bits{w: true}, kernelSelect(t, a.Fd()))
	require.Equal(t, bits{r: true, w: true}, weirSelect(t, a))
	_, err = a.ReadString()
	require.NoError(t, err)
	require.Equal(t, bits{w: true}, weirSelect(t, a))
}

func TestPushedBackCharacterWakesSelect(t *testing.T) {
	a, peer := weirtest.Pair(t, socket.Stream)
	peer.Write([]byte("x"))
	_, _, err := a.ReadRune()
	require.NoError(t, err)
	result := parked(t, a, func() (set, error) { return weir.Select(list{a}, nil, nil, weir.Forever) })
	settle(t, a)
	require.NoError(t, a.UnreadRune())
	require.NoError(t, soon(t, result))
}

func TestMoreThan1024Descriptors(t *testing.T) {
	const n = 1200
	machine.NeedFiles(t, 2*n+100)
	var all list
	var last *socket.Socket
	for range n {
		a, b := weirtest.Pair(t, socket.Stream)
		all = append(all, a)
		last = b
	}
	got, err := weir.Select(all, nil, nil, 0)
	require.NoError(t, err)
	require.Empty(t, got.Read)
	result := parked(t, all[n-1], func() (set, error) { return weir.Select(all, nil, nil, weir.Forever) })
	last.Write([]byte("x"))
	require.NoError(t, <-result)
	got, err = weir.Select(all, all, nil, 0)
	require.NoError(t, err)
	require.Equal(t, all[n-1:], got.Read)
	require.Equal(t, all, got.Write)
}

func TestFiles(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	regular, err := os.Open(os.Args[0])
	require.NoError(t, err)
	defer regular.Close()
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(event)

	watch := func(fd int) *weir.File {
		f, err := weir.Watch(fd)
		require.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	in, out, plain, counter := watch(int(r.Fd())), watch(int(w.Fd())), watch(int(regular.Fd())), watch(event)
	same := func() {
		t.Helper()
		for _, c := range []struct {
			f  *weir.File
			fd int
		}{{in, int(r.Fd())}, {out, int(w.Fd())}, {plain, int(regular.Fd())}, {counter, event}} {
			require.Equal(t, kernelSelect(t, c.fd), weirSelect(t, c.f))
		}
	}
	same()
	require.Equal(t, "rw", weirSelect(t, plain).String())
	s, _ := weirtest.Pair(t, socket.Stream)
	result := parked(t, in, func() (set, error) {
		return weir.Select(list{s, in}, nil, list{plain}, weir.Forever)
	})
	w.Write([]byte("x"))
	require.NoError(t, <-result)
	same()
	r.Read(make([]byte, 1)) // Select does not know of this read
	same()
	unix.Write(event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	same()
	result = parked(t, in, func() (set, error) { return weir.Select(list{in}, nil, nil, weir.Forever) })
	require.NoError(t, out.Close()) // the duplicate keeps the pipe open
	w.Close()
	require.NoError(t, <-result)
	require.ErrorIs(t, out.Close(), unix.EBADF)
	_, err = weir.Select(list{out}, nil, nil, 0)
	require.ErrorIs(t, err, unix.EBADF)
	_, err = weir.Watch(-1)
	require.ErrorIs(t, err, unix.EBADF)
}

func TestNoAllocation(t *testing.T) {
	if race.Enabled {
		t.Skip("a pool forgets at random under the race detector")
	}
	a, _ := weirtest.Pair(t, socket.Stream)
	b, peer := weirtest.Pair(t, socket.Stream)
	peer.Write([]byte("x"))
	selectAllocatesNothing(t, list{a, b})
	selectAllocatesNothing(t, []*socket.Socket{a, b})
	selectAllocatesNothing(t, []wrapped{{a}, {b}})
}

// selectAllocatesNothing selects over two entries. The second is ready.
func selectAllocatesNothing[S weir.Selectable](t *testing.T, all []S) {
	want := weir.Set[S]{Read: all, Write: all[1:]}
	idle := weir.Set[S]{Read: all[:1]}
	var ready weir.Set[S]
	ctx := context.Background()
	for _, c := range []struct {
		want    weir.Set[S]
		timeout time.Duration
		n       int
	}{{want, 0, 2}, {want, weir.Forever, 2}, {idle, 0, 0}, {idle, time.Microsecond, 0}} {
		require.Zero(t, testing.AllocsPerRun(100, func() {
			n, err := weir.SelectInto(ctx, &ready, c.want, c.timeout)
			if n != c.n || err != nil {
				t.Error(n, err)
			}
		}), "%T", all)
	}
}

// wrapped is a program's own type around a Socket.
type wrapped struct{ *socket.Socket }

// The entries of the lists have one type, and so has the result.
func TestSelectKeepsTheType(t *testing.T) {
	a, _ := weirtest.Pair(t, socket.Stream)
	b, peer := weirtest.Pair(t, socket.Stream)
	peer.Write([]byte("x"))
	sockets, err := weir.Select([]*socket.Socket{a, b}, []*socket.Socket{a}, nil, 0)
	require.NoError(t, err)
	require.Equal(t, weir.Set[*socket.Socket]{Read: []*socket.Socket{b}, Write: []*socket.Socket{a}}, sockets)
	own, err := weir.Select([]wrapped{{a}, {b}}, nil, nil, weir.Forever)
	require.NoError(t, err)
	require.Equal(t, weir.Set[wrapped]{Read: []wrapped{{b}}}, own)
	_, err = weir.Select([]*socket.Socket{a, nil}, nil, nil, 0)
	require.ErrorIs(t, err, unix.EINVAL)
	require.ErrorContains(t, err, "read list, index 1")
}

// A nil context means none, as for a socket.
func TestNilContextIsNone(t *testing.T) {
	var none context.Context
	ready, err := weir.SelectContext(none, list(nil), nil, nil, 0)
	require.NoError(t, err)
	require.Empty(t, ready.Read)
	s := weir.NewSelector()
	defer s.Close()
	found, err := s.Wait(none, 0, nil)
	require.NoError(t, err)
	require.Empty(t, found)
}
