package oracle

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A kind is a family and type of sockets.
type kind struct {
	name               string
	family, typ, proto int
}

var (
	tcp       = kind{"tcp", unix.AF_INET, unix.SOCK_STREAM, 0}
	tcp6      = kind{"tcp6", unix.AF_INET6, unix.SOCK_STREAM, 0}
	unixes    = kind{"unix", unix.AF_UNIX, unix.SOCK_STREAM, 0}
	seqpacket = kind{"seqpacket", unix.AF_UNIX, unix.SOCK_SEQPACKET, 0}
	udp       = kind{"udp", unix.AF_INET, unix.SOCK_DGRAM, 0}
	udp6      = kind{"udp6", unix.AF_INET6, unix.SOCK_DGRAM, 0}
	unixgram  = kind{"unixgram", unix.AF_UNIX, unix.SOCK_DGRAM, 0}
)

func (k kind) isTCP() bool   { return k.family != unix.AF_UNIX && k.typ == unix.SOCK_STREAM }
func (k kind) listens() bool { return k.typ != unix.SOCK_DGRAM }

// A fixture is the state in which a scenario begins.
type fixture struct {
	kind
	state func(*world)
}

// fixtures returns the same state for several kinds.
func fixtures(state func(*world), kinds ...kind) (list []fixture) {
	for _, k := range kinds {
		list = append(list, fixture{k, state})
	}
	return list
}

// fresh has a new socket without any call.
func fresh(kinds ...kind) []fixture {
	return fixtures(func(w *world) { w.socks["s"] = w.open(nil) }, kinds...)
}

// bound has a socket with a local address.
func bound(kinds ...kind) []fixture {
	return fixtures(func(w *world) { w.socks["s"] = w.open(w.local()) }, kinds...)
}

// listening has a listener whose backlog has room.
func listening(kinds ...kind) []fixture {
	return fixtures(func(w *world) {
		s := w.open(w.local())
		require.Zero(w.t, s.listen(8))
		w.socks["s"] = s
	}, kinds...)
}

// facing has a fresh socket and a peer "l" to which the socket can connect: a listener
// with the given backlog, or a bound datagram socket.
func facing(backlog int, kinds ...kind) []fixture {
	return fixtures(func(w *world) {
		w.socks["s"] = w.open(nil)
		w.face(backlog)
	}, kinds...)
}

// pair has a socket that is connected to the peer "p".
func pair(kinds ...kind) []fixture {
	return fixtures(func(w *world) {
		if !w.kind.listens() {
			s := w.open(w.local())
			l := w.face(0)
			w.socks["s"], w.peers["p"] = s, l
			w.known("p", l.fd)
			require.Zero(w.t, s.connect(w.target))
			require.NoError(w.t, unix.Connect(l.fd, nameOf(w.t, s.fd(), unix.Getsockname)))
			return
		}
		var local *target
		if !w.kind.isTCP() {
			local = w.local()
		}
		s := w.open(local)
		l := w.face(1)
		if w.kind.isTCP() {
			// The kernel changes the sizes that it chooses itself while data is queued.
			require.NoError(w.t, unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 32<<10))
			require.NoError(w.t, unix.SetsockoptInt(s.fd(), unix.SOL_SOCKET, unix.SO_SNDBUF, 16<<10))
		}
		require.Zero(w.t, s.connect(w.target))
		w.socks["s"], w.peers["p"] = s, w.admit(l)
		w.known("p", l.fd) // the connection has the listener's address
	}, kinds...)
}

// A world has the state of one run of one scenario: its sockets, its peers, and the calls
// in progress.
type world struct {
	t       *testing.T
	backend backend
	kind    kind
	peers   map[string]*peer
	calls   []*call
	target  target // the address to which connect connects
	crowd   []int  // descriptors of peers that only fill the backlog

	mu      sync.Mutex // guards the fields that background calls use
	socks   map[string]endpoint
	sent    []byte            // the bytes that the socket's sends have taken
	targets map[string]target // other targets, by the name of the peer
	names   map[string]string // names of sockets and peers, by the text of their address
	token   int               // the descriptor that messages carry; -1 until one needs it
}

var worlds atomic.Int64

func newWorld(t *testing.T, b backend, f fixture) *world {
	w := &world{t: t, backend: b, kind: f.kind, socks: map[string]endpoint{}, peers: map[string]*peer{},
		targets: map[string]target{}, names: map[string]string{}, token: -1}
	f.state(w)
	return w
}

// close frees everything that the scenario has left. The end of the peers ends calls that
// are still blocked; a shutdown ends the others.
func (w *world) close() {
	for _, fd := range w.crowd {
		unix.Close(fd)
	}
	for _, p := range w.peers {
		p.close()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.token >= 0 {
		unix.Close(w.token)
		w.token = -1
	}
	for _, s := range w.socks {
		s.shutdown(unix.SHUT_RDWR)
		s.close()
	}
}

func (w *world) sock(name string) endpoint {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.socks[name]
}

func (w *world) accepted(a endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.socks["a"] = a
}

// taken records the bytes of a send, and returns how many bytes the sends have taken in
// all.
func (w *world) taken(data []byte) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, data...)
	return len(w.sent)
}

func (w *world) open(local *target) endpoint {
	if w.kind.family == unix.AF_INET6 {
		machine.NeedIPv6(w.t)
	}
	s, errno := w.backend.open(w.kind, local)
	switch errno {
	case unix.EPERM, unix.EACCES, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT:
		if w.kind.special() {
			machine.Missing(w.t, "there are no %s sockets for this user: %v", w.kind.name, errno)
		}
	}
	require.Zero(w.t, errno, "socket")
	return s
}

// local returns an address that no other scenario has.
func (w *world) local() *target {
	switch w.kind.family {
	case unix.AF_INET:
		return at(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, "127.0.0.1")
	case unix.AF_INET6:
		machine.NeedIPv6(w.t)
		return at(&unix.SockaddrInet6{Addr: [16]byte{15: 1}}, "::1")
	}
	name := fmt.Sprintf("@weir-oracle-%d-%d", unix.Getpid(), worlds.Add(1))
	return at(&unix.SockaddrUnix{Name: name}, name)
}

func at(sa unix.Sockaddr, host string) *target {
	return &target{sa: sa, host: host, addr: addrOf(sa)}
}

// face makes the peer "l" to which the socket can connect.
func (w *world) face(backlog int) *peer {
	l := w.plain()
	w.peers["l"] = l
	require.NoError(w.t, unix.Bind(l.fd, w.local().sa))
	if w.kind.listens() {
		require.NoError(w.t, unix.Listen(l.fd, backlog))
	}
	w.target = w.known("l", l.fd)
	return l
}

// known gives the address of a descriptor a name for the outcomes.
func (w *world) known(name string, fd int) target {
	sa := nameOf(w.t, fd, unix.Getsockname)
	to := target{sa: sa, addr: addrOf(sa)}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		to.host, to.service = "127.0.0.1", fmt.Sprint(sa.Port)
	case *unix.SockaddrInet6:
		to.host, to.service = "::1", fmt.Sprint(sa.Port)
	case *unix.SockaddrUnix:
		to.host = sa.Name
	}
	w.introduce(name, to)
	return to
}

// introduce gives an address a name.
func (w *world) introduce(name string, to target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.targets[name] = to
	w.names[to.addr.String()] = name
}

// plain returns a new peer.
func (w *world) plain() *peer {
	fd, err := unix.Socket(w.kind.family, w.kind.typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	require.NoError(w.t, err)
	return &peer{t: w.t, fd: fd, tcp: w.kind.isTCP()}
}

// admit accepts a connection in a peer's backlog.
func (w *world) admit(l *peer) *peer {
	l.await(unix.POLLIN)
	fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	require.NoError(w.t, err)
	return &peer{t: w.t, fd: fd, tcp: l.tcp}
}

func nameOf(t *testing.T, fd int, get func(int) (unix.Sockaddr, error)) unix.Sockaddr {
	sa, err := get(fd)
	require.NoError(t, err)
	return sa
}

// errnoName returns the name of an errno for the outcomes.
func errnoName(errno syscall.Errno) string {
	switch errno {
	case 0:
		return "ok"
	case unix.EOPNOTSUPP: // the same number as ENOTSUP
		return "EOPNOTSUPP"
	}
	return unix.ErrnoName(errno)
}
