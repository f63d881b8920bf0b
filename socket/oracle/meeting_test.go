package oracle

import "golang.org/x/sys/unix"

// These scenarios use datagram sockets that are not connected, and calls with addresses
// on sockets that are connected.
var meetingScenarios = []scenario{{
	name:  "recvfrom waits as long as the receive timeout says",
	row:   "recv: EAGAIN",
	on:    meeting(udp, udp6, unixgram),
	steps: []step{rcvtimeo(soon), recvFrom(5), recvFrom(5, peek), writes("l", "ab"), recvFrom(5), recvFrom(5)},
	want:  `EAGAIN; EAGAIN; 2 "ab" from l; EAGAIN`,
}, {
	name:  "a datagram ends the wait of recvfrom",
	row:   "recv",
	on:    meeting(udp, udp6, unixgram),
	steps: []step{rcvtimeo(ample), begin(recvFrom(5)), pause(20), writes("l", "ab"), finish()},
	want:  `blocks; 2 "ab" from l`,
}, {
	name:  "each datagram has its sender",
	row:   "recvfrom(2)",
	on:    meeting(udp, udp6, unixgram),
	steps: []step{rcvtimeo(soon), joins("q"), writes("l", "ab"), writes("q", "cd"), writes("l", "ef"), recvFrom(5), recvFrom(5, peek), recvFrom(5), recvFrom(5), recvFrom(5)},
	want:  `2 "ab" from l; 2 "cd" from q; 2 "cd" from q; 2 "ef" from l; EAGAIN`,
}, {
	name:  "a sender without a name",
	row:   "unix(7)",
	on:    meeting(unixgram),
	steps: []step{rcvtimeo(soon), joinsUnnamed("u"), writes("u", "ab"), writes("u", ""), writes("l", "cd"), recvFrom(5), recvFrom(5), recvFrom(5)},
	want:  `2 "ab" from nobody; 0 from nobody; 2 "cd" from l`,
}, {
	name:  "TRUNC and a short buffer tell the sender too",
	row:   "recv(2): MSG_TRUNC",
	on:    meeting(udp, udp6, unixgram),
	steps: []step{rcvtimeo(soon), writes("l", "abcdef"), writes("l", "ghijkl"), writes("l", "m"), recvFrom(2, trunc, peek), recvFrom(2, trunc), recvFrom(2), recvFrom(2), recvFrom(2)},
	want:  `6 "ab" from l; 6 "ab" from l; 2 "gh" from l; 1 "m" from l; EAGAIN`,
}, {
	name:  "empty datagrams have senders",
	row:   "eof is never true after an empty datagram",
	on:    meeting(udp, udp6, unixgram),
	steps: []step{rcvtimeo(soon), writes("l", ""), writes("l", "a"), writes("l", ""), recvFrom(5, peek), recvFrom(5), recvFrom(5), recvFrom(0), recvFrom(5), sendTo("l", ""), sendToAddr("l", ""), reads("l", 5), reads("l", 5)},
	want:  `0 from l; 0 from l; 1 "a" from l; 0 from l; EAGAIN; 0; 0; l 0 from s; l 0 from s`,
}, {
	name:  "a recvfrom of zero bytes takes a datagram",
	row:   "recv of 0 bytes",
	on:    meeting(udp, unixgram),
	steps: []step{rcvtimeo(soon), recvFrom(0), writes("l", "ab"), writes("l", "cd"), recvFrom(0), recvFrom(0, trunc), recvFrom(5)},
	want:  `EAGAIN; 0 from l; 2 "" from l; EAGAIN`,
}, {
	name:  "DONTWAIT, WAITALL, OOB and the error queue with addresses",
	row:   "MSG_DONTWAIT: EAGAIN at once; WAITALL on a datagram: no effect",
	on:    meeting(udp, udp6),
	steps: []step{rcvtimeo(soon), recvFrom(5, dontwait), recvFrom(5, errqueue), writes("l", "ab"), writes("l", "cd"), recvFrom(5, waitall), recvFrom(5, dontwait), recvFrom(5, waitall), recvFrom(5, oob)},
	want:  `EAGAIN; EAGAIN; 2 "ab" from l; 2 "cd" from l; EAGAIN; EAGAIN`,
}, {
	name:  "OOB with addresses on unix datagrams",
	row:   "MSG_OOB",
	on:    meeting(unixgram),
	steps: []step{rcvtimeo(soon), recvFrom(5, dontwait), recvFrom(5, oob), sendTo("l", "a", oob), writes("l", "ab"), recvFrom(5, waitall)},
	want:  `EAGAIN; EOPNOTSUPP; EOPNOTSUPP; 2 "ab" from l`,
}, {
	name:  "sendto reaches whom it is for",
	row:   "sendto(2)",
	on:    meeting(udp, udp6, unixgram),
	steps: []step{joins("q"), sendTo("l", "ab"), sendTo("q", "cd"), sendToAddr("l", "ef"), reads("l", 5), reads("l", 5), reads("q", 5)},
	want:  `2; 2; 2; l 2 "ab" from s; l 2 "ef" from s; q 2 "cd" from s`,
}, {
	name:  "sendto gives a udp socket an address",
	row:   "udp(7)",
	on:    facing(0, udp, udp6),
	steps: []step{rcvtimeo(soon), sendTo("l", "ab"), reads("l", 5), writes("l", "cd"), recvFrom(5), recvFrom(5)},
	want:  `2; l 2 "ab" from s; 2 "cd" from l; EAGAIN`,
}, {
	name:  "sendto gives a unix socket no address",
	row:   "unix(7)",
	on:    facing(0, unixgram),
	steps: []step{sendTo("l", "ab"), sendToAddr("l", "cd"), reads("l", 5), reads("l", 5)},
	want:  `2; 2; l 2 "ab" from nobody; l 2 "cd" from nobody`,
}, {
	name:  "a full unix peer that one is not connected to",
	row:   "unix dgram send, peer queue full: EAGAIN",
	on:    meeting(unixgram),
	steps: []step{sndtimeo(soon), fillUpTo("l"), sendTo("l", "a"), sendToAddr("l", "a"), sendTo("l", "a", dontwait), reads("l", 5), sendTo("l", "b"), sendTo("l", "c")},
	want:  `EAGAIN; EAGAIN; EAGAIN; l 4 "full" from s; 1; EAGAIN`,
}, {
	name:  "a full unix peer that one is not connected to drains",
	row:   "unix dgram send, peer queue full",
	on:    meeting(unixgram),
	steps: []step{sndtimeo(ample), fillUpTo("l"), begin(sendTo("l", "ab")), blocked(), unblocks("l"), finish(), begin(sendToAddr("l", "cd")), finish()},
	want:  `blocks; blocked; 2; returns; 2`,
}, {
	name:  "a full unix peer that one is not connected to closes",
	row:   "unix dgram send, peer gone: ECONNREFUSED",
	on:    meeting(unixgram),
	steps: []step{sndtimeo(ample), fillUpTo("l"), begin(sendTo("l", "ab")), blocked(), gone(), finish(), sendTo("l", "ab"), sendToAddr("l", "ab")},
	want:  `blocks; blocked; ECONNREFUSED; ECONNREFUSED; ECONNREFUSED`,
}, {
	name:  "a full unix peer does not hold up a send to another",
	row:   "unix dgram send, peer queue full",
	on:    meeting(unixgram),
	steps: []step{sndtimeo(soon), joins("q"), fillUpTo("l"), sendTo("q", "a"), sendTo("l", "a"), sendTo("q", "b"), reads("q", 5), reads("q", 5)},
	want:  `1; EAGAIN; 1; q 1 "a" from s; q 1 "b" from s`,
}, {
	name:  "a connected unix socket sends to another peer",
	row:   "unix dgram send, peer queue full",
	on:    pair(unixgram),
	steps: []step{sndtimeo(soon), joins("q"), sendTo("q", "a"), reads("q", 5), fillUpTo("q"), sendTo("q", "b"), send("c"), peerGets(5), fillUp(), reads("q", 5), sendTo("q", "d")},
	want:  `1; q 1 "a" from s; EAGAIN; 1; peer 1 "c"; q 4 "full" from s; 1`,
}, {
	name:  "a unix peer that is gone",
	row:   "unix dgram send, peer gone: ECONNREFUSED",
	on:    meeting(unixgram),
	steps: []step{rcvtimeo(soon), writes("l", "left"), gone(), sendTo("l", "a"), sendToAddr("l", "a"), send("a"), recvFrom(5), recvFrom(5)},
	want:  `ECONNREFUSED; ECONNREFUSED; ENOTCONN; 4 "left" from l; EAGAIN`,
}, {
	name:  "a connected unix peer that is gone, by address",
	row:   "unix dgram send, peer gone: ECONNREFUSED, then ENOTCONN",
	on:    pair(unixgram),
	steps: []step{peerCloses(), sendTo("p", "a"), sendTo("p", "a"), send("a"), send("a"), sendTo("p", "a")},
	want:  `ECONNREFUSED; ECONNREFUSED; ECONNREFUSED; ENOTCONN; ECONNREFUSED`,
}, {
	name: "a unix peer that is connected to another",
	row:  "unix(7): EPERM",
	on:   meeting(unixgram),
	steps: []step{joins("q"), joins("r"), attaches("q"), sendTo("q", "a"), byPeer("q", "turns to r", func(w *world, q *peer) string {
		return errnoName(errnoOf(unix.Connect(q.fd, w.targetOf("r").sa)))
	}), sendTo("q", "a"), sendToAddr("q", "a", dontwait)},
	want: `1; ok; EPERM; EPERM`,
}, {
	name:  "addresses on a connected stream",
	row:   "sendto(2): EISCONN, or the address is ignored",
	on:    pair(tcp, tcp6),
	steps: []step{rcvtimeo(soon), sendToAddr("l", "ab"), peerGets(5), peerSends("cd"), recvFrom(5, peek), recvFrom(5), recvFrom(5), peerShuts(unix.SHUT_WR), recvFrom(5)},
	want:  `2; peer 2 "ab"; 2 "cd" from nobody; 2 "cd" from nobody; EAGAIN; 0 from nobody`,
}, {
	name:  "addresses on a connected unix stream",
	row:   "sendto(2): EISCONN",
	on:    pair(unixes),
	steps: []step{rcvtimeo(soon), sendToAddr("l", "ab"), peerSends("cd"), recvFrom(5, peek), recvFrom(5), recvFrom(5), peerShuts(unix.SHUT_WR), recvFrom(5)},
	want:  `EISCONN; 2 "cd" from p; 2 "cd" from p; EAGAIN; 0 from nobody`,
}, {
	name:  "addresses on a connected seqpacket socket",
	row:   "sendto(2)",
	on:    pair(seqpacket),
	steps: []step{rcvtimeo(soon), sendToAddr("l", "ab"), peerGets(5), peerSends("cdef"), recvFrom(2, trunc, peek), recvFrom(2), recvFrom(5), peerShuts(unix.SHUT_WR), recvFrom(5)},
	want:  `2; peer 2 "ab"; 4 "cd" from p; 2 "cd" from p; EAGAIN; 0 from nobody`,
}, {
	name:  "addresses on an unconnected stream",
	row:   "Unconnected: TCP recv ENOTCONN, send EPIPE",
	on:    facing(1, tcp, tcp6),
	steps: []step{rcvtimeo(soon), recvFrom(5), sendTo("l", "a"), sendToAddr("l", "a", dontwait)},
	want:  `ENOTCONN; EPIPE; EPIPE`,
}, {
	name:  "addresses on an unconnected unix stream",
	row:   "Unconnected: unix stream recv EINVAL",
	on:    facing(1, unixes),
	steps: []step{rcvtimeo(soon), recvFrom(5), sendTo("l", "a"), sendToAddr("l", "a", dontwait)},
	want:  `EINVAL; EOPNOTSUPP; EOPNOTSUPP`,
}, {
	name:  "addresses on an unconnected seqpacket socket",
	row:   "Unconnected: seqpacket both ENOTCONN",
	on:    facing(1, seqpacket),
	steps: []step{rcvtimeo(soon), recvFrom(5), sendTo("l", "a"), sendToAddr("l", "a", dontwait)},
	want:  `ENOTCONN; ENOTCONN; ENOTCONN`,
}, {
	name:  "a connected udp socket sends elsewhere and hears only its peer",
	row:   "udp(7)",
	on:    pair(udp, udp6),
	steps: []step{rcvtimeo(soon), joins("q"), sendTo("q", "a"), reads("q", 5), writes("q", "unheard"), peerSends("b"), recvFrom(9), recvFrom(9)},
	want:  `1; q 1 "a" from s; 1 "b" from p; EAGAIN`,
}, {
	name:  "shutdown wakes recvfrom of an unconnected udp socket",
	row:   "shutdown() wakes recv (0)",
	on:    meeting(udp, udp6),
	steps: []step{rcvtimeo(ample), begin(recvFrom(5)), shutdown(unix.SHUT_RD), finish(), recvFrom(5), writes("l", "a"), recvFrom(5), recvFrom(5)},
	want:  `blocks; ENOTCONN; 0 from nobody; 0 from nobody; 1 "a" from l; 0 from nobody`,
}, {
	name:  "shutdown wakes recvfrom of an unconnected unix socket",
	row:   "shutdown() wakes recv (0)",
	on:    meeting(unixgram),
	steps: []step{rcvtimeo(ample), writes("l", "a"), recvFrom(5), begin(recvFrom(5)), shutdown(unix.SHUT_RD), finish(), recvFrom(5), sendTo("l", "b"), reads("l", 5)},
	want:  `1 "a" from l; blocks; ok; 0 from nobody; 0 from nobody; 1; l 1 "b" from s`,
}, {
	name:  "shutdown of the write side ends sendto",
	row:   "own SHUT_WR",
	on:    meeting(unixgram),
	steps: []step{rcvtimeo(soon), shutdown(unix.SHUT_WR), sendTo("l", "a"), sendToAddr("l", "a", dontwait), writes("l", "b"), recvFrom(5), recvFrom(5)},
	want:  `ok; EPIPE; EPIPE; 1 "b" from l; EAGAIN`,
}, {
	name:     "shutdown while sendto is blocked",
	row:      "shutdown()",
	on:       meeting(unixgram),
	steps:    []step{sndtimeo(160 * ms), fillUpTo("l"), begin(sendTo("l", "a")), shutdown(unix.SHUT_WR), finish(), sendTo("l", "a")},
	want:     `blocks; ok; EAGAIN; EPIPE`,
	deviates: "the kernel does not look again before there is room; Weir does, for it is not told of room",
	instead:  `blocks; ok; EPIPE; EPIPE`,
}, {
	name:     "a close while recvfrom is blocked",
	row:      "Deviation on purpose: a close wakes every blocked call (EBADF)",
	on:       meeting(udp, unixgram),
	steps:    []step{rcvtimeo(160 * ms), begin(recvFrom(5)), closing(), blocked(), finish(), recvFrom(5), sendTo("l", "a")},
	want:     "blocks; ok; blocked; EAGAIN; EBADF; EBADF",
	deviates: closeWakes,
	instead:  "blocks; ok; returned; EBADF; EBADF; EBADF",
}, {
	name:     "a close while sendto is blocked",
	row:      "Deviation on purpose: a close wakes every blocked call (EBADF)",
	on:       meeting(unixgram),
	steps:    []step{sndtimeo(160 * ms), fillUpTo("l"), begin(sendTo("l", "a")), closing(), blocked(), finish()},
	want:     "blocks; ok; blocked; EAGAIN",
	deviates: closeWakes,
	instead:  "blocks; ok; returned; EBADF",
}}

var refusalScenarios = []scenario{{
	name:  "recvfrom of a connected socket tells of an ICMP refusal",
	row:   "UDP after an ICMP refusal: ECONNREFUSED once, on the next send or recv",
	on:    pair(udp, udp6),
	steps: []step{rcvtimeo(soon), peerCloses(), sendTo("p", "a"), pause(5), recvFrom(5), recvFrom(5), sendToAddr("p", "b"), pause(5), sendTo("p", "c"), recvFrom(5)},
	want:  `1; ECONNREFUSED; EAGAIN; 1; ECONNREFUSED; EAGAIN`,
}, {
	name:  "an ICMP refusal is not told to an unconnected socket",
	row:   "UDP after an ICMP refusal",
	on:    meeting(udp, udp6),
	steps: []step{rcvtimeo(soon), gone(), sendTo("l", "a"), pause(5), recvFrom(5), sendTo("l", "b"), pause(5), sendToAddr("l", "c"), soError()},
	want:  `1; EAGAIN; 1; 1; ok`,
}, {
	name:  "RECVERR: an ICMP refusal is told to an unconnected socket",
	row:   "UDP after an ICMP refusal: ECONNREFUSED once, on the next send or recv",
	on:    meeting(udp, udp6),
	steps: []step{recverr(), rcvtimeo(soon), gone(), sendTo("l", "a"), pause(5), recvFrom(5), recvFrom(5), sendTo("l", "b"), pause(5), sendToAddr("l", "c"), pause(5), recv(5, peek)},
	want:  `1; ECONNREFUSED; EAGAIN; 1; ECONNREFUSED; EAGAIN`,
}, {
	name:  "RECVERR: an ICMP refusal wakes recvfrom",
	row:   "UDP after an ICMP refusal",
	on:    meeting(udp, udp6),
	steps: []step{recverr(), rcvtimeo(ample), begin(recvFrom(5)), gone(), sendTo("l", "a"), finish(), recvFrom(5, dontwait)},
	want:  `blocks; 1; ECONNREFUSED; EAGAIN`,
}, {
	name:  "RECVERR: an error in the queue does not cut a wait short",
	row:   "UDP after an ICMP refusal",
	on:    meeting(udp, udp6),
	steps: []step{recverr(), rcvtimeo(soon), joins("q"), gone(), sendTo("l", "a"), pause(5), recvFrom(5), begin(recvFrom(5)), finish(), rcvtimeo(ample), begin(recvFrom(5)), writes("q", "ab"), finish()},
	want:  `1; ECONNREFUSED; blocks; EAGAIN; blocks; 2 "ab" from q`,
}, {
	name:  "RECVERR: the error queue tells the datagram",
	row:   "ip(7): IP_RECVERR",
	on:    meeting(udp, udp6),
	steps: []step{recverr(), rcvtimeo(soon), gone(), sendTo("l", "ab"), pause(5), recvMsg([]int{8}, 512, errqueue), recvMsg([]int{8}, 512, errqueue), recvFrom(5)},
	want:  `2; 2 "ab" ERRQUEUE from l with ECONNREFUSED; EAGAIN; EAGAIN`,
}, {
	name:  "RECVERR: a refusal and queued data",
	row:   "UDP after an ICMP refusal",
	on:    meeting(udp, udp6),
	steps: []step{recverr(), rcvtimeo(soon), writes("l", "ab"), gone(), sendTo("l", "c"), pause(5), recvFrom(5), recvFrom(5), recvFrom(5)},
	want:  `1; ECONNREFUSED; 2 "ab" from l; EAGAIN`,
}, {
	name:  "RECVERR on a connected socket",
	row:   "UDP after an ICMP refusal: ECONNREFUSED once",
	on:    pair(udp, udp6),
	steps: []step{recverr(), rcvtimeo(soon), peerCloses(), send("a"), pause(5), soError(), soError(), recvMsg([]int{8}, 512, errqueue), recvFrom(5), send("b"), pause(5), recv(5), recv(5)},
	want:  `1; ECONNREFUSED; ok; 1 "a" ERRQUEUE from p with ECONNREFUSED; EAGAIN; 1; ECONNREFUSED; EAGAIN`,
}}
