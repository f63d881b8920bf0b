package socket

import "golang.org/x/sys/unix"

const (
	rw = SockoptReadWrite
	ro = SockoptReadOnly
	wo = SockoptWriteOnly
)

// sockopts is the table: every option of the man pages named, and those of
// the kernel's headers that they have not got to yet. To add one is to add a
// line, and to run go test ./socket -run TestSockoptDocs -update.
//
// Left out are those that cannot work through these two calls: the ones that
// need a mapping of memory (TCP_ZEROCOPY_RECEIVE), SO_PEERNAME (see RemoteAddr),
// and those that the kernel has names for but nothing behind (SO_SECURITY_...).
var sockopts = []group{
	{"socket", "socket(7)", socketOptions},
	{"socket", "unix(7)", unixOptions},
	{"socket", "asm-generic/socket.h", newSocketOptions},
	{"tcp", "tcp(7)", tcpOptions},
	{"tcp", "linux/tcp.h", newTCPOptions},
	{"udp", "udp(7)", []row{
		{"UDP_CORK", unix.UDP_CORK, boolean, rw, "Gathers what is sent into one datagram, until it is cleared."},
	}},
	{"udp", "linux/udp.h", []row{
		{"UDP_ENCAP", unix.UDP_ENCAP, int32s, rw, "Which encapsulation (IPsec, L2TP, GTP) arrives here."},
		{"UDP_NO_CHECK6_TX", unix.UDP_NO_CHECK6_TX, boolean, rw, "Sends over IPv6 without a checksum."},
		{"UDP_NO_CHECK6_RX", unix.UDP_NO_CHECK6_RX, boolean, rw, "Accepts over IPv6 what has no checksum."},
		{"UDP_SEGMENT", unix.UDP_SEGMENT, int32s, rw, "The kernel cuts each send into datagrams of so many bytes; 0 is off."},
		{"UDP_GRO", unix.UDP_GRO, boolean, rw, "The kernel may join datagrams of equal size that arrive in a row."},
	}},
	{"udplite", "udplite(7)", []row{
		{"UDPLITE_SEND_CSCOV", 10, int32s, rw, "Bytes that the checksum of what is sent covers; 0 is all."},
		{"UDPLITE_RECV_CSCOV", 11, int32s, rw, "Drops what has a checksum over fewer bytes; 0 is off."},
	}},
	{"ip", "ip(7)", ipOptions},
	{"ip", "linux/in.h", newIPOptions},
	{"ipv6", "ipv6(7)", ipv6Options},
	{"ipv6", "linux/in6.h", newIPv6Options},
	{"raw", "raw(7)", []row{
		{"ICMP_FILTER", unix.ICMP_FILTER, uint32s, rw, "ICMP types to drop, a bit for each."},
	}},
	{"icmpv6", "linux/icmpv6.h", []row{
		{"ICMPV6_FILTER", unix.ICMPV6_FILTER, structs("IIIIIIII", "8 words", 0, false), rw, "ICMPv6 types to drop, a bit for each."},
	}},
	{"packet", "packet(7)", []row{
		{"PACKET_ADD_MEMBERSHIP", unix.PACKET_ADD_MEMBERSHIP, packetMreq, wo, "Receives also what is for others: a multicast address, or all (promiscuous mode)."},
		{"PACKET_DROP_MEMBERSHIP", unix.PACKET_DROP_MEMBERSHIP, packetMreq, wo, "Undoes PACKET_ADD_MEMBERSHIP."},
		{"PACKET_AUXDATA", unix.PACKET_AUXDATA, boolean, rw, "Gives details with each packet, as a control message."},
		{"PACKET_FANOUT", unix.PACKET_FANOUT, structs("hhI", "[group mode members]", 4, false), rw, "Joins a group of sockets among which packets are spread."},
		{"PACKET_LOSS", unix.PACKET_LOSS, boolean, rw, "Skips a bad packet in the transmit ring instead of stopping there."},
		{"PACKET_RESERVE", unix.PACKET_RESERVE, uint32s, rw, "Bytes of headroom before each packet in the receive ring."},
		{"PACKET_RX_RING", unix.PACKET_RX_RING, packetRing, wo, "Makes a receive ring in shared memory."},
		{"PACKET_STATISTICS", unix.PACKET_STATISTICS, structs("III", "[packets drops freezes]", 0, false), ro, "Counters since they were last read. Version 3 of the ring has the third."},
		{"PACKET_TIMESTAMP", unix.PACKET_TIMESTAMP, int32s, rw, "Where timestamps in the ring come from, in SOF_TIMESTAMPING bits."},
		{"PACKET_TX_RING", unix.PACKET_TX_RING, packetRing, wo, "Makes a transmit ring in shared memory."},
		{"PACKET_VERSION", unix.PACKET_VERSION, int32s, rw, "The ring's version, 0 for 1 to 2 for 3. Before the ring is made."},
		{"PACKET_QDISC_BYPASS", unix.PACKET_QDISC_BYPASS, boolean, rw, "Hands packets to the driver without the queueing discipline."},
	}},
	{"packet", "linux/if_packet.h", []row{
		{"PACKET_COPY_THRESH", unix.PACKET_COPY_THRESH, int32s, rw, "Packets longer than their ring slot are also queued whole."},
		{"PACKET_FANOUT_DATA", unix.PACKET_FANOUT_DATA, int32s, wo, "The descriptor of the eBPF program that spreads the packets."},
		{"PACKET_HDRLEN", unix.PACKET_HDRLEN, int32s, ro, "Length of a packet's header in the ring's version 1."},
		{"PACKET_IGNORE_OUTGOING", unix.PACKET_IGNORE_OUTGOING, boolean, rw, "Does not receive what this host sends."},
		{"PACKET_ORIGDEV", unix.PACKET_ORIGDEV, boolean, rw, "Tells the interface that a packet really came in by (bonding, VLAN)."},
		{"PACKET_ROLLOVER_STATS", unix.PACKET_ROLLOVER_STATS, structs("QQQ", "[all huge failed]", 0, false), ro, "Counters of PACKET_FANOUT's overflow."},
		{"PACKET_TX_HAS_OFF", unix.PACKET_TX_HAS_OFF, boolean, rw, "Packets in the transmit ring may start anywhere in their slots."},
		{"PACKET_TX_TIMESTAMP", unix.PACKET_TX_TIMESTAMP, int32s, wo, "Timestamps for what the transmit ring sends."},
		{"PACKET_VNET_HDR", unix.PACKET_VNET_HDR, boolean, rw, "A virtio header precedes each packet (offloads)."},
		{"PACKET_VNET_HDR_SZ", unix.PACKET_VNET_HDR_SZ, int32s, rw, "The length of that header: 0, 10 or 12 bytes."},
	}},
	{"netlink", "netlink(7)", []row{
		{"NETLINK_PKTINFO", unix.NETLINK_PKTINFO, boolean, rw, "Tells the group that a message was sent to, as a control message."},
		{"NETLINK_ADD_MEMBERSHIP", unix.NETLINK_ADD_MEMBERSHIP, int32s, wo, "Joins a group, by its number."},
		{"NETLINK_DROP_MEMBERSHIP", unix.NETLINK_DROP_MEMBERSHIP, int32s, wo, "Leaves a group, by its number."},
		{"NETLINK_LIST_MEMBERSHIPS", unix.NETLINK_LIST_MEMBERSHIPS, words, ro, "The groups joined, 32 of them in an integer; group 1 is the lowest bit."},
		{"NETLINK_BROADCAST_ERROR", unix.NETLINK_BROADCAST_ERROR, boolean, rw, "Tells the sender of a broadcast when it found no room here."},
		{"NETLINK_NO_ENOBUFS", unix.NETLINK_NO_ENOBUFS, boolean, rw, "Does not report lost messages."},
		{"NETLINK_LISTEN_ALL_NSID", unix.NETLINK_LISTEN_ALL_NSID, boolean, rw, "Receives from the other network namespaces that have an identifier in this one."},
		{"NETLINK_CAP_ACK", unix.NETLINK_CAP_ACK, boolean, rw, "Acknowledgements repeat only the header of the request."},
	}},
	{"netlink", "linux/netlink.h", []row{
		{"NETLINK_EXT_ACK", unix.NETLINK_EXT_ACK, boolean, rw, "Acknowledgements say more about an error."},
		{"NETLINK_GET_STRICT_CHK", unix.NETLINK_GET_STRICT_CHK, boolean, rw, "Requests for lists are checked, and may filter."},
	}},
	{"vsock", "linux/vm_sockets.h", []row{
		{"SO_VM_SOCKETS_BUFFER_SIZE", unix.SO_VM_SOCKETS_BUFFER_SIZE, uint64s, rw, "Size of the stream's buffer, in bytes."},
		{"SO_VM_SOCKETS_BUFFER_MIN_SIZE", unix.SO_VM_SOCKETS_BUFFER_MIN_SIZE, uint64s, rw, "The least that the size may be, in bytes."},
		{"SO_VM_SOCKETS_BUFFER_MAX_SIZE", unix.SO_VM_SOCKETS_BUFFER_MAX_SIZE, uint64s, rw, "The most that the size may be, in bytes."},
		{"SO_VM_SOCKETS_PEER_HOST_VM_ID", unix.SO_VM_SOCKETS_PEER_HOST_VM_ID, int32s, ro, "The peer's identifier on its host. Hypervisors of one maker have it."},
		{"SO_VM_SOCKETS_TRUSTED", unix.SO_VM_SOCKETS_TRUSTED, boolean, ro, "Whether the socket is trusted. As the one before."},
		{"SO_VM_SOCKETS_CONNECT_TIMEOUT", unix.SO_VM_SOCKETS_CONNECT_TIMEOUT, timeval, rw, "How long the kernel tries to connect."},
		{"SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW", unix.SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW, timeval, rw, "The same."},
		{"SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD", unix.SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD, timeval, rw, "The same."},
		{"SO_VM_SOCKETS_NONBLOCK_TXRX", unix.SO_VM_SOCKETS_NONBLOCK_TXRX, boolean, rw, "For use inside the kernel."},
	}},
}

var (
	packetMreq = structs("ihhbbbbbbbb", "[interface type length address ...]", 0, false)
	packetRing = structs("IIIIIII", "[blocksize blocks framesize frames], version 3: [... timeout private features]", 16, false)
)
