package net

import (
	"net"
	"os"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// ListenMulticastUDP is net.ListenMulticastUDP over a Weir socket.
func ListenMulticastUDP(network string, ifi *net.Interface, gaddr *net.UDPAddr) (*UDPConn, error) {
	t, err := parseNetwork(network)
	if err != nil || t.base != "udp" {
		return nil, opError("listen", network, nil, optional(gaddr), net.UnknownNetworkError(network))
	}
	if gaddr == nil || gaddr.IP == nil {
		return nil, opError("listen", network, nil, optional(gaddr), errMissingAddress)
	}
	s, err := new(ListenConfig).listenPacket(t, gaddr)
	if err == nil {
		if err = control(s, func(fd int) error { return join(fd, ifi, gaddr.IP) }); err != nil {
			s.Close()
		}
	}
	if err != nil {
		return nil, opError("listen", network, nil, gaddr, err)
	}
	return &UDPConn{newConn(s, network)}, nil
}

// join joins a multicast group on an interface, or on one that the kernel chooses. As net
// does, it switches off the loopback of datagrams that the socket sends.
func join(fd int, ifi *net.Interface, group net.IP) error {
	index := 0
	if ifi != nil {
		index = ifi.Index
	}
	if ip4 := group.To4(); ip4 != nil {
		return joinIPv4(fd, index, [4]byte(ip4))
	}
	return joinIPv6(fd, index, group)
}

func joinIPv4(fd, index int, group [4]byte) error {
	m := &unix.IPMreqn{Multiaddr: group, Ifindex: int32(index)}
	if index != 0 {
		if err := unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(index)}); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if err := sys.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, m))
}

func joinIPv6(fd, index int, group net.IP) error {
	m := &unix.IPv6Mreq{Interface: uint32(index)}
	copy(m.Multiaddr[:], group)
	if index != 0 {
		if err := sys.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if err := sys.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, m))
}
