package socket

import (
	"strings"

	"golang.org/x/sys/unix"
)

var ipOptions = []row{
	{"IP_ADD_MEMBERSHIP", unix.IP_ADD_MEMBERSHIP, ipMreq, wo, "Joins a multicast group."},
	{"IP_ADD_SOURCE_MEMBERSHIP", unix.IP_ADD_SOURCE_MEMBERSHIP, sourceMreq, wo, "Joins a multicast group for one source."},
	{"IP_BIND_ADDRESS_NO_PORT", unix.IP_BIND_ADDRESS_NO_PORT, boolean, rw, "Leaves the choice of the port to connect(2) when binding to port 0."},
	{"IP_BLOCK_SOURCE", unix.IP_BLOCK_SOURCE, sourceMreq, wo, "Drops the packets of a source to a group."},
	{"IP_DROP_MEMBERSHIP", unix.IP_DROP_MEMBERSHIP, ipMreq, wo, "Leaves a multicast group."},
	{"IP_DROP_SOURCE_MEMBERSHIP", unix.IP_DROP_SOURCE_MEMBERSHIP, sourceMreq, wo, "Leaves a multicast group for one source."},
	{"IP_FREEBIND", unix.IP_FREEBIND, boolean, rw, "Allows binding to an address that the host does not have, or not yet."},
	{"IP_HDRINCL", unix.IP_HDRINCL, boolean, rw, "Sent data begins with an IP header. For raw sockets."},
	{"IP_MSFILTER", unix.IP_MSFILTER, msFilter, wo, "The sources of a group that are let in (mode 1) or kept out (mode 0)."},
	{"IP_MTU", unix.IP_MTU, int32s, ro, "The known MTU of the path of a connected socket."},
	{"IP_MTU_DISCOVER", unix.IP_MTU_DISCOVER, int32s, rw, "Path MTU discovery: 0 never, 1 by the route, 2 always, 3 probing."},
	{"IP_MULTICAST_ALL", unix.IP_MULTICAST_ALL, boolean, rw, "Receives from groups that any socket of the host has joined."},
	{"IP_MULTICAST_IF", unix.IP_MULTICAST_IF, inAddr, rw, "The interface to send multicasts by."},
	{"IP_MULTICAST_LOOP", unix.IP_MULTICAST_LOOP, boolean, rw, "Delivers sent multicasts on this host, too."},
	{"IP_MULTICAST_TTL", unix.IP_MULTICAST_TTL, int32s, rw, "Time to live of multicasts sent."},
	{"IP_NODEFRAG", unix.IP_NODEFRAG, boolean, rw, "Keeps netfilter from reassembling sent fragments. For raw sockets."},
	{"IP_OPTIONS", unix.IP_OPTIONS, raw(40, "up to 40"), rw, "The IP options of packets sent."},
	{"IP_PASSSEC", unix.IP_PASSSEC, boolean, rw, "Reports the sender's security context, as a control message."},
	{"IP_PKTINFO", unix.IP_PKTINFO, boolean, rw, "Reports a packet's interface and addresses, as a control message."},
	{"IP_RECVERR", unix.IP_RECVERR, boolean, rw, "Queues errors with their details, for MSG_ERRQUEUE."},
	{"IP_RECVOPTS", unix.IP_RECVOPTS, boolean, rw, "Reports a packet's IP options, filled in for this host, as a control message."},
	{"IP_RECVORIGDSTADDR", unix.IP_RECVORIGDSTADDR, boolean, rw, "Reports a packet's destination before it was redirected, as a control message."},
	{"IP_RECVTOS", unix.IP_RECVTOS, boolean, rw, "Reports a packet's type of service, as a control message."},
	{"IP_RECVTTL", unix.IP_RECVTTL, boolean, rw, "Reports a packet's time to live, as a control message."},
	{"IP_RETOPTS", unix.IP_RETOPTS, boolean, rw, "Reports a packet's IP options as they arrived, as a control message."},
	{"IP_ROUTER_ALERT", unix.IP_ROUTER_ALERT, boolean, rw, "Takes forwarded packets with a router alert. For raw sockets."},
	{"IP_TOS", unix.IP_TOS, int32s, rw, "Type of service of packets sent."},
	{"IP_TRANSPARENT", unix.IP_TRANSPARENT, boolean, rw, "Allows addresses of other hosts as the local one, for a proxy. Needs CAP_NET_ADMIN."},
	{"IP_TTL", unix.IP_TTL, int32s, rw, "Time to live of packets sent."},
	{"IP_UNBLOCK_SOURCE", unix.IP_UNBLOCK_SOURCE, sourceMreq, wo, "Undoes IP_BLOCK_SOURCE."},
}

var newIPOptions = []row{
	{"IP_CHECKSUM", unix.IP_CHECKSUM, boolean, rw, "Reports the checksum of received data, as a control message."},
	{"IP_IPSEC_POLICY", unix.IP_IPSEC_POLICY, raw(0, "a policy"), wo, "The IPsec policy. Needs CAP_NET_ADMIN."},
	{"IP_LOCAL_PORT_RANGE", unix.IP_LOCAL_PORT_RANGE, structs("hh", "[lowest highest]", 0, false), rw, "The ports from which the kernel may choose; 0 for its default."},
	{"IP_MINTTL", unix.IP_MINTTL, int32s, rw, "Drops packets with less time to live."},
	{"IP_ORIGDSTADDR", unix.IP_ORIGDSTADDR, boolean, rw, "IP_RECVORIGDSTADDR."},
	{"IP_PKTOPTIONS", unix.IP_PKTOPTIONS, raw(4096, "control messages"), ro, "The control messages of a connection's packets."},
	{"IP_PROTOCOL", unix.IP_PROTOCOL, int32s, ro, "The protocol of a raw socket that sends its own headers."},
	{"IP_RECVERR_RFC4884", unix.IP_RECVERR_RFC4884, boolean, rw, "Adds to queued errors where their extensions begin."},
	{"IP_RECVFRAGSIZE", unix.IP_RECVFRAGSIZE, boolean, rw, "Reports the size of a packet's biggest fragment."},
	{"IP_RECVRETOPTS", unix.IP_RECVRETOPTS, boolean, rw, "IP_RETOPTS."},
	{"IP_UNICAST_IF", unix.IP_UNICAST_IF, deviceBE, rw, "The interface for packets without a route that names one."},
	{"IP_XFRM_POLICY", unix.IP_XFRM_POLICY, raw(0, "a policy"), wo, "The IPsec policy. Needs CAP_NET_ADMIN."},
	{"MCAST_BLOCK_SOURCE", unix.MCAST_BLOCK_SOURCE, sourceReq, wo, "Drops the packets of a source to a group."},
	{"MCAST_JOIN_GROUP", unix.MCAST_JOIN_GROUP, groupReq, wo, "Joins a multicast group: RFC 3678."},
	{"MCAST_JOIN_SOURCE_GROUP", unix.MCAST_JOIN_SOURCE_GROUP, sourceReq, wo, "Joins a multicast group for one source."},
	{"MCAST_LEAVE_GROUP", unix.MCAST_LEAVE_GROUP, groupReq, wo, "Leaves a multicast group."},
	{"MCAST_LEAVE_SOURCE_GROUP", unix.MCAST_LEAVE_SOURCE_GROUP, sourceReq, wo, "Leaves a multicast group for one source."},
	{"MCAST_UNBLOCK_SOURCE", unix.MCAST_UNBLOCK_SOURCE, sourceReq, wo, "Undoes MCAST_BLOCK_SOURCE."},
}

// ipv6(7) describes the header options as flags, as they were before RFC 3542. In the
// kernel they are the headers of sent packets, and the flags are IPV6_RECV....
var ipv6Options = []row{
	{"IPV6_ADDRFORM", unix.IPV6_ADDRFORM, int32s, rw, "Turns the socket into one of another family: 2, for inet."},
	{"IPV6_ADD_MEMBERSHIP", unix.IPV6_ADD_MEMBERSHIP, ipv6Mreq, wo, "Joins a multicast group."},
	{"IPV6_AUTHHDR", unix.IPV6_AUTHHDR, boolean, rw, "Reports a packet's authentication header. Present kernels refuse it."},
	{"IPV6_DROP_MEMBERSHIP", unix.IPV6_DROP_MEMBERSHIP, ipv6Mreq, wo, "Leaves a multicast group."},
	{"IPV6_DSTOPTS", unix.IPV6_DSTOPTS, raw(2048, "a header"), rw, "The destination options of packets sent."},
	{"IPV6_FLOWINFO", ipv6FlowInfo, boolean, rw, "Reports a packet's flow label, as a control message."},
	{"IPV6_HOPLIMIT", unix.IPV6_HOPLIMIT, boolean, rw, "Reports a packet's hop limit. Present kernels refuse it; use IPV6_RECVHOPLIMIT."},
	{"IPV6_HOPOPTS", unix.IPV6_HOPOPTS, raw(2048, "a header"), rw, "The hop-by-hop options of packets sent."},
	{"IPV6_MTU", unix.IPV6_MTU, int32s, rw, "The known MTU of the path of a connected socket; or the MTU to use."},
	{"IPV6_MTU_DISCOVER", unix.IPV6_MTU_DISCOVER, int32s, rw, "Path MTU discovery, as IP_MTU_DISCOVER."},
	{"IPV6_MULTICAST_HOPS", unix.IPV6_MULTICAST_HOPS, int32s, rw, "Hop limit of multicasts sent; -1 is the default."},
	{"IPV6_MULTICAST_IF", unix.IPV6_MULTICAST_IF, device, rw, "The interface to send multicasts by."},
	{"IPV6_MULTICAST_LOOP", unix.IPV6_MULTICAST_LOOP, boolean, rw, "Delivers sent multicasts on this host, too."},
	{"IPV6_RECVERR", unix.IPV6_RECVERR, boolean, rw, "Queues errors with their details, for MSG_ERRQUEUE."},
	{"IPV6_RECVPKTINFO", unix.IPV6_RECVPKTINFO, boolean, rw, "Reports a packet's interface and address, as a control message."},
	{"IPV6_ROUTER_ALERT", unix.IPV6_ROUTER_ALERT, int32s, rw, "Takes forwarded packets with this router alert; -1 for none. For raw sockets."},
	{"IPV6_RTHDR", unix.IPV6_RTHDR, raw(2048, "a header"), rw, "The routing header of packets sent."},
	{"IPV6_UNICAST_HOPS", unix.IPV6_UNICAST_HOPS, int32s, rw, "Hop limit of packets sent; -1 is the default."},
	{"IPV6_V6ONLY", unix.IPV6_V6ONLY, boolean, rw, "Leaves IPv4 to other sockets. Set it before binding."},
}

const (
	ipv6FlowInfo     = 11
	ipv6FlowLabelMgr = 32
	ipv6FlowInfoSend = 33
)

var newIPv6Options = []row{
	{"IPV6_2292DSTOPTS", unix.IPV6_2292DSTOPTS, boolean, rw, "IPV6_RECVDSTOPTS, as RFC 2292 had it."},
	{"IPV6_2292HOPLIMIT", unix.IPV6_2292HOPLIMIT, boolean, rw, "IPV6_RECVHOPLIMIT, as RFC 2292 had it."},
	{"IPV6_2292HOPOPTS", unix.IPV6_2292HOPOPTS, boolean, rw, "IPV6_RECVHOPOPTS, as RFC 2292 had it."},
	{"IPV6_2292PKTINFO", unix.IPV6_2292PKTINFO, boolean, rw, "IPV6_RECVPKTINFO, as RFC 2292 had it."},
	{"IPV6_2292PKTOPTIONS", unix.IPV6_2292PKTOPTIONS, raw(4096, "control messages"), rw, "The control messages for all sent packets; or those of received packets."},
	{"IPV6_2292RTHDR", unix.IPV6_2292RTHDR, boolean, rw, "IPV6_RECVRTHDR, as RFC 2292 had it."},
	{"IPV6_ADDR_PREFERENCES", unix.IPV6_ADDR_PREFERENCES, int32s, rw, "Which source addresses to prefer: RFC 5014."},
	{"IPV6_AUTOFLOWLABEL", unix.IPV6_AUTOFLOWLABEL, boolean, rw, "Makes flow labels for sent packets."},
	{"IPV6_CHECKSUM", unix.IPV6_CHECKSUM, int32s, rw, "The offset of the checksum in the data; -1 for none. For raw sockets."},
	{"IPV6_DONTFRAG", unix.IPV6_DONTFRAG, boolean, rw, "Does not fragment sent packets."},
	{"IPV6_FLOWINFO_SEND", ipv6FlowInfoSend, boolean, rw, "Takes the flow label from the destination's address."},
	{"IPV6_FLOWLABEL_MGR", ipv6FlowLabelMgr, raw(0, "an in6_flowlabel_req"), wo, "Gets, renews and releases flow labels."},
	{"IPV6_FREEBIND", unix.IPV6_FREEBIND, boolean, rw, "Allows binding to an address that the host does not have, or not yet."},
	{"IPV6_HDRINCL", unix.IPV6_HDRINCL, boolean, rw, "Sent data begins with an IPv6 header. For raw sockets."},
	{"IPV6_IPSEC_POLICY", unix.IPV6_IPSEC_POLICY, raw(0, "a policy"), wo, "The IPsec policy. Needs CAP_NET_ADMIN."},
	{"IPV6_JOIN_ANYCAST", unix.IPV6_JOIN_ANYCAST, ipv6Mreq, wo, "Joins an anycast address."},
	{"IPV6_JOIN_GROUP", unix.IPV6_JOIN_GROUP, ipv6Mreq, wo, "IPV6_ADD_MEMBERSHIP."},
	{"IPV6_LEAVE_ANYCAST", unix.IPV6_LEAVE_ANYCAST, ipv6Mreq, wo, "Leaves an anycast address."},
	{"IPV6_LEAVE_GROUP", unix.IPV6_LEAVE_GROUP, ipv6Mreq, wo, "IPV6_DROP_MEMBERSHIP."},
	{"IPV6_MINHOPCOUNT", unix.IPV6_MINHOPCOUNT, int32s, rw, "Drops packets with a lower hop limit."},
	{"IPV6_MULTICAST_ALL", unix.IPV6_MULTICAST_ALL, boolean, rw, "Receives from groups that any socket of the host has joined."},
	{"IPV6_ORIGDSTADDR", unix.IPV6_ORIGDSTADDR, boolean, rw, "IPV6_RECVORIGDSTADDR."},
	{"IPV6_PATHMTU", unix.IPV6_PATHMTU, structs(strings.Repeat("x", unix.SizeofSockaddrInet6)+"I", "[mtu]", 0, false), ro, "The known MTU of the path of a connected socket."},
	{"IPV6_PKTINFO", unix.IPV6_PKTINFO, structs("6d", "[address interface]", 0, false), wo, "The source address and interface of packets sent."},
	{"IPV6_RECVDSTOPTS", unix.IPV6_RECVDSTOPTS, boolean, rw, "Reports a packet's destination options, as a control message."},
	{"IPV6_RECVERR_RFC4884", unix.IPV6_RECVERR_RFC4884, boolean, rw, "Adds to queued errors where their extensions begin."},
	{"IPV6_RECVFRAGSIZE", unix.IPV6_RECVFRAGSIZE, boolean, rw, "Reports the size of a packet's biggest fragment."},
	{"IPV6_RECVHOPLIMIT", unix.IPV6_RECVHOPLIMIT, boolean, rw, "Reports a packet's hop limit, as a control message."},
	{"IPV6_RECVHOPOPTS", unix.IPV6_RECVHOPOPTS, boolean, rw, "Reports a packet's hop-by-hop options, as a control message."},
	{"IPV6_RECVORIGDSTADDR", unix.IPV6_RECVORIGDSTADDR, boolean, rw, "Reports a packet's destination before it was redirected, as a control message."},
	{"IPV6_RECVPATHMTU", unix.IPV6_RECVPATHMTU, boolean, rw, "Reports a changed path MTU, as a control message."},
	{"IPV6_RECVRTHDR", unix.IPV6_RECVRTHDR, boolean, rw, "Reports a packet's routing header, as a control message."},
	{"IPV6_RECVTCLASS", unix.IPV6_RECVTCLASS, boolean, rw, "Reports a packet's traffic class, as a control message."},
	{"IPV6_ROUTER_ALERT_ISOLATE", unix.IPV6_ROUTER_ALERT_ISOLATE, boolean, rw, "Takes router alerts of this network namespace only."},
	{"IPV6_RTHDRDSTOPTS", unix.IPV6_RTHDRDSTOPTS, raw(2048, "a header"), rw, "The destination options before the routing header of packets sent."},
	{"IPV6_TCLASS", unix.IPV6_TCLASS, int32s, rw, "Traffic class of packets sent; -1 is the default."},
	{"IPV6_TRANSPARENT", unix.IPV6_TRANSPARENT, boolean, rw, "Allows addresses of other hosts as the local one, for a proxy. Needs CAP_NET_ADMIN."},
	{"IPV6_UNICAST_IF", unix.IPV6_UNICAST_IF, deviceBE, rw, "The interface for packets without a route that names one."},
	{"IPV6_XFRM_POLICY", unix.IPV6_XFRM_POLICY, raw(0, "a policy"), wo, "The IPsec policy. Needs CAP_NET_ADMIN."},
	{"MCAST_BLOCK_SOURCE", unix.MCAST_BLOCK_SOURCE, sourceReq, wo, "Drops the packets of a source to a group."},
	{"MCAST_JOIN_GROUP", unix.MCAST_JOIN_GROUP, groupReq, wo, "Joins a multicast group: RFC 3678."},
	{"MCAST_JOIN_SOURCE_GROUP", unix.MCAST_JOIN_SOURCE_GROUP, sourceReq, wo, "Joins a multicast group for one source."},
	{"MCAST_LEAVE_GROUP", unix.MCAST_LEAVE_GROUP, groupReq, wo, "Leaves a multicast group."},
	{"MCAST_LEAVE_SOURCE_GROUP", unix.MCAST_LEAVE_SOURCE_GROUP, sourceReq, wo, "Leaves a multicast group for one source."},
	{"MCAST_UNBLOCK_SOURCE", unix.MCAST_UNBLOCK_SOURCE, sourceReq, wo, "Undoes MCAST_BLOCK_SOURCE."},
}
