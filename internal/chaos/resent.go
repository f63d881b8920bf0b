//go:build linux

package chaos

import "encoding/binary"

// A memory has the segments that a line has lost or corrupted. The line harms none of them
// twice: what TCP sends again arrives.
//
// TCP doubles its retransmission timeout with each loss of a segment. On a busy machine the
// round-trip time varies so much that the timeout begins at up to 13 seconds. With three
// losses in succession, which happen once in some hundred streams, the stream then stands
// still for longer than any test waits. With the memory it stands still for the timeout, and
// perhaps for the doubled one, if an acknowledgement is lost, too.
type memory struct {
	known  map[segment]bool
	oldest [mostRemembered]segment // a ring of those that are known
	next   int                     // the place in the ring
}

// mostRemembered bounds a memory. TCP sends a segment again long before a line harms so
// many others.
const mostRemembered = 4096

// A segment names a packet of TCP by what stays the same when it is sent again: its
// addresses and ports, its flags, and its place in the stream. An acknowledgement without
// data is named by what it acknowledges.
type segment struct {
	addresses  [8]byte
	ports      uint32
	seq, ack   uint32
	flags      byte
	hasPayload bool
}

// first reports whether the line may harm the packet: it is not of TCP, or it was not harmed
// before. It then counts as harmed.
func (m *memory) first(packet []byte) bool {
	s, ok := segmentOf(packet)
	if !ok {
		return true
	}
	if m.known[s] {
		return false
	}
	if m.known == nil {
		m.known = make(map[segment]bool)
	}
	delete(m.known, m.oldest[m.next])
	m.known[s], m.oldest[m.next] = true, s
	m.next = (m.next + 1) % mostRemembered
	return true
}

// segmentOf returns the name of a packet of IPv4, or false if it is not of TCP.
func segmentOf(p []byte) (s segment, ok bool) {
	const tcp, ipHeader, tcpHeader = 6, 20, 20
	if len(p) < ipHeader || p[0]>>4 != 4 || p[9] != tcp {
		return s, false
	}
	header := int(p[0]&15) * 4
	if header < ipHeader || len(p) < header+tcpHeader {
		return s, false
	}
	t := p[header:]
	copy(s.addresses[:], p[12:20])
	s.ports, s.seq = binary.BigEndian.Uint32(t), binary.BigEndian.Uint32(t[4:])
	const fin, syn, rst = 1, 2, 4
	s.flags = t[13] & (fin | syn | rst)
	s.hasPayload = len(t) > int(t[12]>>4)*4
	if !s.hasPayload && s.flags == 0 {
		s.ack = binary.BigEndian.Uint32(t[8:])
	}
	return s, true
}
