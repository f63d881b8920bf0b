package socket

import "golang.org/x/sys/unix"

const (
	rw = SockoptReadWrite
	ro = SockoptReadOnly
	wo = SockoptWriteOnly
)

// sockopts is the table of all options of the named man pages, and of options that
// only the kernel's headers have. To add an option, add a line, and run
// go test ./socket -run TestSockoptDocs -update.
//
// The table leaves out options that cannot work through Setsockopt and Getsockopt:
// those that need mapped memory (TCP_ZEROCOPY_RECEIVE), SO_PEERNAME (see RemoteAddr),
// and names that the kernel does not implement (SO_SECURITY_...).
var sockopts = []group{
	{"socket", "socket(7)", socketOptions},
	{"socket", "unix(7)", unixOptions},
	{"socket", "asm-generic/socket.h", newSocketOptions},
	{"tcp", "tcp(7)", tcpOptions},
	{"tcp", "linux/tcp.h", newTCPOptions},
	{"udp", "udp(7)", []row{
		{"UDP_CORK", unix.UDP_CORK, boolean, rw, "Gathers sent data into one datagram, until it is cleared."},
	}},
	{"udp", "linux/udp.h", []row{
		{"UDP_ENCAP", unix.UDP_ENCAP, int32s, rw, "The encapsulation (IPsec, L2TP, GTP) of received datagrams."},
		{"UDP_NO_CHECK6_TX", unix.UDP_NO_CHECK6_TX, boolean, rw, "Sends over IPv6 without a checksum."},
		{"UDP_NO_CHECK6_RX", unix.UDP_NO_CHECK6_RX, boolean, rw, "Accepts datagrams over IPv6 without a checksum."},
		{"UDP_SEGMENT", unix.UDP_SEGMENT, int32s, rw, "The size of the datagrams into which the kernel splits each send; 0 for off."},
		{"UDP_GRO", unix.UDP_GRO, boolean, rw, "Lets the kernel join datagrams of equal size that arrive in a row."},
	}},
	{"udplite", "udplite(7)", []row{
		{"UDPLITE_SEND_CSCOV", 10, int32s, rw, "The number of bytes that the checksum of a sent datagram covers; 0 for all."},
		{"UDPLITE_RECV_CSCOV", 11, int32s, rw, "Drops datagrams whose checksum covers fewer bytes; 0 for off."},
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
		{"PACKET_ADD_MEMBERSHIP", unix.PACKET_ADD_MEMBERSHIP, packetMreq, wo, "Receives packets for others, too: for a multicast address, or all (promiscuous mode)."},
		{"PACKET_DROP_MEMBERSHIP", unix.PACKET_DROP_MEMBERSHIP, packetMreq, wo, "Undoes PACKET_ADD_MEMBERSHIP."},
		{"PACKET_AUXDATA", unix.PACKET_AUXDATA, boolean, rw, "Reports details of each packet, as a control message."},
		{"PACKET_FANOUT", unix.PACKET_FANOUT, structs("hhI", "[group mode members]", 4, false), rw, "Joins a group of sockets. The kernel spreads packets among them."},
		{"PACKET_LOSS", unix.PACKET_LOSS, boolean, rw, "Skips a bad packet in the transmit ring instead of stopping."},
		{"PACKET_RESERVE", unix.PACKET_RESERVE, uint32s, rw, "Bytes of headroom before each packet in the receive ring."},
		{"PACKET_RX_RING", unix.PACKET_RX_RING, packetRing, wo, "Makes a receive ring in shared memory."},
		{"PACKET_STATISTICS", unix.PACKET_STATISTICS, structs("III", "[packets drops freezes]", 0, false), ro, "Counters since the last reading. Version 3 of the ring has the third."},
		{"PACKET_TIMESTAMP", unix.PACKET_TIMESTAMP, int32s, rw, "The source of timestamps in the ring, in SOF_TIMESTAMPING bits."},
		{"PACKET_TX_RING", unix.PACKET_TX_RING, packetRing, wo, "Makes a transmit ring in shared memory."},
		{"PACKET_VERSION", unix.PACKET_VERSION, int32s, rw, "The ring's version: 0, 1 or 2 for versions 1, 2 and 3. Set it before the ring is made."},
		{"PACKET_QDISC_BYPASS", unix.PACKET_QDISC_BYPASS, boolean, rw, "Hands packets to the driver without the queueing discipline."},
	}},
	{"packet", "linux/if_packet.h", []row{
		{"PACKET_COPY_THRESH", unix.PACKET_COPY_THRESH, int32s, rw, "Packets longer than their ring slot are also queued whole."},
		{"PACKET_FANOUT_DATA", unix.PACKET_FANOUT_DATA, int32s, wo, "The descriptor of the eBPF program that spreads the packets."},
		{"PACKET_HDRLEN", unix.PACKET_HDRLEN, int32s, ro, "Length of a packet's header in the ring's version 1."},
		{"PACKET_IGNORE_OUTGOING", unix.PACKET_IGNORE_OUTGOING, boolean, rw, "Does not receive packets that this host sends."},
		{"PACKET_ORIGDEV", unix.PACKET_ORIGDEV, boolean, rw, "Reports the interface that a packet has really arrived on (bonding, VLAN)."},
		{"PACKET_ROLLOVER_STATS", unix.PACKET_ROLLOVER_STATS, structs("QQQ", "[all huge failed]", 0, false), ro, "Counters of PACKET_FANOUT's overflow."},
		{"PACKET_TX_HAS_OFF", unix.PACKET_TX_HAS_OFF, boolean, rw, "Lets packets in the transmit ring start anywhere in their slots."},
		{"PACKET_TX_TIMESTAMP", unix.PACKET_TX_TIMESTAMP, int32s, wo, "The timestamps of packets that the transmit ring sends."},
		{"PACKET_VNET_HDR", unix.PACKET_VNET_HDR, boolean, rw, "Puts a virtio header before each packet (offloads)."},
		{"PACKET_VNET_HDR_SZ", unix.PACKET_VNET_HDR_SZ, int32s, rw, "The length of that header: 0, 10 or 12 bytes."},
	}},
	{"netlink", "netlink(7)", []row{
		{"NETLINK_PKTINFO", unix.NETLINK_PKTINFO, boolean, rw, "Reports the group of a message, as a control message."},
		{"NETLINK_ADD_MEMBERSHIP", unix.NETLINK_ADD_MEMBERSHIP, int32s, wo, "Joins a group, by its number."},
		{"NETLINK_DROP_MEMBERSHIP", unix.NETLINK_DROP_MEMBERSHIP, int32s, wo, "Leaves a group, by its number."},
		{"NETLINK_LIST_MEMBERSHIPS", unix.NETLINK_LIST_MEMBERSHIPS, words, ro, "The joined groups, 32 in an integer. Group 1 is the lowest bit."},
		{"NETLINK_BROADCAST_ERROR", unix.NETLINK_BROADCAST_ERROR, boolean, rw, "Reports to the sender of a broadcast that this socket had no room."},
		{"NETLINK_NO_ENOBUFS", unix.NETLINK_NO_ENOBUFS, boolean, rw, "Does not report lost messages."},
		{"NETLINK_LISTEN_ALL_NSID", unix.NETLINK_LISTEN_ALL_NSID, boolean, rw, "Receives from the other network namespaces that have an identifier in this one."},
		{"NETLINK_CAP_ACK", unix.NETLINK_CAP_ACK, boolean, rw, "Makes acknowledgements repeat only the request's header."},
	}},
	{"netlink", "linux/netlink.h", []row{
		{"NETLINK_EXT_ACK", unix.NETLINK_EXT_ACK, boolean, rw, "Makes acknowledgements say more about an error."},
		{"NETLINK_GET_STRICT_CHK", unix.NETLINK_GET_STRICT_CHK, boolean, rw, "Makes the kernel check requests for lists, which may then filter."},
	}},
	{"vsock", "linux/vm_sockets.h", []row{
		{"SO_VM_SOCKETS_BUFFER_SIZE", unix.SO_VM_SOCKETS_BUFFER_SIZE, uint64s, rw, "Size of the stream's buffer, in bytes."},
		{"SO_VM_SOCKETS_BUFFER_MIN_SIZE", unix.SO_VM_SOCKETS_BUFFER_MIN_SIZE, uint64s, rw, "The least size of the stream's buffer that may be set, in bytes."},
		{"SO_VM_SOCKETS_BUFFER_MAX_SIZE", unix.SO_VM_SOCKETS_BUFFER_MAX_SIZE, uint64s, rw, "The greatest size of the stream's buffer that may be set, in bytes."},
		{"SO_VM_SOCKETS_PEER_HOST_VM_ID", unix.SO_VM_SOCKETS_PEER_HOST_VM_ID, int32s, ro, "The peer's identifier on its host. Only some hypervisors have it."},
		{"SO_VM_SOCKETS_TRUSTED", unix.SO_VM_SOCKETS_TRUSTED, boolean, ro, "Reports whether the socket is trusted. Only some hypervisors have it."},
		{"SO_VM_SOCKETS_CONNECT_TIMEOUT", unix.SO_VM_SOCKETS_CONNECT_TIMEOUT, timeval, rw, "How long the kernel tries to connect."},
		{"SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW", unix.SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW, timeval, rw, "SO_VM_SOCKETS_CONNECT_TIMEOUT."},
		{"SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD", unix.SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD, timeval, rw, "SO_VM_SOCKETS_CONNECT_TIMEOUT."},
		{"SO_VM_SOCKETS_NONBLOCK_TXRX", unix.SO_VM_SOCKETS_NONBLOCK_TXRX, boolean, rw, "For use inside the kernel."},
	}},
}

var (
	packetMreq = structs("ihhbbbbbbbb", "[interface type length address ...]", 0, false)
	packetRing = structs("IIIIIII", "[blocksize blocks framesize frames], version 3: [... timeout private features]", 16, false)
)
