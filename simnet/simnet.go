//go:build linux

// Package simnet is a simulated network for tests of programs that use packages server, net
// and socket of this module. In a bubble of testing/synctest its time is the bubble's: it jumps
// to the next event when all goroutines wait. So a test of a one-hour idle timeout takes about
// a millisecond.
//
//	synctest.Test(t, func(t *testing.T) {
//		n := simnet.New(t, simnet.Options{})
//		srv := &server.Server{Group: n.Host("10.0.0.1").Group(1), ...}
//		_, err := srv.Listen("tcp", "10.0.0.1:80")
//		d := net.Dialer{Group: n.Host("10.0.0.2").Group(1)}
//		c, err := d.Dial("tcp", "10.0.0.1:80")
//		time.Sleep(time.Hour)
//		...
//		srv.Close()
//	})
//
// # What is simulated
//
// A Host has TCP and UDP sockets of IPv4 and IPv6, on the address that the test gives it and on
// its loopback addresses. Sockets behave as those of Linux: the backlog, the buffers and their
// bounds, half-closed and reset connections, SO_LINGER, SO_RCVLOWAT, epoll with edges, EMFILE.
// A Link between two hosts has latency, jitter and bandwidth; it loses and duplicates packets,
// resets connections, and can be cut. TCP sends lost segments again, after 200 ms at first.
//
// Not simulated are unix sockets, urgent data, control messages, multicast, TCP Fast Open,
// MPTCP, keep-alive probes and names: dial IP addresses. Calls for these fail, with EOPNOTSUPP,
// ENOPROTOOPT or EAFNOSUPPORT. These options are kept and have no effect: SO_KEEPALIVE and its
// times, SO_BROADCAST, SO_PRIORITY, TCP_NODELAY (each send leaves at once), TCP_CORK,
// TCP_QUICKACK, TCP_NOTSENT_LOWAT, and those of the IP header. What sendfile(2) and splice(2) do
// for real sockets is a copy. File of package net and Server.Inherit fail, because there is no
// real descriptor. A Select or Selector must not have simulated and real sockets together. A
// forgotten socket is not closed by the garbage collector.
//
// # Seeds
//
// The seed decides the order of events that have the same time, how the kernel cuts a stream
// into segments, which packets are lost, how many events one epoll_wait(2) returns and in which
// order, and where goroutines yield. The same seed gives the same decisions for the same
// sequence of calls on each socket. Between two events the Go scheduler still decides which of
// several runnable goroutines runs first; with GOMAXPROCS(1) it repeats itself, unless it
// preempts a goroutine. Seeds runs a test with many seeds.
//
// Outside a bubble a Network works, too, in real time.
package simnet

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/simkernel"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
)

// Options are the options of a Network. The zero Options have seed 0 and links without delay.
type Options struct {
	// Seed decides what else is left to chance.
	Seed uint64
	// Link is how all links between different hosts begin.
	Link Link
	// Trace has Trace return what has happened, and a failed test log it. It costs time and
	// memory. The flag -sim.trace sets it.
	Trace bool
}

// A Link says how packets get from one host to another. The zero Link has no delay and no
// bound.
type Link struct {
	// Latency is how long a packet is on its way. Each packet takes up to Jitter longer, so
	// that packets overtake each other. A TCP stream stays in order all the same.
	Latency, Jitter time.Duration
	// Rate is how many bytes leave in a second; 0 is no bound.
	Rate int
	// Segment is how many bytes a TCP segment has at most. With 0 the seed decides, and a
	// segment has 64 KiB at most.
	Segment int
	// Loss and Duplicate are the probabilities, 0 to 1, with which the link loses a packet,
	// and with which it delivers a datagram twice.
	Loss, Duplicate float64
	// ResetAt, if it is not 0, is the number of the byte of each connection, beginning with 1,
	// that does not arrive over this link: the connection is reset instead.
	ResetAt int64
	// Cut makes the link lose everything.
	Cut bool
}

func (l Link) inside() simkernel.Link { return simkernel.Link(l) }

// A Network is a number of simulated hosts. Make it with New. It is concurrency-safe.
type Network struct {
	t     testing.TB
	world *simkernel.World
	trace *simkernel.Trace

	mu     sync.Mutex
	hosts  map[netip.Addr]*Host
	closed bool
}

// New makes a Network. t may be nil; otherwise the end of the test closes the Network, and a
// failed test logs the seed. In a bubble call New in the bubble.
func New(t testing.TB, opts Options) *Network {
	n := &Network{t: t, hosts: make(map[netip.Addr]*Host)}
	if opts.Trace || *traces {
		n.trace = new(simkernel.Trace)
	}
	n.world = simkernel.New(opts.Seed, opts.Link.inside(), n.trace)
	if t != nil {
		t.Cleanup(func() {
			n.Close()
			if t.Failed() {
				t.Logf("simnet: the seed is %d\n%s", opts.Seed, n.Trace())
			}
		})
	}
	return n
}

// Close closes the groups that the hosts have made, with their sockets, and then the hosts. Their
// descriptors are EBADF from then on. A second Close does nothing.
func (n *Network) Close() {
	n.mu.Lock()
	was := n.closed
	n.closed = true
	n.mu.Unlock()
	if was {
		return
	}
	for _, h := range n.hosts {
		for _, g := range h.groups {
			_ = g.Close() // the program may have closed it
		}
	}
	n.world.Close()
}

// Events returns how many events have happened so far: packets and timers.
func (n *Network) Events() uint64 { return n.world.Events() }

// Trace returns what has happened, one line for each system call on a simulated socket, if
// Options.Trace is set. Call it after Close.
func (n *Network) Trace() string {
	if n.trace == nil {
		return ""
	}
	return n.trace.String()
}

// fail ends the test, or panics without one.
func (n *Network) fail(format string, args ...any) {
	if n.t == nil {
		panic(fmt.Sprintf("simnet: "+format, args...))
	}
	n.t.Helper()
	n.t.Fatalf("simnet: "+format, args...)
}

func (n *Network) addr(ip string) netip.Addr {
	a, err := netip.ParseAddr(ip)
	if err != nil || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.Zone() != "" || a.Is4In6() {
		n.fail("%q is not the IP address of a host", ip)
	}
	return a
}

// Host returns the host with an IP address. The first call for an address makes it. An address
// that a host cannot have ends the test.
func (n *Network) Host(ip string) *Host {
	a := n.addr(ip)
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[a]
	if h == nil {
		k, err := n.world.Host(a)
		if err != nil {
			n.fail("host %s: %v", ip, err)
		}
		h = &Host{n: n, kernel: k}
		n.hosts[a] = h
	}
	return h
}

// Link sets the link from one host to another. The other direction has a Link of its own.
func (n *Network) Link(from, to string, l Link) {
	n.world.SetLink(n.addr(from), n.addr(to), l.inside())
}

// Cut makes the links between two hosts lose everything, in both directions, until Heal.
func (n *Network) Cut(a, b string) { n.setCut(a, b, true) }

// Heal ends what Cut has begun. TCP sends again at its next attempt, up to two minutes later.
func (n *Network) Heal(a, b string) { n.setCut(a, b, false) }

func (n *Network) setCut(a, b string, cut bool) {
	x, y := n.addr(a), n.addr(b)
	set := func(l *simkernel.Link) { l.Cut = cut }
	n.world.ChangeLink(x, y, set)
	n.world.ChangeLink(y, x, set)
}

// A Host is a simulated host with one process. It is concurrency-safe.
type Host struct {
	n      *Network
	kernel *simkernel.Host
	groups []*loop.Group
}

// Group makes a group of loops on the host. Sockets that are opened on it are sockets of the
// host. Close of the Network closes it. The number must be 1 at least.
func (h *Host) Group(loops int) *loop.Group { return h.GroupWith(loops, nil, loop.Options{}) }

// GroupWith is Group with the policy and the options of loop.NewGroup. Strategy, BusyPoll, Hold,
// NoAlone and LockThread have no effect, except that a loop with poller.HoldAlways polls as long
// as a goroutine that it has woken has not run.
func (h *Host) GroupWith(loops int, policy loop.Policy, opts loop.Options) *loop.Group {
	opts.Kernel, opts.Strategy = h.kernel, poller.Automatic
	g, err := loop.NewGroup(loops, policy, opts)
	if err != nil {
		h.n.fail("group: %v", err)
	}
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	h.groups = append(h.groups, g)
	return g
}

// SetLimit sets how many sockets the host may have open. When they are, socket(2) and accept(2)
// fail with EMFILE.
func (h *Host) SetLimit(sockets int) { h.kernel.SetLimit(sockets) }

// Open returns how many sockets of the host are open.
func (h *Host) Open() int { return h.kernel.Open() }
