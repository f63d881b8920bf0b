package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// PacketConns returns the datagram sockets that the server serves: those of Listen,
// ListenOn and Inherit, and those that DialPackets has connected.
func (s *Server) PacketConns() []*PacketConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*PacketConn(nil), s.packets...)
}

// Join makes the socket receive the datagrams that are sent to a multicast group and
// arrive at an interface; nil means the interface that the kernel chooses by its routes.
// They reach the socket if it is bound to the group, or to all addresses, and to the port
// of the group. From then on it receives datagrams only of groups that it has joined
// itself: IP_MULTICAST_ALL in ip(7). For IPv6 the kernel does not compare the interface: if
// other sockets have joined on more interfaces, this one gets what arrives there, too. The
// errors are those of setsockopt(2): EADDRINUSE if the socket is a member already, ENODEV
// if there is no such interface, EINVAL if group is not a multicast address, and
// net.ErrClosed.
//
// With Server.ReusePort there is a socket for each loop. Each that has joined gets a copy
// of each datagram.
func (p *PacketConn) Join(group netip.Addr, ifi *net.Interface) error {
	return p.member("join", group, ifi, unix.IP_ADD_MEMBERSHIP, unix.IPV6_JOIN_GROUP)
}

// Leave ends a Join with the same group and interface. If the socket is not a member, the
// error is EADDRNOTAVAIL.
func (p *PacketConn) Leave(group netip.Addr, ifi *net.Interface) error {
	return p.member("leave", group, ifi, unix.IP_DROP_MEMBERSHIP, unix.IPV6_LEAVE_GROUP)
}

func (p *PacketConn) member(op string, group netip.Addr, ifi *net.Interface, four, six int) error {
	index := indexOf(ifi)
	group = group.Unmap()
	err := p.withFD(func(fd int) error {
		switch {
		case !group.IsMulticast():
			return &socket.Error{Op: op, Addr: group.String(), Errno: unix.EINVAL, Err: errors.New("it is not a multicast address")}
		case group.Is4():
			// It fails on no socket that can join.
			_ = sys.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)
			return setsockopt(unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, four, &unix.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(index)}))
		}
		_ = sys.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0) // since Linux 4.20
		return setsockopt(unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, six, &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(index)}))
	})
	if err != nil {
		return fmt.Errorf("server: %s %s: %w", op, group, err)
	}
	return nil
}

// SetMulticastInterface chooses the interface by which multicasts are sent; nil leaves it
// to the kernel's routes.
func (p *PacketConn) SetMulticastInterface(ifi *net.Interface) error {
	index := indexOf(ifi)
	return p.setMulticast("interface", func(fd int) error {
		return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(index)})
	}, unix.IPV6_MULTICAST_IF, index)
}

// SetMulticastLoop says whether the members on this machine, the socket itself included,
// receive the multicasts that the socket sends. At first they do.
func (p *PacketConn) SetMulticastLoop(on bool) error {
	value := 0
	if on {
		value = 1
	}
	return p.setMulticast("loop", func(fd int) error {
		return sys.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, value)
	}, unix.IPV6_MULTICAST_LOOP, value)
}

// SetMulticastTTL sets how many networks a multicast passes at most, from 0 for this
// machine to 255. At first it is 1, which keeps multicasts in the local network.
func (p *PacketConn) SetMulticastTTL(hops int) error {
	if hops < 0 || hops > 255 {
		return fmt.Errorf("server: multicast TTL %d: it is from 0 to 255", hops)
	}
	return p.setMulticast("TTL", func(fd int) error {
		return sys.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, hops)
	}, unix.IPV6_MULTICAST_HOPS, hops)
}

// setMulticast sets an option for IPv4, and on an inet6 socket for IPv6, too.
func (p *PacketConn) setMulticast(what string, four func(fd int) error, six, value int) error {
	err := p.withFD(func(fd int) error {
		err := four(fd)
		if err == nil && p.sock.Family() == socket.Inet6 {
			err = sys.SetsockoptInt(fd, unix.IPPROTO_IPV6, six, value)
		}
		return setsockopt(err)
	})
	if err != nil {
		return fmt.Errorf("server: multicast %s: %w", what, err)
	}
	return nil
}

// withFD calls f with the descriptor, which stays open meanwhile.
func (p *PacketConn) withFD(f func(fd int) error) error {
	reg := p.sock.Registration()
	if reg.Use() != nil {
		return net.ErrClosed
	}
	defer reg.Done()
	return f(reg.FD())
}

func setsockopt(err error) error { return os.NewSyscallError("setsockopt", err) }

// indexOf returns the index of an interface, or 0 for nil.
func indexOf(ifi *net.Interface) int {
	if ifi == nil {
		return 0
	}
	return ifi.Index
}
