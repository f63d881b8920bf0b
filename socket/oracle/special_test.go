package oracle

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"

	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// These sockets need rights or kernel modules. The test skips a scenario if they are
// missing.

var (
	icmp    = kind{"icmp", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP}
	netlink = kind{"netlink", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}
	packet  = kind{"packet", unix.AF_PACKET, unix.SOCK_DGRAM, 0}
)

func (k kind) special() bool { return k.typ == unix.SOCK_RAW || k.family == unix.AF_PACKET }

// alone is a fixture with a socket that sends to itself or to the kernel. It has its own
// address, so that it receives nothing of scenarios that run at the same time.
func alone(kinds ...kind) []fixture {
	return fixtures(func(w *world) {
		n := worlds.Add(1)
		var self target
		switch w.kind {
		case icmp:
			ip := [4]byte{127, 77, byte(n >> 8), byte(n)}
			addr := netip.AddrFrom4(ip)
			self = target{sa: &unix.SockaddrInet4{Addr: ip}, host: addr.String(), addr: socket.AddrFrom(netip.AddrPortFrom(addr, 0))}
		case netlink:
			self = target{sa: &unix.SockaddrNetlink{Family: unix.AF_NETLINK}, addr: socket.NetlinkAddr(0, 0)}
			w.introduce("kernel", self)
		case packet:
			lo, err := net.InterfaceByName("lo")
			require.NoError(w.t, err)
			protocol := 0x9000 + uint16(n)%0x800 // not the number of a real protocol
			info := socket.PacketInfo{Protocol: protocol, Interface: lo.Index, Address: make(net.HardwareAddr, 6)}
			self = target{sa: &unix.SockaddrLinklayer{Protocol: htons(protocol), Ifindex: lo.Index, Halen: 6}, addr: socket.PacketAddr(info)}
		}
		if w.kind != netlink {
			w.introduce("self", self)
		}
		w.socks["s"] = w.open(&self)
	}, kinds...)
}

// echo returns an ICMP echo request.
func echo(data string) string {
	b := append([]byte{8, 0, 0, 0, 0x77, 0x77, 0, 1}, data...)
	var sum uint32
	for i, v := range b {
		sum += uint32(v) << (8 * (1 - i%2))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum+sum>>16))
	return string(b)
}

// routes asks the kernel for its IPv4 routes.
func routes() string {
	b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofRtMsg)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_GETROUTE)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b[unix.SizeofNlMsghdr] = unix.AF_INET
	return string(b)
}

// dump receives the answer to a request for a list. The test compares the messages of the
// two runs, and the table does not contain them, because every host has others.
func dump() step {
	return step{name: "dump", call: func(w *world, s endpoint) (o outcome) {
		buf := make([]byte, 32<<10)
		for {
			n, from, errno := s.recvFrom(buf, 0)
			if errno != 0 {
				return outcome{text: errnoName(errno)}
			}
			o.rest += fmt.Sprintln(n, w.who(from))
			for b := buf[:n]; len(b) >= unix.SizeofNlMsghdr; {
				size, typ := int(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint16(b[4:])
				clear(b[12:16]) // the destination port: each socket has its own
				o.rest += fmt.Sprintf("%d %d %08x\n", typ, size, crc32.ChecksumIEEE(b[:size]))
				if typ == unix.NLMSG_DONE {
					o.text = "done, from " + w.who(from)
					return o
				}
				b = b[min((size+3)&^3, len(b)):]
			}
		}
	}}
}

var specialScenarios = []scenario{{
	name:  "a raw socket hears its echo request and the reply",
	row:   "raw(7)",
	on:    alone(icmp),
	steps: []step{rcvtimeo(soon), recvFrom(50), sendTo("self", echo("hi")), recvFromBehind(20, 50), recvFromBehind(20, 50), recvFrom(50)},
	want:  `EAGAIN; 10; 30 "\b\x00\x18\x1eww\x00\x01hi" from self; 30 "\x00\x00 \x1eww\x00\x01hi" from self; EAGAIN`,
}, {
	name:  "an echo reply ends a raw socket's wait",
	row:   "raw(7)",
	on:    alone(icmp),
	steps: []step{rcvtimeo(ample), begin(recvFromBehind(20, 50, peek)), sendToAddr("self", echo("hi")), finish(), recvFromBehind(20, 22, trunc), recvFromBehind(20, 22), recv(5, dontwait)},
	want:  `blocks; 10; 30 "\b\x00\x18\x1eww\x00\x01hi" from self; 30 "\b\x00" from self; 22 "\x00\x00" from self; EAGAIN`,
}, {
	name:  "a raw socket that is not connected",
	row:   "raw(7)",
	on:    alone(icmp),
	steps: []step{rcvtimeo(soon), send("a"), shutdown(unix.SHUT_RD), recv(5), listen(1), accept()},
	want:  `EDESTADDRREQ; ENOTCONN; 0; EOPNOTSUPP; EOPNOTSUPP`,
}, {
	name:  "a dump of the routes",
	row:   "netlink(7)",
	on:    alone(netlink),
	steps: []step{rcvtimeo(soon), sendToAddr("kernel", routes()), dump(), recvFrom(50), send(routes()), dump(), recvFrom(50)},
	want:  `28; done, from kernel; EAGAIN; 28; done, from kernel; EAGAIN`,
}, {
	name:  "a wait for a dump of the routes",
	row:   "netlink(7)",
	on:    alone(netlink),
	steps: []step{rcvtimeo(ample), begin(dump()), send(routes()), finish(), recvFrom(50, dontwait)},
	want:  `blocks; 28; done, from kernel; EAGAIN`,
}, {
	name:  "a netlink request that is none",
	row:   "netlink(7)",
	on:    alone(netlink),
	steps: []step{rcvtimeo(soon), send("too short"), recvFrom(50), send(""), recvFrom(50)},
	want:  `9; EAGAIN; ENODATA; EAGAIN`,
}, {
	name:  "packets on lo",
	row:   "packet(7)",
	on:    alone(packet),
	steps: []step{rcvtimeo(soon), recvFrom(50), sendToAddr("self", "abc"), recvFrom(50, peek), recvFrom(2, trunc), recvFrom(50), send("a"), recvFrom(50)},
	want:  `EAGAIN; 3; 3 "abc" from self; 3 "ab" from self; EAGAIN; 1; 1 "a" from self`,
}, {
	name:  "a packet ends the wait",
	row:   "packet(7)",
	on:    alone(packet),
	steps: []step{rcvtimeo(ample), begin(recvFrom(50)), sendToAddr("self", "abc"), finish(), recvFrom(50, dontwait), shutdown(unix.SHUT_RD)},
	want:  `blocks; 3; 3 "abc" from self; EAGAIN; EOPNOTSUPP`,
}}
