package simkernel_test

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2334f180/weir/internal/simkernel"
	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A script makes system calls on one kernel, and writes down what they return.
type script struct {
	t     *testing.T
	k     sys.Kernel // nil is the real one
	lines []string
	fds   []int
}

// agree runs a script on the simulated kernel and on the real one, and compares what they
// have written down.
func agree(t *testing.T, f func(s *script)) {
	t.Helper()
	var simulated []string
	synctest.Test(t, func(t *testing.T) {
		w := simkernel.New(1, simkernel.Link{}, nil)
		defer w.Close()
		h, err := w.Host(netip.MustParseAddr("10.0.0.1"))
		require.NoError(t, err)
		s := &script{t: t, k: h}
		defer s.closeAll()
		f(s)
		simulated = s.lines
	})
	s := &script{t: t}
	defer s.closeAll()
	f(s)
	for i := range min(len(simulated), len(s.lines)) {
		require.Equal(t, s.lines[i], simulated[i], "the real kernel's result and the simulated one's differ in line %d, after\n%s", i, strings.Join(s.lines[max(i-5, 0):i], "\n"))
	}
	require.Len(t, simulated, len(s.lines))
}

func (s *script) closeAll() {
	for _, fd := range s.fds {
		_ = sys.Close(fd)
	}
	s.fds = nil
}

// note writes a line down.
func (s *script) note(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// code is the name of an errno, or "ok".
func code(err error) string {
	if err == nil || err == syscall.Errno(0) {
		return "ok"
	}
	return unix.ErrnoName(err.(syscall.Errno))
}

func (s *script) socket(family, typ int) int {
	fd, err := sys.Socket(s.k, family, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(s.t, err)
	s.fds = append(s.fds, fd)
	return fd
}

func sockaddr(family int, at string) *sys.Sockaddr {
	var a sys.Sockaddr
	a.SetInet(family, netip.MustParseAddrPort(at))
	return &a
}

// local binds a socket to a free port of the loopback and returns the address.
func (s *script) local(fd, family int, at string) *sys.Sockaddr {
	require.Zero(s.t, sys.Bind(fd, sockaddr(family, at)))
	a := new(sys.Sockaddr)
	require.Zero(s.t, sys.Getsockname(fd, a))
	return a
}

// until waits until a socket has a condition.
func (s *script) until(fd int, bits int16) {
	for range 5000 {
		if sys.Polled(fd, bits)&bits != 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	s.t.Fatal("the condition did not come")
}

const conditions = unix.POLLIN | unix.POLLOUT | unix.POLLRDHUP | unix.POLLPRI | unix.POLLERR | unix.POLLHUP

func (s *script) state(what string, fd int) {
	s.note("%s has %s", what, bits(uint32(sys.Polled(fd, conditions))))
}

// connection returns the ends of a TCP connection, and the listener.
func (s *script) connection(family int, at string) (c, a, l int) {
	l = s.socket(family, unix.SOCK_STREAM)
	to := s.local(l, family, at)
	require.NoError(s.t, sys.Listen(l, 4))
	c = s.socket(family, unix.SOCK_STREAM)
	require.Equal(s.t, unix.EINPROGRESS, sys.Connect(c, to))
	s.until(l, unix.POLLIN)
	var from sys.Sockaddr
	a, errno := sys.Accept(l, &from)
	require.Zero(s.t, errno)
	s.fds = append(s.fds, a)
	require.Equal(s.t, addrOf(s.t, sys.Getsockname, c), from.Inet())
	require.Equal(s.t, addrOf(s.t, sys.Getpeername, a), from.Inet())
	require.Equal(s.t, addrOf(s.t, sys.Getpeername, c), to.Inet())
	require.Zero(s.t, sys.Connect(c, to), "the first call after the connection")
	return c, a, l
}

func addrOf(t *testing.T, name func(int, *sys.Sockaddr) syscall.Errno, fd int) netip.AddrPort {
	var a sys.Sockaddr
	require.Zero(t, name(fd, &a))
	return a.Inet()
}

func TestAgreesAboutSockets(t *testing.T) {
	agree(t, func(s *script) {
		for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET} {
			for _, protocol := range []int{0, unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
				fd, err := sys.Socket(s.k, unix.AF_INET, typ|unix.SOCK_CLOEXEC, protocol)
				s.note("socket %d %d: %s", typ, protocol, code(err))
				if err == nil {
					s.fds = append(s.fds, fd)
				}
			}
		}
	})
}

func TestAgreesAboutOptions(t *testing.T) {
	options := [][2]int{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE}, {unix.SOL_SOCKET, unix.SO_BROADCAST},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY}, {unix.IPPROTO_TCP, unix.TCP_CORK}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}, {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
		{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT}, {unix.IPPROTO_IP, unix.IP_TTL},
		{unix.SOL_SOCKET, unix.SO_REUSEADDR}, {unix.SOL_SOCKET, unix.SO_REUSEPORT}, {unix.SOL_SOCKET, unix.SO_RCVLOWAT},
		{unix.IPPROTO_TCP, 199}, {unix.SOL_SOCKET, 2000},
	}
	agree(t, func(s *script) {
		for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
			fd := s.socket(unix.AF_INET, typ)
			for _, o := range options {
				for _, v := range []int{1, 5} {
					err := sys.SetsockoptInt(fd, o[0], o[1], v)
					s.note("type %d, option %v = %d: %s", typ, o, v, code(err))
				}
				if err := sys.Setsockopt(fd, o[0], o[1], make([]byte, 3)); o[1] < 199 && (typ == unix.SOCK_STREAM || o[0] != unix.IPPROTO_TCP) {
					s.note("type %d, option %v, 3 bytes: %s", typ, o, code(err))
				}
			}
			// Each has kept its value while others were set.
			for _, o := range options {
				if typ == unix.SOCK_DGRAM && o[0] == unix.IPPROTO_TCP {
					continue // the real kernel refuses, with another errno
				}
				v, err := sys.GetsockoptInt(fd, o[0], o[1])
				s.note("type %d, option %v is %d: %s", typ, o, v, code(err))
			}
			for _, o := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT, unix.SO_RCVLOWAT} {
				require.NoError(t, sys.SetsockoptInt(fd, unix.SOL_SOCKET, o, 0))
				v, err := sys.GetsockoptInt(fd, unix.SOL_SOCKET, o)
				s.note("type %d, option %d is %d: %s", typ, o, v, code(err))
			}
			for _, o := range []int{unix.SO_TYPE, unix.SO_DOMAIN, unix.SO_PROTOCOL, unix.SO_ACCEPTCONN, unix.SO_ERROR} {
				v, err := sys.GetsockoptInt(fd, unix.SOL_SOCKET, o)
				s.note("type %d, option %d is %d: %s", typ, o, v, code(err))
			}
			for _, o := range []int{unix.SO_RCVBUF, unix.SO_SNDBUF} {
				require.NoError(t, sys.SetsockoptInt(fd, unix.SOL_SOCKET, o, 20000))
				v, err := sys.GetsockoptInt(fd, unix.SOL_SOCKET, o)
				s.note("type %d, option %d is %d: %s", typ, o, v, code(err))
			}
			require.NoError(t, sys.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1))
			v, err := sys.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
			s.note("the least SO_SNDBUF is %d: %s", v, code(err))
			s.note("SO_LINGER of 4 bytes: %s", code(sys.Setsockopt(fd, unix.SOL_SOCKET, unix.SO_LINGER, make([]byte, 4))))
			require.NoError(t, sys.SetLinger(fd, 7))
			linger, err := sys.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER)
			s.note("SO_LINGER %v: %s", *linger, code(err))
			for _, o := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
				tv, err := sys.GetsockoptTimeval(fd, unix.SOL_SOCKET, o)
				s.note("timeout %v: %s", *tv, code(err))
			}
		}
	})
}

func TestAgreesAboutIPv6(t *testing.T) {
	machine.NeedIPv6(t)
	agree(t, func(s *script) {
		fd := s.socket(unix.AF_INET6, unix.SOCK_STREAM)
		s.note("its name is %v", addrOf(t, sys.Getsockname, fd))
		for _, v := range []int{1, 0} {
			require.NoError(t, sys.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v))
			got, err := sys.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
			s.note("IPV6_V6ONLY %d: %s", got, code(err))
		}
		c, a, _ := s.connection(unix.AF_INET6, "[::1]:0")
		s.note("%v, %v", addrOf(t, sys.Getpeername, c).Addr(), addrOf(t, sys.Getpeername, a).Addr())

		// The unspecified address is the loopback's, of the family.
		u := s.socket(unix.AF_INET6, unix.SOCK_DGRAM)
		at := s.local(u, unix.AF_INET6, "[::]:0").Inet().Port()
		require.Zero(t, sys.Connect(u, sockaddr(unix.AF_INET6, fmt.Sprintf("[::]:%d", at))))
		s.note("connected to %v from %v", addrOf(t, sys.Getpeername, u).Addr(), addrOf(t, sys.Getsockname, u).Addr())

		// An IPv4 socket has no IPv6 addresses.
		v4 := s.socket(unix.AF_INET, unix.SOCK_STREAM)
		s.note("bind: %s", code(sys.Bind(v4, sockaddr(unix.AF_INET6, "[::1]:0"))))
		s.note("connect: %s", code(sys.Connect(v4, sockaddr(unix.AF_INET6, "[::1]:1"))))
		d4 := s.socket(unix.AF_INET, unix.SOCK_DGRAM)
		s.note("connect: %s", code(sys.Connect(d4, sockaddr(unix.AF_INET6, "[::1]:1"))))

		// A dual-stack listener gets IPv4 connections, and one with IPV6_V6ONLY does not.
		for _, only := range []int{0, 1} {
			l := s.socket(unix.AF_INET6, unix.SOCK_STREAM)
			require.NoError(t, sys.SetsockoptInt(l, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only))
			port := s.local(l, unix.AF_INET6, "[::]:0").Inet().Port()
			require.NoError(t, sys.Listen(l, 1))
			c := s.socket(unix.AF_INET, unix.SOCK_STREAM)
			require.Equal(t, unix.EINPROGRESS, sys.Connect(c, sockaddr(unix.AF_INET, fmt.Sprintf("127.0.0.1:%d", port))))
			s.until(c, unix.POLLOUT|unix.POLLHUP)
			s.note("IPv4 to a listener with IPV6_V6ONLY %d: %s", only, bits(uint32(sys.Polled(c, conditions))))
		}
	})
}

// Which sockets can have the same port depends on their addresses and options.
func TestAgreesAboutPorts(t *testing.T) {
	type end struct {
		family                   int
		at                       string
		only, reuse, share, hear bool
	}
	var ends []end
	hosts := []struct {
		family int
		at     string
	}{{unix.AF_INET, "0.0.0.0"}, {unix.AF_INET, "127.0.0.1"}, {unix.AF_INET, "127.0.0.2"}}
	six := true
	if fd, err := sys.Socket(nil, unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil || sys.Bind(fd, sockaddr(unix.AF_INET6, "[::1]:0")) != 0 {
		six = false
		t.Log("without IPv6 addresses: there is no IPv6")
	} else {
		_ = sys.Close(fd)
	}
	if six {
		hosts = append(hosts, []struct {
			family int
			at     string
		}{{unix.AF_INET6, "[::]"}, {unix.AF_INET6, "[::1]"}}...)
	}
	for _, h := range hosts {
		for i := range 16 {
			e := end{h.family, h.at, i&1 != 0, i&2 != 0, i&4 != 0, i&8 != 0}
			if !e.only || e.family == unix.AF_INET6 {
				ends = append(ends, e)
			}
		}
	}
	flag := func(s *script, fd, level, option int, set bool) {
		if set {
			require.NoError(t, sys.SetsockoptInt(fd, level, option, 1))
		}
	}
	open := func(s *script, typ int, e end, port uint16) (int, syscall.Errno) {
		fd := s.socket(e.family, typ)
		if e.family == unix.AF_INET6 {
			require.NoError(t, sys.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
		}
		flag(s, fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, e.only)
		flag(s, fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, e.reuse)
		flag(s, fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, e.share)
		return fd, sys.Bind(fd, sockaddr(e.family, fmt.Sprintf("%s:%d", e.at, port)))
	}
	var simulated []syscall.Errno
	agree(t, func(s *script) {
		number := 0
		for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
			for _, first := range ends {
				if typ == unix.SOCK_DGRAM && first.hear {
					continue
				}
				for _, second := range ends {
					if second.hear {
						continue
					}
					result := syscall.Errno(0)
					for range 50 { // another process, or a connection that has ended, may have the port
						fd, errno := open(s, typ, first, 0)
						require.Zero(t, errno)
						if first.hear {
							require.NoError(t, sys.Listen(fd, 1))
						}
						_, result = open(s, typ, second, addrOf(t, sys.Getsockname, fd).Port())
						s.closeAll()
						if s.k != nil {
							simulated = append(simulated, result)
						}
						if result == simulated[number] {
							break
						}
					}
					number++
					s.note("type %d: %v, then %v: %s", typ, first, second, code(result))
				}
			}
		}
	})
}

func TestAgreesAboutWrongCalls(t *testing.T) {
	agree(t, func(s *script) {
		epfd, err := sys.EpollCreate(s.k)
		require.NoError(t, err)
		s.fds = append(s.fds, epfd)
		to := sockaddr(unix.AF_INET, "127.0.0.1:1")
		var none sys.Sockaddr

		s.note("no socket: %s %s %s %s", code(sys.Connect(epfd, to)), code(sys.Bind(epfd, to)), code(sys.Listen(epfd, 1)), code(sys.Shutdown(epfd, 0)))
		_, errno := sys.Accept(epfd, &none)
		_, sent := sys.Send(epfd, []byte("x"), 0)
		_, got := sys.Recv(epfd, make([]byte, 1), 0)
		s.note("no socket: %s %s %s %s", code(errno), code(sent), code(got), code(sys.Getsockname(epfd, &none)))

		s.note("no socket: %s", code(sys.Setsockopt(epfd, unix.SOL_SOCKET, unix.SO_REUSEADDR, make([]byte, 4))))
		_, err = sys.GetsockoptInt(epfd, unix.SOL_SOCKET, unix.SO_TYPE)
		s.note("no socket: %s", code(err))

		tcp, udp := s.socket(unix.AF_INET, unix.SOCK_STREAM), s.socket(unix.AF_INET, unix.SOCK_DGRAM)
		_, err = sys.GetsockoptTCPInfo(tcp, unix.IPPROTO_TCP, unix.TCP_INFO)
		s.note("TCP_INFO: %s", code(err))
		for _, fd := range []int{tcp, udp} {
			_, errno = sys.Recv(fd, make([]byte, 1), unix.MSG_ERRQUEUE)
			s.note("error queue: %s", code(errno))
			s.state("a new socket", fd)
		}
		local := &sys.Sockaddr{Len: 16}
		local.Raw.Addr.Family = unix.AF_UNIX
		_, errno = sys.Sendto(udp, []byte("x"), 0, local)
		s.note("send to no family: %s", code(errno))
		s.note("names: %v, and a port: %v", addrOf(t, sys.Getsockname, tcp), addrOf(t, sys.Getsockname, udp).Port() != 0)
		s.note("no peer: %s %s", code(sys.Getpeername(tcp, &none)), code(sys.Getpeername(udp, &none)))
		_, errno = sys.Accept(udp, &none)
		s.note("udp: accept %s, listen %s", code(errno), code(sys.Listen(udp, 1)))
		_, errno = sys.Accept(tcp, &none)
		s.note("tcp: accept %s", code(errno))
		s.note("shutdown: %s %s %s", code(sys.Shutdown(tcp, 0)), code(sys.Shutdown(udp, 1)), code(sys.Shutdown(tcp, 3)))
		s.note("a foreign address: %s", code(sys.Bind(tcp, sockaddr(unix.AF_INET, "192.0.2.1:0"))))
		s.local(tcp, unix.AF_INET, "127.0.0.1:0")
		s.note("bind again: %s", code(sys.Bind(tcp, sockaddr(unix.AF_INET, "127.0.0.1:0"))))
		s.note("no family: %s", code(sys.Connect(udp, &none)))

		c, _, l := s.connection(unix.AF_INET, "127.0.0.1:0")
		_, errno = sys.Recv(c, make([]byte, 1), unix.MSG_OOB)
		s.note("no urgent data: %s", code(errno))
		s.note("connected: listen %s, connect %s", code(sys.Listen(c, 1)), code(sys.Connect(c, to)))
		s.note("listener: connect %s, listen %s", code(sys.Connect(l, to)), code(sys.Listen(l, 2)))
		_, errno = sys.Accept(l, &none)
		s.note("listener: accept %s", code(errno))
		_, errno = sys.Recv(l, make([]byte, 1), 0)
		s.note("listener: recv %s", code(errno))
		_, errno = sys.Send(l, []byte("x"), unix.MSG_NOSIGNAL)
		s.note("listener: send %s", code(errno))
		s.note("listener: shutdown for writing %s", code(sys.Shutdown(l, unix.SHUT_WR)))
		s.state("the listener", l)
		s.note("listener: shutdown for reading %s", code(sys.Shutdown(l, unix.SHUT_RD)))
		s.state("the listener", l)
		_, errno = sys.Accept(l, &none)
		s.note("listener: accept %s", code(errno))

		// A connection that nobody has asked about yet can be ended.
		l = s.socket(unix.AF_INET, unix.SOCK_STREAM)
		at := s.local(l, unix.AF_INET, "127.0.0.1:0")
		require.NoError(t, sys.Listen(l, -1))
		for _, how := range []int{unix.SHUT_RD, unix.SHUT_WR, unix.SHUT_RDWR} {
			c := s.socket(unix.AF_INET, unix.SOCK_STREAM)
			require.Equal(t, unix.EINPROGRESS, sys.Connect(c, at))
			s.until(c, unix.POLLOUT)
			s.note("shutdown %d: %s", how, code(sys.Shutdown(c, how)))
			s.note("connect: %s", code(sys.Connect(c, at)))
			s.state("the connection", c)
		}

		// epoll_ctl(2)
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}
		ctl := func(epfd, op, fd int) string { return code(sys.EpollCtl(epfd, op, fd, &ev)) }
		s.note("no epoll: %s", ctl(tcp, unix.EPOLL_CTL_ADD, udp))
		s.note("modify and delete before add: %s %s", ctl(epfd, unix.EPOLL_CTL_MOD, udp), ctl(epfd, unix.EPOLL_CTL_DEL, udp))
		s.note("add: %s, again: %s", ctl(epfd, unix.EPOLL_CTL_ADD, udp), ctl(epfd, unix.EPOLL_CTL_ADD, udp))
		s.note("modify: %s, delete: %s, again: %s", ctl(epfd, unix.EPOLL_CTL_MOD, udp), ctl(epfd, unix.EPOLL_CTL_DEL, udp), ctl(epfd, unix.EPOLL_CTL_DEL, udp))
		s.note("unknown: %s", ctl(epfd, 9, udp))
	})
}

func TestAgreesAboutIoctl(t *testing.T) {
	agree(t, func(s *script) {
		ask := func(what string, fd int, request uint) {
			n, err := sys.IoctlGetInt(fd, request)
			s.note("%s: %d %s", what, n, code(err))
		}
		c, a, l := s.connection(unix.AF_INET, "127.0.0.1:0")
		for _, request := range []uint{unix.SIOCINQ, unix.SIOCOUTQ} {
			ask("listener", l, request)
		}
		_, errno := sys.Send(c, []byte("hello"), 0)
		require.Zero(t, errno)
		s.until(a, unix.POLLIN)
		ask("inq", a, unix.SIOCINQ)
		ask("inq of the sender", c, unix.SIOCINQ)
		for range 1000 {
			if n, _ := sys.IoctlGetInt(c, unix.SIOCOUTQ); n == 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		ask("outq", c, unix.SIOCOUTQ)
		ask("mark", a, unix.SIOCATMARK)
		ask("unknown", a, 0x8f01)

		u := s.socket(unix.AF_INET, unix.SOCK_DGRAM)
		at := s.local(u, unix.AF_INET, "127.0.0.1:0")
		ask("udp, nothing", u, unix.SIOCINQ)
		for _, text := range []string{"abc", "defgh"} {
			_, errno = sys.Sendto(u, []byte(text), 0, at)
			require.Zero(t, errno)
		}
		s.until(u, unix.POLLIN)
		if s.k != nil {
			time.Sleep(time.Second)
		}
		ask("udp, two", u, unix.SIOCINQ)
	})
}

func TestAgreesAboutDatagrams(t *testing.T) {
	agree(t, func(s *script) {
		a, b, c := s.socket(unix.AF_INET, unix.SOCK_DGRAM), s.socket(unix.AF_INET, unix.SOCK_DGRAM), s.socket(unix.AF_INET, unix.SOCK_DGRAM)
		atA, atB := s.local(a, unix.AF_INET, "127.0.0.1:0"), s.local(b, unix.AF_INET, "127.0.0.1:0")
		s.local(c, unix.AF_INET, "127.0.0.1:0")
		send := func(what string, fd, n int, to *sys.Sockaddr) {
			got, errno := sys.Sendto(fd, make([]byte, n), 0, to)
			s.note("send %s: %d %s", what, got, code(errno))
		}
		recv := func(what string, fd, size, flags int) {
			var from sys.Sockaddr
			n, errno := sys.Recvfrom(fd, make([]byte, size), flags, &from)
			s.note("recv %s: %d %s, from a: %t", what, n, code(errno), errno == 0 && from.Inet() == atA.Inet())
		}
		send("to nobody", a, 3, nil)
		send("to port 0", a, 3, sockaddr(unix.AF_INET, "127.0.0.1:0"))
		send("too much", a, 65508, atB)
		send("nothing", a, 0, atB)
		s.until(b, unix.POLLIN)
		recv("nothing", b, 9, 0)
		recv("when empty", b, 9, 0)
		send("5", a, 5, atB)
		s.until(b, unix.POLLIN)
		recv("and peek", b, 9, unix.MSG_PEEK)
		recv("too little room", b, 3, unix.MSG_PEEK)
		recv("with MSG_TRUNC", b, 3, unix.MSG_TRUNC|unix.MSG_PEEK)
		recv("the last", b, 3, 0)
		recv("when empty", b, 9, 0)

		// A connected socket gets only what its peer sends.
		require.Zero(t, sys.Connect(b, atA))
		send("from another", c, 3, atB)
		send("from the peer", a, 4, atB)
		s.until(b, unix.POLLIN)
		recv("from the peer", b, 9, 0)
		recv("nothing else", b, 9, 0)
		send("to the peer", b, 2, nil)
		s.until(a, unix.POLLIN)

		// The end of connected sockets.
		s.note("disconnect: %s", code(sys.Connect(b, &sys.Sockaddr{Len: 16})))
		send("after the disconnect", b, 2, nil)
		s.note("no peer: %s", code(sys.Getpeername(b, new(sys.Sockaddr))))

		// Nobody has the port.
		closed := s.socket(unix.AF_INET, unix.SOCK_DGRAM)
		nobody := s.local(closed, unix.AF_INET, "127.0.0.1:0")
		require.NoError(t, sys.Close(closed))
		require.Zero(t, sys.Connect(c, nobody))
		send("to a closed port", c, 1, nil)
		s.until(c, unix.POLLERR)
		s.state("c", c)
		v, err := sys.GetsockoptInt(c, unix.SOL_SOCKET, unix.SO_ERROR)
		s.note("SO_ERROR %s %s", code(syscall.Errno(v)), code(err))
		s.state("c", c)
		send("to a closed port", c, 1, nil)
		s.until(c, unix.POLLERR)
		send("once more", c, 1, nil)
		s.until(c, unix.POLLOUT)
		recv("after it", c, 1, 0)

		// shutdown(2)
		require.Zero(t, sys.Connect(a, atB))
		require.NoError(t, sys.Shutdown(a, unix.SHUT_WR))
		send("after shutdown", a, 1, nil)
		s.state("a", a)
		require.NoError(t, sys.Shutdown(a, unix.SHUT_RD))
		s.state("a", a)
	})
}
