package simkernel_test

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2334f180/weir/internal/simkernel"
	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var scripts = flag.Int("kernel.scripts", 60, "how many random scripts run on both kernels")

// A run makes system calls on sockets of one kernel, and writes down what they return.
type run struct {
	t     *testing.T
	pause time.Duration // after which the real kernel has done everything
	k     sys.Kernel    // nil is the real one
	rng   *rand.Rand    // both kernels' runs draw the same
	typ   int
	fds   map[string]int
	epfd  int
	keys  map[int32]string
	to    sys.Sockaddr // of the listener, or of the first datagram socket
	sent  byte
	out   strings.Builder
}

// settle waits until packets have arrived.
func (r *run) settle() {
	if r.k != nil {
		time.Sleep(time.Hour) // of simulated time
		return
	}
	time.Sleep(r.pause)
}

func (r *run) open(name string) {
	fd, err := sys.Socket(r.k, unix.AF_INET, r.typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(r.t, err)
	r.fds[name] = fd
	r.watch(name)
}

func (r *run) watch(name string) {
	key := int32(len(r.keys) + 1)
	r.keys[key] = name
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET, Fd: key}
	require.NoError(r.t, sys.EpollCtl(r.epfd, unix.EPOLL_CTL_ADD, r.fds[name], &ev))
}

// note writes a result down.
func (r *run) note(format string, args ...any) { fmt.Fprintf(&r.out, format, args...) }

func result(n int, err error) string {
	if err == nil || err == syscall.Errno(0) {
		return fmt.Sprint(n)
	}
	return unix.ErrnoName(err.(syscall.Errno))
}

// state writes the conditions of all sockets down, and the edges that epoll has reported.
func (r *run) state() {
	r.settle()
	names := make([]string, 0, len(r.fds))
	for name := range r.fds {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		r.note(" %s:%s", name, bits(uint32(sys.Polled(r.fds[name], unix.POLLIN|unix.POLLOUT|unix.POLLRDHUP|unix.POLLPRI|unix.POLLERR|unix.POLLHUP))))
	}
	var events [16]unix.EpollEvent
	var n int
	if r.k != nil {
		for { // the simulated kernel may return them one after the other
			k, errno := sys.SimulatedEpollWait(r.epfd, events[n:], false)
			require.Zero(r.t, errno)
			if n += k; k == 0 {
				break
			}
		}
	} else {
		var err error
		n, err = unix.EpollWait(r.epfd, events[:], 0)
		require.NoError(r.t, err)
	}
	slices.SortFunc(events[:n], func(a, b unix.EpollEvent) int { return cmp.Compare(a.Fd, b.Fd) })
	for _, ev := range events[:n] {
		r.note(" edge %s:%s", r.keys[ev.Fd], bits(ev.Events))
	}
	r.note("\n")
}

func bits(b uint32) string {
	var names []string
	for _, x := range []struct {
		bit  uint32
		name string
	}{{unix.EPOLLIN, "IN"}, {unix.EPOLLOUT, "OUT"}, {unix.EPOLLRDHUP, "RDHUP"}, {unix.EPOLLPRI, "PRI"}, {unix.EPOLLERR, "ERR"}, {unix.EPOLLHUP, "HUP"}} {
		if b&x.bit != 0 {
			names = append(names, x.name)
		}
	}
	return strings.Join(names, "|")
}

func (r *run) connect(name string) { r.note("%s", result(0, sys.Connect(r.fds[name], &r.to))) }

func (r *run) accept() {
	if r.fds["a"] != 0 {
		return
	}
	var from sys.Sockaddr
	fd, errno := sys.Accept(r.fds["l"], &from)
	if errno != 0 {
		r.note("%s", result(0, errno))
		return
	}
	r.fds["a"] = fd
	r.watch("a")
	r.note("%v", from.Inet().Addr())
}

func (r *run) send(name string, n int) {
	p := make([]byte, n)
	for i := range p {
		r.sent++
		p[i] = r.sent
	}
	got, errno := sys.Send(r.fds[name], p, 0)
	r.note("%s", result(got, errno))
}

func (r *run) recv(name string, n, flags int) {
	p := make([]byte, n)
	got, errno := sys.Recv(r.fds[name], p, flags)
	r.note("%s %v", result(got, errno), p[:min(got, 3)])
}

func (r *run) close(name string, reset bool) {
	if reset {
		require.NoError(r.t, sys.SetLinger(r.fds[name], 0))
	}
	require.NoError(r.t, sys.Close(r.fds[name]))
	delete(r.fds, name)
}

// step makes one random call.
func (r *run) step() {
	names := []string{"l", "c", "a"}
	name := names[r.rng.IntN(3)]
	if r.rng.IntN(3) > 0 { // most often a connection
		name = names[1+r.rng.IntN(2)]
	}
	op, n := r.rng.IntN(19), 1+r.rng.IntN(300)
	if _, open := r.fds[name]; !open {
		switch name {
		case "c":
			r.note("open c")
			r.open("c")
		case "a":
			if _, open := r.fds["l"]; open {
				r.note("accept ")
				r.accept()
			}
		}
		r.state()
		return
	}
	fd := r.fds[name]
	switch op {
	case 0, 1, 2, 3:
		r.note("send %s %d: ", name, n)
		r.send(name, n)
	case 4, 5, 6:
		r.note("recv %s %d: ", name, n)
		r.recv(name, n, 0)
	case 7:
		r.note("peek %s %d: ", name, n)
		r.recv(name, n, unix.MSG_PEEK)
	case 8, 9:
		how := r.rng.IntN(3)
		r.note("shutdown %s %d: %s", name, how, result(0, sys.Shutdown(fd, how)))
	case 10:
		r.note("close %s", name)
		r.close(name, false)
	case 11:
		r.note("reset %s", name)
		r.close(name, true)
	case 12:
		v, err := sys.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		r.note("SO_ERROR %s: %s", name, result(v, err))
	case 13:
		v, err := sys.IoctlGetInt(fd, unix.SIOCINQ)
		r.note("inq %s: %s", name, result(v, err))
	case 14:
		var at sys.Sockaddr
		r.note("peer %s: %s", name, result(0, sys.Getpeername(fd, &at)))
	case 15:
		r.note("accept on %s: ", name)
		if name == "l" {
			r.accept()
		}
	case 16:
		v, err := sys.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		r.note("listens %s: %s", name, result(v, err))
	default:
		r.note("connect %s: ", name)
		if name != "l" {
			r.connect(name)
		}
	}
	r.state()
}

// begin makes a listener, and mostly a connection.
func (r *run) begin() {
	var err error
	r.epfd, err = sys.EpollCreate(r.k)
	require.NoError(r.t, err)
	r.open("l")
	r.to.SetInet(unix.AF_INET, netip.MustParseAddrPort("127.0.0.1:0"))
	require.Zero(r.t, sys.Bind(r.fds["l"], &r.to))
	require.Zero(r.t, sys.Getsockname(r.fds["l"], &r.to))
	r.open("c")
	if r.typ == unix.SOCK_DGRAM {
		r.open("a")
		return
	}
	if r.rng.IntN(8) > 0 {
		r.note("listen: %s", result(0, sys.Listen(r.fds["l"], 5)))
	}
	r.state()
	if r.rng.IntN(8) > 0 {
		r.note("connect: ")
		r.connect("c")
		r.state()
		r.connect("c")
		r.state()
		r.accept()
		r.state()
	}
}

func (r *run) play(steps int) string {
	defer func() {
		for _, fd := range r.fds {
			_ = sys.Close(fd)
		}
		_ = sys.Close(r.epfd)
	}()
	r.begin()
	for range steps {
		r.step()
	}
	return r.out.String()
}

func newRun(t *testing.T, k sys.Kernel, typ int, seed uint64) *run {
	return &run{t: t, k: k, rng: rand.New(rand.NewPCG(seed, uint64(typ))), typ: typ, fds: make(map[string]int), keys: make(map[int32]string)}
}

// The simulated kernel and the real one give the same results, conditions and edges for random
// scripts.
func TestAgreesWithTheKernel(t *testing.T) {
	for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
		for seed := range uint64(*scripts) {
			const steps = 12
			var simulated string
			synctest.Test(t, func(t *testing.T) {
				w := simkernel.New(seed, simkernel.Link{}, nil)
				defer w.Close()
				h, err := w.Host(netip.MustParseAddr("10.0.0.1"))
				require.NoError(t, err)
				simulated = newRun(t, h, typ, seed).play(steps)
			})
			// A busy machine takes longer.
			for pause := time.Millisecond; ; pause *= 8 {
				real := newRun(t, nil, typ, seed)
				real.pause = pause
				what := difference(real.play(steps), simulated)
				if what == "" {
					break
				}
				require.Less(t, pause, 100*time.Millisecond, "type %d, seed %d: %s", typ, seed, what)
			}
		}
	}
}

// difference returns the first line that differs, and those before it. The kernel may report
// edges that the simulated one does not, because it acknowledges late.
func difference(real, simulated string) string {
	a, b := strings.Split(real, "\n"), strings.Split(simulated, "\n")
	for i := range min(len(a), len(b)) {
		want, edges, _ := strings.Cut(a[i], " edge ")
		got, more, found := strings.Cut(b[i], " edge ")
		same := want == got
		if found {
			for edge := range strings.SplitSeq(more, " edge ") {
				same = same && slices.Contains(strings.Split(edges, " edge "), edge)
			}
		}
		if !same {
			return fmt.Sprintf("after\n%s\nthe kernel gave\n%s\nand the simulated one\n%s", strings.Join(a[:i], "\n"), a[i], b[i])
		}
	}
	return ""
}
