package oracle

import "golang.org/x/sys/unix"

const big = 2 << 20

var sendScenarios = []scenario{{
	name:  "a big TCP send gives the partial count, then EAGAIN",
	row:   "big TCP send: partial count, then EAGAIN",
	on:    pair(tcp, tcp6),
	steps: []step{sndtimeo(120 * ms), sendBig(big), sendBig(big), peerHasAll()},
	want:  "part; EAGAIN; peer has all",
}, {
	name:  "a big unix send gives the partial count, then EAGAIN",
	row:   "big unix-stream send",
	on:    pair(unixes),
	steps: []step{sndtimeo(soon), sendN(big), sendN(big), peerHasAll()},
	want:  "219264; EAGAIN; peer has all",
}, {
	name:  "a big send goes on while the peer drains",
	row:   "big TCP send",
	on:    pair(tcp, tcp6, unixes),
	steps: []step{sndtimeo(ample), begin(sendN(big)), peerDrains(big / 2), peerDrains(big / 2), finish()},
	want:  "blocks; 2097152",
}, {
	name:  "a big TCP send has one budget for all of its waits",
	row:   "big TCP send: total budget",
	on:    pair(tcp),
	steps: []step{sndtimeo(200 * ms), begin(sendBig(big)), pause(120), peerDrains(20 << 10), pause(140), finish()},
	want:  "blocks; part",
}, {
	name:     "a big unix send has one budget for all of its waits",
	row:      "big unix-stream send: the kernel restarts the timer on progress",
	on:       pair(unixes),
	steps:    []step{sndtimeo(160 * ms), begin(sendBig(big)), pause(100), peerDrains(100 << 10), pause(100), peerDrains(100 << 10), blocked(), finish()},
	want:     "blocks; blocked; part",
	deviates: "the kernel restarts the timer on progress; Weir's timeout is the whole call's",
	instead:  "blocks; returned; part",
}, {
	name:  "DONTWAIT sends what there is room for",
	row:   "MSG_DONTWAIT",
	on:    pair(unixes),
	steps: []step{sndtimeo(ample), sendN(big, dontwait), sendN(1, dontwait), peerHasAll(), sendN(1, dontwait), peerHasAll()},
	want:  "219264; EAGAIN; peer has all; 1; peer has all",
}, {
	name:  "DONTWAIT on TCP sends what there is room for",
	row:   "MSG_DONTWAIT",
	on:    pair(tcp, tcp6),
	steps: []step{sndtimeo(ample), sendBig(big, dontwait), peerHasAll()},
	want:  "part; peer has all",
}, {
	name:  "DONTWAIT on a full queue of datagrams",
	row:   "MSG_DONTWAIT: EAGAIN at once",
	on:    pair(seqpacket, unixgram),
	steps: []step{sndtimeo(ample), fillUp(), send("a", dontwait), peerGets(1), send("b", dontwait)},
	want:  `EAGAIN; peer 1 "\x00"; 1`,
}, {
	name:  "a blocked send goes on when the peer drains",
	row:   "unix dgram send, peer queue full",
	on:    pair(seqpacket, unixgram, unixes, tcp),
	steps: []step{sndtimeo(ample), fillUp(), begin(send("ab")), blocked(), byPeer("p", "drains", func(w *world, p *peer) string { p.drain(); return "" }), finish()},
	want:  "blocks; blocked; 2",
}, {
	name:  "the peer closes while a unix stream send is blocked",
	row:   "A send blocked when the peer closes: a stream returns its partial count",
	on:    pair(unixes),
	steps: []step{begin(sendN(big)), peerCloses(), finish(), send("a"), recv(5), recv(5), send("a")},
	want:  "blocks; 219264; EPIPE; 0; 0; EPIPE",
}, {
	name:  "the peer closes while a TCP send is blocked",
	row:   "A send blocked when the peer closes: a stream returns its partial count",
	on:    pair(tcp, tcp6),
	steps: []step{begin(sendBig(big)), peerCloses(), finish(), send("a"), send("a"), recv(5)},
	want:  "blocks; part; ECONNRESET; EPIPE; 0",
}, {
	name:  "recv tells of the break after a partial TCP send",
	row:   "After RST: ECONNRESET once, on recv or send, whichever comes first",
	on:    pair(tcp),
	steps: []step{begin(sendBig(big)), peerResets(), finish(), recv(5), recv(5), send("a")},
	want:  "blocks; part; ECONNRESET; 0; EPIPE",
}, {
	name:  "SO_ERROR tells of the break after a partial TCP send",
	row:   "After RST: ECONNRESET once",
	on:    pair(tcp),
	steps: []step{begin(sendBig(big)), peerResets(), finish(), soError(), send("a"), recv(5)},
	want:  "blocks; part; ECONNRESET; EPIPE; 0",
}, {
	name:  "queued data comes before the break after a partial TCP send",
	row:   "After RST: queued data first",
	on:    pair(tcp),
	steps: []step{peerSends("abc"), begin(sendBig(big)), peerResets(), finish(), recv(2), recv(5), recv(5), recv(5)},
	want:  `blocks; part; 2 "ab"; 1 "c"; ECONNRESET; 0`,
}, {
	name:  "the peer closes while a full stream's send is blocked",
	row:   "A send blocked when the peer closes",
	on:    pair(tcp, unixes),
	steps: []step{fillUp(), begin(send("a")), peerCloses(), finish(), send("a"), recv(5)},
	want:  "blocks; ECONNRESET; EPIPE; 0",
}, {
	name:  "the peer closes while a seqpacket send is blocked",
	row:   "A send blocked when the peer closes: seqpacket ECONNRESET",
	on:    pair(seqpacket),
	steps: []step{fillUp(), begin(send("a")), peerCloses(), finish(), send("a"), recv(5)},
	want:  "blocks; ECONNRESET; EPIPE; 0",
}, {
	name:  "the peer closes while a unix datagram send is blocked",
	row:   "unix dgram send, peer gone: ECONNREFUSED, then ENOTCONN",
	on:    pair(unixgram),
	steps: []step{fillUp(), begin(send("a")), peerCloses(), finish(), send("a"), send("a")},
	want:  "blocks; ECONNREFUSED; ENOTCONN; ENOTCONN",
}, {
	name:  "the peer shuts its read side while a unix send is blocked",
	row:   "A send blocked when the peer closes",
	on:    pair(unixes, seqpacket),
	steps: []step{fillUp(), begin(send("a")), peerShuts(unix.SHUT_RD), finish(), send("a")},
	want:  "blocks; EPIPE; EPIPE",
}, {
	name:  "the peer shuts its read side while a big unix send is blocked",
	row:   "A send blocked when the peer closes: a stream returns its partial count",
	on:    pair(unixes),
	steps: []step{sndtimeo(ample), begin(sendN(big)), peerShuts(unix.SHUT_RD), finish(), send("a"), peerGets(4)},
	want:  `blocks; 219264; EPIPE; peer 4 "\x00\a\x0e\x15"`,
}, {
	name:  "the peer shuts its read side while a unix datagram send is blocked",
	row:   "A send blocked when the peer closes",
	on:    pair(unixgram),
	steps: []step{sndtimeo(160 * ms), fillUp(), begin(send("a")), peerShuts(unix.SHUT_RD), blocked(), finish(), send("a")},
	want:  "blocks; blocked; EAGAIN; EAGAIN",
}, {
	name:  "own shutdown and a blocked send of packets",
	row:   "shutdown()",
	on:    pair(unixgram, seqpacket),
	steps: []step{sndtimeo(160 * ms), fillUp(), begin(send("a")), shutdown(unix.SHUT_WR), finish(), send("a")},
	want:  "blocks; ok; EPIPE; EPIPE",
}, {
	name:  "own shutdown wakes a blocked send",
	row:   "shutdown()",
	on:    pair(unixes, tcp),
	steps: []step{fillUp(), begin(send("a")), shutdown(unix.SHUT_WR), finish(), send("a")},
	want:  "blocks; ok; EPIPE; EPIPE",
}, {
	name:  "own shutdown leaves the partial count of a blocked send",
	row:   "shutdown()",
	on:    pair(unixes, tcp),
	steps: []step{begin(sendBig(big)), shutdown(unix.SHUT_RDWR), finish(), send("a"), recv(5)},
	want:  "blocks; ok; part; EPIPE; 0",
}, {
	name:  "a datagram that is too long",
	row:   "udp(7): EMSGSIZE",
	on:    pair(udp, udp6),
	steps: []step{sndtimeo(soon), sendN(70000), send("a"), peerGets(5)},
	want:  `EMSGSIZE; 1; peer 1 "a"`,
}, {
	name:  "a unix datagram that is too long",
	row:   "unix(7): EMSGSIZE",
	on:    pair(unixgram, seqpacket),
	steps: []step{sndtimeo(soon), sendN(1 << 20), send("a"), peerGets(5)},
	want:  `EMSGSIZE; 1; peer 1 "a"`,
}, {
	name:  "MORE holds a segment back",
	row:   "send(2): MSG_MORE",
	on:    pair(tcp),
	steps: []step{send("a", unix.MSG_MORE), send("b"), pause(5), peerGets(5)},
	want:  `1; 1; peer 2 "ab"`,
}, {
	name:  "MORE builds one datagram of several",
	row:   "send(2): MSG_MORE",
	on:    pair(udp),
	steps: []step{send("a", unix.MSG_MORE), send("b"), peerGets(5)},
	want:  `1; 1; peer 2 "ab"`,
}, {
	name:  "EOR on seqpacket",
	row:   "send(2): MSG_EOR",
	on:    pair(seqpacket),
	steps: []step{send("a", unix.MSG_EOR), peerGets(5)},
	want:  `1; peer 1 "a"`,
}, {
	name:  "two writers write one after the other",
	row:   "send",
	on:    pair(unixes),
	steps: []step{fillUp(), sndtimeo(ample), begin(send("ab")), sndtimeo(soon), send("cd"), byPeer("p", "drains", func(w *world, p *peer) string { p.drain(); return "" }), finish()},
	want:  "blocks; EAGAIN; 2",
}}
