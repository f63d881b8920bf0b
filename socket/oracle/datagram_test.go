package oracle

var datagramScenarios = []scenario{{
	name:  "recv tells of an ICMP refusal",
	row:   "UDP after an ICMP refusal: ECONNREFUSED once, on the next send or recv",
	on:    pair(udp, udp6),
	steps: []step{rcvtimeo(soon), peerCloses(), send("a"), pause(5), recv(5), recv(5)},
	want:  "1; ECONNREFUSED; EAGAIN",
}, {
	name:  "send tells of an ICMP refusal",
	row:   "UDP after an ICMP refusal: ECONNREFUSED once, on the next send or recv",
	on:    pair(udp, udp6),
	steps: []step{rcvtimeo(soon), peerCloses(), send("a"), pause(5), send("b"), pause(5), send("c"), recv(5)},
	want:  "1; ECONNREFUSED; 1; ECONNREFUSED",
}, {
	name:  "SO_ERROR tells of an ICMP refusal",
	row:   "UDP after an ICMP refusal",
	on:    pair(udp, udp6),
	steps: []step{rcvtimeo(soon), peerCloses(), send("a"), pause(5), soError(), soError(), recv(5)},
	want:  "1; ECONNREFUSED; ok; EAGAIN",
}, {
	name:  "an ICMP refusal wakes recv",
	row:   "UDP after an ICMP refusal",
	on:    pair(udp, udp6),
	steps: []step{rcvtimeo(ample), begin(recv(5)), peerCloses(), send("a"), finish()},
	want:  "blocks; 1; ECONNREFUSED",
}, {
	name:  "an ICMP refusal comes before queued data",
	row:   "UDP after an ICMP refusal",
	on:    pair(udp, udp6),
	steps: []step{rcvtimeo(soon), peerSends("ab"), peerCloses(), send("a"), pause(5), recv(5, peek), recv(5), recv(5)},
	want:  `1; ECONNREFUSED; 2 "ab"; EAGAIN`,
}, {
	name:  "DONTWAIT tells of an ICMP refusal",
	row:   "UDP after an ICMP refusal",
	on:    pair(udp),
	steps: []step{peerCloses(), send("a"), pause(5), recv(5, dontwait), recv(5, dontwait)},
	want:  "1; ECONNREFUSED; EAGAIN",
}, {
	name:  "datagrams come one by one",
	row:   "recv",
	on:    pair(udp, udp6, unixgram, seqpacket),
	steps: []step{rcvtimeo(soon), peerSends("ab"), peerSends("cd"), peerSends("ef"), recv(9), recv(9, peek), recv(9), recv(9), recv(9)},
	want:  `2 "ab"; 2 "cd"; 2 "cd"; 2 "ef"; EAGAIN`,
}, {
	name:  "a unix datagram peer closes",
	row:   "unix dgram send, peer gone: ECONNREFUSED, then ENOTCONN",
	on:    pair(unixgram),
	steps: []step{rcvtimeo(soon), peerCloses(), send("a"), send("a"), recv(5)},
	want:  `ECONNREFUSED; ENOTCONN; EAGAIN`,
}, {
	name:  "a unix datagram peer closes with data queued both ways",
	row:   "unix dgram send, peer gone",
	on:    pair(unixgram),
	steps: []step{rcvtimeo(soon), peerSends("ab"), send("unread"), peerCloses(), recv(5), recv(5), send("a"), send("a")},
	want:  `6; 2 "ab"; EAGAIN; ECONNREFUSED; ENOTCONN`,
}, {
	name:  "a full queue of unix datagrams",
	row:   "unix dgram send, peer queue full: EAGAIN",
	on:    pair(unixgram, seqpacket),
	steps: []step{sndtimeo(soon), fillUp(), send("a"), peerGets(1), send("b"), peerGets(1)},
	want:  `EAGAIN; peer 1 "\x00"; 1; peer 1 "\xbc"`,
}}
