package socket

import (
	"bytes"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// A Protocol is a protocol number, as in protocols(5). Zero means the usual one
// of a family and type.
type Protocol int

// usualProtocols are the names on a system without /etc/protocols.
var usualProtocols = []name[Protocol]{
	{unix.IPPROTO_IP, "ip"}, {unix.IPPROTO_ICMP, "icmp"}, {unix.IPPROTO_IGMP, "igmp"},
	{unix.IPPROTO_IPIP, "ipencap"}, {unix.IPPROTO_TCP, "tcp"}, {unix.IPPROTO_EGP, "egp"},
	{unix.IPPROTO_UDP, "udp"}, {unix.IPPROTO_DCCP, "dccp"}, {unix.IPPROTO_IPV6, "ipv6"},
	{unix.IPPROTO_ROUTING, "ipv6-route"}, {unix.IPPROTO_FRAGMENT, "ipv6-frag"},
	{unix.IPPROTO_RSVP, "rsvp"}, {unix.IPPROTO_GRE, "gre"}, {unix.IPPROTO_ESP, "esp"},
	{unix.IPPROTO_AH, "ah"}, {unix.IPPROTO_ICMPV6, "ipv6-icmp"}, {unix.IPPROTO_ICMPV6, "icmpv6"},
	{unix.IPPROTO_NONE, "ipv6-nonxt"}, {unix.IPPROTO_DSTOPTS, "ipv6-opts"},
	{unix.IPPROTO_PIM, "pim"}, {unix.IPPROTO_SCTP, "sctp"}, {unix.IPPROTO_UDPLITE, "udplite"},
	{unix.IPPROTO_MPTCP, "mptcp"}, {unix.IPPROTO_RAW, "raw"},
}

// protocols returns the names of /etc/protocols, which it reads once, and after
// them the usual names.
var protocols = sync.OnceValue(func() []name[Protocol] {
	file, _ := os.ReadFile("/etc/protocols")
	return append(parseProtocols(file), usualProtocols...)
})

// parseProtocols reads the format of protocols(5): a name, a number, and more
// names for it.
func parseProtocols(file []byte) (names []name[Protocol]) {
	for line := range bytes.Lines(file) {
		line, _, _ = bytes.Cut(line, []byte{'#'})
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, err := strconv.ParseUint(string(fields[1]), 10, 31)
		if err != nil {
			continue
		}
		fields[1] = fields[0]
		for _, f := range fields[1:] {
			names = append(names, name[Protocol]{Protocol(n), string(f)})
		}
	}
	return names
}

// ProtocolByName finds a protocol by a name of protocols(5), such as "tcp" or
// "UDP", or by its number in figures; "" is 0. An unknown one is
// EPROTONOSUPPORT.
func ProtocolByName(s string) (Protocol, error) {
	if s == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return Protocol(n), nil
	}
	for _, p := range protocols() {
		if p.name == s {
			return p.value, nil
		}
	}
	return 0, invalid("socket", "protocol "+strconv.Quote(s), unix.EPROTONOSUPPORT, "no protocol has this name")
}

// String returns the protocol's first name, or its number.
func (p Protocol) String() string {
	for _, known := range protocols() {
		if known.value == p {
			return known.name
		}
	}
	return strconv.Itoa(int(p))
}
