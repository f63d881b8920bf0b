//go:build linux

package simkernel

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"syscall"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// A sock is a socket. What its calls do, and in which order they look at its state, is what
// Linux does in net/ipv4: tcp.c, tcp_input.c, af_inet.c, udp.c.
type sock struct {
	h      *Host
	file   *file      // nil while it has no descriptor
	name   string     // in the trace
	rng    *rand.Rand // of what it sends
	back   *rand.Rand // of what it sends because of what it has received
	chance *rand.Rand // of what happens during calls
	family int
	typ    int

	local, remote netip.AddrPort
	bound         bool // it is in h.bound
	reuse, v6only bool
	reusePort     bool
	linger        unix.Linger
	lowat         int32
	sndbuf        int
	rcvbuf        int
	values        map[option]int32 // options that change nothing

	state      state
	step       step
	err        syscall.Errno // SO_ERROR
	rcvShut    bool
	sndShut    bool
	noSpace    bool   // the last send found no room
	orphan     bool   // it was closed
	attempt    uint64 // the number of the last connect; late events of another one are void
	messages   []message
	queuedSize int // bytes in messages

	listening
	stream
}

// state is the state of TCP, as far as the calls tell states apart.
type state uint8

const (
	closed state = iota
	listens
	synSent
	established
)

// step is the state of connect(2): the kernel's SS_UNCONNECTED and so on.
type step uint8

const (
	unconnected step = iota
	connecting
	connected
	disconnecting
)

// listening is the state of a listener.
type listening struct {
	backlog int
	queue   []*sock // for accept(2)
	opening []*sock // connections on their way to the queue
	filter  bool    // drops the requests of new clients
}

type binding struct {
	typ  int
	port uint16
}

// The sizes of buffers by default: those of Linux, so far as a connection over a local network
// gets to use them.
const (
	usualRecv = 128 << 10
	usualSend = 128 << 10
)

func newSock(h *Host, family, typ, kind int) *sock {
	serial := h.next(kind)
	s := &sock{rng: h.random(kind, 4*serial), back: h.random(kind, 4*serial+1), chance: h.random(kind, 4*serial+2), h: h, family: family, typ: typ, lowat: 1, rcvbuf: usualRecv, sndbuf: usualSend}
	if h.w.trace != nil {
		s.name = fmt.Sprintf("%v#%d", h.addr, int(serial)<<1|kind)
	}
	s.reset()
	return s
}

func (s *sock) wake(bits uint32) {
	if s.file != nil {
		s.file.wake(bits)
	}
}

// takeError returns the error of the socket, and forgets it.
func (s *sock) takeError() syscall.Errno {
	errno := s.err
	s.err = 0
	return errno
}

func (s *sock) poll() (bits uint32) {
	if s.typ == unix.SOCK_DGRAM {
		return s.pollMessages()
	}
	if s.state == listens {
		if len(s.queue) > 0 {
			return unix.EPOLLIN
		}
		return 0
	}
	if s.rcvShut && s.sndShut || s.state == closed {
		bits |= unix.EPOLLHUP
	}
	if s.rcvShut {
		bits |= unix.EPOLLIN | unix.EPOLLRDHUP
	}
	if s.state != synSent {
		if len(s.received) >= int(max(s.lowat, 1)) {
			bits |= unix.EPOLLIN
		}
		switch {
		case s.sndShut || s.writable():
			bits |= unix.EPOLLOUT
		default:
			s.noSpace = true
		}
	}
	if s.err != 0 {
		bits |= unix.EPOLLERR
	}
	return bits
}

func (s *sock) pollMessages() (bits uint32) {
	if s.rcvShut {
		bits |= unix.EPOLLIN | unix.EPOLLRDHUP
	}
	if s.rcvShut && s.sndShut {
		bits |= unix.EPOLLHUP
	}
	if len(s.messages) > 0 {
		bits |= unix.EPOLLIN
	}
	if s.err != 0 {
		bits |= unix.EPOLLERR
	}
	return bits | unix.EPOLLOUT
}

// matches reports whether a packet to an address of the host is for the socket.
func (s *sock) matches(to netip.AddrPort) bool { return s.covers(s.local.Addr(), to.Addr()) }

// Bind implements sys.Kernel.
func (h *Host) Bind(fd int, to *sys.Sockaddr) syscall.Errno {
	c, s, errno := h.sock(fd)
	if errno != 0 {
		return errno
	}
	errno = s.bind(to.Inet())
	c.end("bind", 0, errno)
	return errno
}

func (s *sock) bind(to netip.AddrPort) syscall.Errno {
	switch ip := to.Addr(); {
	case !to.IsValid():
		return unix.EAFNOSUPPORT
	case s.bound:
		return unix.EINVAL
	case s.family == unix.AF_INET && !ip.Is4():
		return unix.EAFNOSUPPORT
	case !ip.IsUnspecified() && !ip.IsLoopback() && ip != s.h.addr:
		return unix.EADDRNOTAVAIL
	}
	if to.Port() == 0 {
		port, errno := s.h.choosePort(s, to.Addr())
		if errno != 0 {
			return errno
		}
		to = netip.AddrPortFrom(to.Addr(), port)
	} else if s.h.conflicts(s, to) {
		return unix.EADDRINUSE
	}
	s.local = to
	s.enter()
	return 0
}

func (s *sock) enter() {
	key := binding{s.typ, s.local.Port()}
	s.h.bound[key] = append(s.h.bound[key], s)
	s.bound = true
}

func (s *sock) leave() {
	if s.bound {
		key := binding{s.typ, s.local.Port()}
		s.h.bound[key] = slices.DeleteFunc(s.h.bound[key], func(x *sock) bool { return x == s })
		s.bound = false
	}
}

// conflicts reports whether another socket keeps s from being bound.
func (h *Host) conflicts(s *sock, to netip.AddrPort) bool {
	for _, x := range h.bound[binding{s.typ, to.Port()}] {
		shares := x.reusePort && s.reusePort ||
			x.reuse && s.reuse && (s.typ == unix.SOCK_DGRAM || x.state != listens)
		if !shares && (s.covers(to.Addr(), x.local.Addr()) || x.covers(x.local.Addr(), to.Addr())) {
			return true
		}
	}
	return false
}

// covers reports whether a packet to the address ip, or to one of its addresses, is for the
// socket when it is bound to at.
func (s *sock) covers(at, ip netip.Addr) bool {
	return at == ip || at.IsUnspecified() && (at.Is4() == ip.Is4() || at.Is6() && !s.v6only)
}

func (h *Host) choosePort(s *sock, at netip.Addr) (uint16, syscall.Errno) {
	const first, last = 32768, 60999
	for range last - first + 1 {
		if h.port++; h.port < first || h.port > last {
			h.port = first
		}
		if len(h.bound[binding{s.typ, h.port}]) == 0 {
			return h.port, 0
		}
	}
	return 0, unix.EADDRNOTAVAIL
}

// route returns the host that has an address, the address to which a packet to it goes, and
// the address from which the socket sends it.
func (s *sock) route(to netip.AddrPort) (at *Host, dest, from netip.AddrPort, errno syscall.Errno) {
	ip := to.Addr()
	own := s.h.addr
	if ip.IsUnspecified() {
		ip = netip.MustParseAddr("127.0.0.1")
		if to.Addr().Is6() {
			ip = netip.IPv6Loopback()
		}
	}
	if ip.IsLoopback() {
		at, own = s.h, ip
	} else if at = s.h.w.hosts[ip]; at == nil {
		return nil, dest, from, unix.EHOSTUNREACH
	}
	if ip.Is4() != own.Is4() {
		return nil, dest, from, unix.ENETUNREACH
	}
	if local := s.local.Addr(); local.IsValid() && !local.IsUnspecified() {
		own = local
	}
	return at, netip.AddrPortFrom(ip, to.Port()), netip.AddrPortFrom(own, s.local.Port()), 0
}

// autobind gives the socket a port, if it has none.
func (s *sock) autobind() syscall.Errno {
	if s.bound {
		return 0
	}
	any := netip.IPv4Unspecified()
	if s.family == unix.AF_INET6 {
		any = netip.IPv6Unspecified()
	}
	return s.bind(netip.AddrPortFrom(any, 0))
}

// Name implements sys.Kernel.
func (h *Host) Name(fd int, a *sys.Sockaddr, peer bool) syscall.Errno {
	c, s, errno := h.sock(fd)
	if errno != 0 {
		return errno
	}
	at := s.local
	if peer {
		at = s.remote
		if !at.IsValid() || s.typ == unix.SOCK_STREAM && s.state != established {
			errno = unix.ENOTCONN
		}
	} else if !at.IsValid() {
		at = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
		if s.family == unix.AF_INET6 {
			at = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
		}
	}
	if errno == 0 {
		a.SetInet(s.family, at)
	}
	c.end("name", 0, errno)
	return errno
}

// Listen implements sys.Kernel.
func (h *Host) Listen(fd, backlog int) syscall.Errno {
	c, s, errno := h.sock(fd)
	if errno != 0 {
		return errno
	}
	switch {
	case s.typ != unix.SOCK_STREAM:
		errno = unix.EOPNOTSUPP
	case s.state != closed && s.state != listens || s.step != unconnected:
		errno = unix.EINVAL
	default:
		errno = s.autobind()
	}
	if errno == 0 {
		const somaxconn = 4096
		if s.backlog = backlog; backlog < 0 || backlog > somaxconn {
			s.backlog = somaxconn
		}
		s.state = listens
	}
	c.end("listen", backlog, errno)
	return errno
}

// Handshakes implements sys.Kernel.
func (h *Host) Handshakes(fd int) (clients []netip.AddrPort) {
	c, s, errno := h.sock(fd)
	if errno != 0 {
		return nil
	}
	for _, x := range s.opening {
		clients = append(clients, x.remote)
	}
	c.end("handshakes", len(clients), 0)
	return clients
}

// Accept implements sys.Kernel.
func (h *Host) Accept(fd int, from *sys.Sockaddr) (int, syscall.Errno) {
	c, s, errno := h.sock(fd)
	if errno != 0 {
		return -1, errno
	}
	child := -1
	switch {
	case h.open >= h.limit: // the kernel takes the descriptor first
		errno = unix.EMFILE
	case s.typ != unix.SOCK_STREAM:
		errno = unix.EOPNOTSUPP
	case s.state != listens:
		errno = unix.EINVAL
	case len(s.queue) == 0:
		errno = unix.EAGAIN
	default:
		x := s.queue[0]
		s.queue = s.queue[1:]
		child = h.addSock(x)
		from.SetInet(s.family, x.remote)
	}
	c.end("accept", 0, errno)
	return child, errno
}

// Connect implements sys.Kernel.
func (h *Host) Connect(fd int, to *sys.Sockaddr) syscall.Errno {
	c, s, errno := h.sock(fd)
	if errno != 0 {
		return errno
	}
	switch at := to.Inet(); {
	case s.typ == unix.SOCK_DGRAM:
		errno = s.connectMessages(at, to.Raw.Addr.Family == unix.AF_UNSPEC)
	case !at.IsValid(), s.family == unix.AF_INET && !at.Addr().Is4():
		errno = unix.EAFNOSUPPORT
	default:
		errno = s.connect(at)
	}
	c.end("connect", 0, errno)
	return errno
}

// Shutdown implements sys.Kernel.
func (h *Host) Shutdown(fd, how int) syscall.Errno {
	c, s, errno := h.sock(fd)
	if errno != 0 {
		return errno
	}
	if how < unix.SHUT_RD || how > unix.SHUT_RDWR {
		errno = unix.EINVAL
	} else {
		errno = s.shutdown(how != unix.SHUT_WR, how != unix.SHUT_RD)
	}
	c.end("shutdown", how, errno)
	return errno
}

func (s *sock) shutdown(read, write bool) (errno syscall.Errno) {
	if s.step == connecting {
		s.step = disconnecting
		if s.state == established {
			s.step = connected
		}
	}
	switch {
	case s.typ == unix.SOCK_DGRAM && !s.remote.IsValid(), s.state == closed && s.typ == unix.SOCK_STREAM:
		errno = unix.ENOTCONN
	case s.state == listens:
		if !read {
			return 0
		}
		s.stopListening()
		s.wake(0)
		return 0
	case s.state == synSent:
		s.disconnect(unix.ECONNRESET)
		s.wake(0)
		return 0
	}
	s.rcvShut = s.rcvShut || read
	if write && !s.sndShut {
		s.sndShut = true
		if s.state == established {
			s.finish()
		}
	}
	s.wake(0)
	return errno
}

// Recv implements sys.Kernel.
func (h *Host) Recv(fd int, buf []byte, flags int, from *sys.Sockaddr) (n, out int, errno syscall.Errno) {
	c, s, errno := h.sock(fd)
	if errno != 0 {
		return 0, 0, errno
	}
	if s.typ == unix.SOCK_DGRAM {
		n, out, errno = s.recvMessage(buf, flags, from)
	} else {
		n, errno = s.recv(buf, flags)
		if from != nil {
			from.Len = 0
		}
	}
	c.end("recv", n, errno)
	return n, out, errno
}

// Send implements sys.Kernel.
func (h *Host) Send(fd int, buf []byte, flags int, to *sys.Sockaddr) (n int, errno syscall.Errno) {
	c, s, errno := h.sock(fd)
	if errno != 0 {
		return 0, errno
	}
	const known = unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT | unix.MSG_MORE | unix.MSG_EOR
	switch {
	case flags&^known != 0:
		errno = unix.EOPNOTSUPP
	case s.typ == unix.SOCK_DGRAM:
		n, errno = s.sendMessage(buf, to)
	default:
		n, errno = s.send(buf)
	}
	c.end("send", n, errno)
	return n, errno
}
