package oracle

import "golang.org/x/sys/unix"

const (
	peek     = unix.MSG_PEEK
	waitall  = unix.MSG_WAITALL
	dontwait = unix.MSG_DONTWAIT
	trunc    = unix.MSG_TRUNC
	oob      = unix.MSG_OOB
	errqueue = unix.MSG_ERRQUEUE
	fastopen = unix.MSG_FASTOPEN
)

var recvScenarios = []scenario{{
	name:  "recv with PEEK waits too and takes nothing",
	row:   "recv, PEEK: EAGAIN",
	on:    pair(tcp, tcp6, unixes, seqpacket, udp, unixgram),
	steps: []step{rcvtimeo(soon), recv(10, peek), peerSends("ab"), recv(10, peek), recv(10), recv(10, peek)},
	want:  `EAGAIN; 2 "ab"; 2 "ab"; EAGAIN`,
}, {
	name:  "recv takes what there is",
	row:   "recv",
	on:    pair(tcp, unixes),
	steps: []step{rcvtimeo(soon), peerSends("abc"), peerSends("def"), recv(4), recv(4), recv(4)},
	want:  `4 "abcd"; 2 "ef"; EAGAIN`,
}, {
	name:  "data that comes while nobody waits is found after a timeout",
	row:   "recv: the effect on the next call",
	on:    pair(tcp, unixes, udp),
	steps: []step{rcvtimeo(soon), recv(4), peerSends("abc"), recv(4), recv(4), peerSends("de"), pause(20), recv(2), recv(1)},
	want:  `EAGAIN; 3 "abc"; EAGAIN; 2 "de"; EAGAIN`,
}, {
	name:  "WAITALL fills the buffer",
	row:   "MSG_WAITALL",
	on:    pair(tcp, tcp6, unixes),
	steps: []step{rcvtimeo(ample), peerSends("ab"), begin(recv(5, waitall)), pause(20), peerSends("c"), blocked(), peerSends("def"), finish(), recv(5, dontwait)},
	want:  `blocks; blocked; 5 "abcde"; 1 "f"`,
}, {
	name:  "WAITALL gives the partial count when its time is up",
	row:   "MSG_WAITALL: the partial count",
	on:    pair(tcp, tcp6, unixes),
	steps: []step{rcvtimeo(soon), peerSends("ab"), recv(5, waitall), recv(5, waitall)},
	want:  `2 "ab"; EAGAIN`,
}, {
	name:  "WAITALL has one budget for all of its waits",
	row:   "MSG_WAITALL: the budget is per call, not per wait",
	on:    pair(tcp, unixes),
	steps: []step{rcvtimeo(160 * ms), begin(recv(5, waitall)), pause(40), peerSends("a"), pause(40), peerSends("b"), pause(120), peerSends("cde"), finish(), recv(5, waitall)},
	want:  `blocks; 2 "ab"; 3 "cde"`,
}, {
	name:  "WAITALL ends with the stream",
	row:   "MSG_WAITALL",
	on:    pair(tcp, unixes),
	steps: []step{rcvtimeo(ample), begin(recv(5, waitall)), peerSends("ab"), peerShuts(unix.SHUT_WR), finish(), recv(5, waitall), recv(5)},
	want:  `blocks; 2 "ab"; 0; 0`,
}, {
	name:  "WAITALL on datagrams has no effect",
	row:   "WAITALL on a datagram: no effect",
	on:    pair(seqpacket, udp, unixgram),
	steps: []step{rcvtimeo(soon), peerSends("ab"), peerSends("cd"), recv(5, waitall), recv(5, waitall), recv(5, waitall)},
	want:  `2 "ab"; 2 "cd"; EAGAIN`,
}, {
	name:  "WAITALL with DONTWAIT does not wait",
	row:   "MSG_DONTWAIT: EAGAIN at once",
	on:    pair(tcp, unixes),
	steps: []step{rcvtimeo(ample), recv(5, waitall, dontwait), peerSends("ab"), recv(5, waitall, dontwait)},
	want:  `EAGAIN; 2 "ab"`,
}, {
	name:  "PEEK with WAITALL keeps the partial data",
	row:   "PEEK+WAITALL: partial, data kept",
	on:    pair(tcp, tcp6, unixes),
	steps: []step{rcvtimeo(soon), recv(5, peek, waitall), peerSends("ab"), recv(5, peek, waitall), recv(5)},
	want:  `EAGAIN; 2 "ab"; 2 "ab"`,
}, {
	name:  "PEEK with WAITALL waits for all",
	row:   "PEEK+WAITALL",
	on:    pair(tcp, tcp6),
	steps: []step{rcvtimeo(ample), begin(recv(4, peek, waitall)), peerSends("ab"), blocked(), peerSends("cd"), finish(), recv(9)},
	want:  `blocks; blocked; 4 "abcd"; 4 "abcd"`,
}, {
	name:  "PEEK with WAITALL ends with the stream",
	row:   "PEEK+WAITALL",
	on:    pair(tcp, tcp6),
	steps: []step{rcvtimeo(ample), peerSends("ab"), begin(recv(4, peek, waitall)), peerShuts(unix.SHUT_WR), finish(), recv(9), recv(9, peek, waitall)},
	want:  `blocks; 2 "ab"; 2 "ab"; 0`,
}, {
	name:  "PEEK with WAITALL on a unix socket does not wait for all",
	row:   "PEEK+WAITALL",
	on:    pair(unixes),
	steps: []step{rcvtimeo(ample), begin(recv(4, peek, waitall)), peerSends("ab"), finish(), recv(4, peek, waitall), peerShuts(unix.SHUT_WR), recv(9), recv(9, peek, waitall)},
	want:  `blocks; 2 "ab"; 2 "ab"; 2 "ab"; 0`,
}, {
	name:  "DONTWAIT says EAGAIN at once",
	row:   "MSG_DONTWAIT: EAGAIN at once",
	on:    pair(tcp, tcp6, unixes, seqpacket, udp, udp6, unixgram),
	steps: []step{rcvtimeo(ample), recv(5, dontwait), peerSends("ab"), recv(5, dontwait, peek), recv(5, dontwait), recv(5, dontwait)},
	want:  `EAGAIN; 2 "ab"; 2 "ab"; EAGAIN`,
}, {
	name:  "DONTWAIT does not wait for a blocked recv",
	row:   "MSG_DONTWAIT: EAGAIN at once",
	on:    pair(tcp, unixes, udp),
	steps: []step{begin(recv(5)), recv(5, dontwait), peerSends("ab"), finish()},
	want:  `blocks; EAGAIN; 2 "ab"`,
}, {
	name:  "TRUNC tells a datagram's length",
	row:   "recv(2): MSG_TRUNC",
	on:    pair(seqpacket, udp, unixgram),
	steps: []step{rcvtimeo(soon), peerSends("abcdef"), peerSends("g"), recv(2, trunc, peek), recv(2, trunc), recv(2), recv(2)},
	want:  `6 "ab"; 6 "ab"; 1 "g"; EAGAIN`,
}, {
	name:  "a short buffer loses the rest of a datagram",
	row:   "recv(2)",
	on:    pair(seqpacket, udp, unixgram),
	steps: []step{rcvtimeo(soon), peerSends("abcdef"), peerSends("g"), recv(2), recv(2), recv(2)},
	want:  `2 "ab"; 1 "g"; EAGAIN`,
}, {
	name:  "TRUNC on TCP throws the data away",
	row:   "tcp(7): MSG_TRUNC",
	on:    pair(tcp),
	steps: []step{rcvtimeo(soon), peerSends("abcdef"), recv(2, trunc), recv(9)},
	want:  `2 "\x00\x00"; 4 "cdef"`,
}, {
	name:  "WAITALL with TRUNC on TCP",
	row:   "tcp(7): MSG_TRUNC",
	on:    pair(tcp),
	steps: []step{rcvtimeo(soon), peerSends("abc"), recv(5, trunc, waitall), peerSends("def"), recv(2, waitall), recv(2)},
	want:  `3 "\x00\x00\x00"; 2 "de"; 1 "f"`,
}, {
	name:  "the error queue is empty",
	row:   "ip(7): MSG_ERRQUEUE never waits",
	on:    pair(tcp, tcp6, udp, udp6),
	steps: []step{rcvtimeo(ample), recv(5, errqueue)},
	want:  `EAGAIN`,
}, {
	name:  "unix sockets have no error queue",
	row:   "ip(7): MSG_ERRQUEUE",
	on:    pair(unixes, seqpacket, unixgram),
	steps: []step{rcvtimeo(soon), recv(5, errqueue), peerSends("ab"), recv(5, errqueue)},
	want:  `EAGAIN; 2 "ab"`,
}, {
	name:  "a low-water mark",
	row:   "socket(7): SO_RCVLOWAT",
	on:    pair(tcp, tcp6, unixes),
	steps: []step{option(rcvlowat, 4), rcvtimeo(160 * ms), peerSends("ab"), begin(recv(9)), blocked(), finish(), peerSends("cdefgh"), recv(9), recv(9)},
	want:  `blocks; blocked; 2 "ab"; 6 "cdefgh"; EAGAIN`,
}, {
	name:  "a low-water mark is reached",
	row:   "socket(7): SO_RCVLOWAT",
	on:    pair(tcp, tcp6, unixes),
	steps: []step{option(rcvlowat, 4), rcvtimeo(ample), begin(recv(9)), peerSends("ab"), blocked(), peerSends("cd"), finish(), peerSends("ef"), recv(2), peerSends("g"), recv(9, dontwait)},
	want:  `blocks; blocked; 4 "abcd"; 2 "ef"; 1 "g"`,
}, {
	name:     "a low-water mark that is set on the descriptor",
	row:      "socket(7): SO_RCVLOWAT",
	on:       pair(tcp, unixes),
	steps:    []step{optionBehind(rcvlowat, 4), rcvtimeo(160 * ms), peerSends("ab"), begin(recv(9)), finish(), peerSends("cdef"), recv(9)},
	want:     `blocks; 2 "ab"; 4 "cdef"`,
	deviates: "the kernel waits for that many bytes, unless it may not wait; Weir does not know of what was done behind its back",
	instead:  `returns; 2 "ab"; 4 "cdef"`,
}, {
	name:  "two readers are served in turn",
	row:   "Two readers: one after the other (FIFO)",
	on:    pair(unixes, seqpacket, udp),
	steps: []step{begin(recv(5)), begin(recv(5)), peerSends("ab"), finishAny(), blocked(), peerSends("cd"), finish()},
	want:  `blocks; blocks; 2 "ab"; blocked; 2 "cd"`,
}, {
	name:  "each of two readers has its own time",
	row:   "Two readers: each deadline fixed before queueing",
	on:    pair(tcp, unixes, udp),
	steps: []step{rcvtimeo(120 * ms), begin(recv(5)), rcvtimeo(soon), recv(5), finish()},
	want:  `blocks; EAGAIN; EAGAIN`,
}, {
	name:  "a reader and a writer do not disturb each other",
	row:   "recv",
	on:    pair(tcp, unixes, seqpacket, udp, unixgram),
	steps: []step{begin(recv(5)), send("ab"), peerGets(5), peerSends("cd"), finish()},
	want:  `blocks; 2; peer 2 "ab"; 2 "cd"`,
}}

var zeroScenarios = []scenario{{
	name:  "a TCP recv of zero bytes waits once, and never says EAGAIN",
	row:   "recv of 0 bytes on TCP",
	on:    pair(tcp, tcp6),
	steps: []step{rcvtimeo(soon), recv(0), recv(0, peek), recv(0, waitall), recv(0, dontwait), peerSends("a"), recv(0), recv(5), recv(0)},
	want:  `0; 0; 0; EAGAIN; 0; 1 "a"; 0`,
}, {
	name:  "data ends the wait of a TCP recv of zero bytes",
	row:   "recv of 0 bytes on TCP",
	on:    pair(tcp),
	steps: []step{begin(recv(0)), blocked(), peerSends("a"), finish(), recv(5)},
	want:  `blocks; blocked; 0; 1 "a"`,
}, {
	name:  "a reset ends the wait of a TCP recv of zero bytes",
	row:   "recv of 0 bytes on TCP",
	on:    pair(tcp),
	steps: []step{begin(recv(0)), peerResets(), finish(), recv(5), recv(5)},
	want:  `blocks; 0; ECONNRESET; 0`,
}, {
	name:  "a recv of zero bytes on other sockets waits",
	row:   "recv of 0 bytes",
	on:    pair(unixes),
	steps: []step{rcvtimeo(soon), recv(0), recv(0, waitall), peerSends("ab"), recv(0), recv(0, peek), recv(0, waitall), recv(5)},
	want:  `EAGAIN; EAGAIN; 0; 0; 0; 2 "ab"`,
}, {
	name:  "a recv of zero bytes takes a datagram",
	row:   "recv of 0 bytes",
	on:    pair(seqpacket, udp, unixgram),
	steps: []step{rcvtimeo(soon), recv(0), peerSends("ab"), recv(0, peek), recv(0), recv(5)},
	want:  `EAGAIN; 0; 0; EAGAIN`,
}, {
	name:  "a send of zero bytes on a stream sends nothing",
	row:   "a send of 0 bytes",
	on:    pair(tcp, tcp6, unixes),
	steps: []step{send(""), send("a"), peerGets(5)},
	want:  `0; 1; peer 1 "a"`,
}, {
	name:  "a send of zero bytes on a full stream",
	row:   "a send of 0 bytes",
	on:    pair(tcp, unixes),
	steps: []step{sndtimeo(soon), fillUp(), send("")},
	want:  `0`,
}, {
	name:  "a send of zero bytes after the peer has closed",
	row:   "a send of 0 bytes",
	on:    pair(unixes),
	steps: []step{peerCloses(), send("")},
	want:  `EPIPE`,
}, {
	name:  "an empty datagram is one",
	row:   "eof is never true after an empty datagram",
	on:    pair(udp, udp6, unixgram, seqpacket),
	steps: []step{send(""), peerGets(5), peerSends(""), peerSends("a"), rcvtimeo(soon), recv(5), recv(5), recv(5)},
	want:  `0; peer 0; 0; 1 "a"; EAGAIN`,
}, {
	name:  "a recv of zero bytes at the end of the stream",
	row:   "recv of 0 bytes",
	on:    pair(tcp, unixes),
	steps: []step{peerShuts(unix.SHUT_WR), recv(0), recv(5), recv(0)},
	want:  `0; 0; 0`,
}, {
	name:  "a TCP recv of zero bytes after a reset",
	row:   "recv of 0 bytes",
	on:    pair(tcp),
	steps: []step{peerResets(), recv(0), recv(5), recv(5)},
	want:  `ECONNRESET; 0; 0`,
}}

var urgentScenarios = []scenario{{
	name:  "OOB never waits",
	row:   "MSG_OOB: never waits; EINVAL if there is none",
	on:    pair(tcp, tcp6, unixes),
	steps: []step{rcvtimeo(ample), recv(1, oob), peerSends("ab"), recv(1, oob), recv(5)},
	want:  `EINVAL; EINVAL; 2 "ab"`,
}, {
	name:  "OOB takes the urgent byte",
	row:   "MSG_OOB",
	on:    pair(tcp, tcp6, unixes),
	steps: []step{rcvtimeo(soon), peerSends("abc", oob), recv(1, oob), recv(5), recv(1, oob), recv(5)},
	want:  `1 "c"; 2 "ab"; EINVAL; EAGAIN`,
}, {
	name:  "recv stops at the urgent mark",
	row:   "MSG_OOB",
	on:    pair(tcp, unixes),
	steps: []step{rcvtimeo(soon), peerSends("abc", oob), peerSends("de"), recv(9), recv(9), recv(1, oob), recv(9)},
	want:  `2 "ab"; 2 "de"; EINVAL; EAGAIN`,
}, {
	name:  "a blocked recv goes past the urgent byte, which is lost",
	row:   "MSG_OOB",
	on:    pair(tcp, unixes),
	steps: []step{begin(recv(9)), peerSends("!", oob), blocked(), recv(1, oob), peerSends("ab"), finish()},
	want:  `blocks; blocked; EINVAL; 2 "ab"`,
}, {
	name:  "WAITALL stops at the urgent mark",
	row:   "MSG_OOB",
	on:    pair(tcp, unixes),
	steps: []step{rcvtimeo(soon), peerSends("abc", oob), peerSends("de"), recv(4, waitall), recv(4, waitall)},
	want:  `2 "ab"; 2 "de"`,
}, {
	name:  "PEEK with WAITALL stops at the urgent mark",
	row:   "MSG_OOB",
	on:    pair(tcp, tcp6),
	steps: []step{rcvtimeo(ample), begin(recv(4, peek, waitall)), peerSends("abc", oob), finish(), recv(4, peek, waitall)},
	want:  `blocks; 2 "ab"; 2 "ab"`,
}, {
	name:  "an urgent byte is sent",
	row:   "MSG_OOB",
	on:    pair(tcp, unixes),
	steps: []step{send("ab!", oob), peerGets(9)},
	want:  `3; peer 2 "ab"`,
}, {
	name:  "OOB on datagrams of unix sockets",
	row:   "MSG_OOB",
	on:    pair(seqpacket, unixgram),
	steps: []step{rcvtimeo(soon), recv(1, oob), send("a", oob)},
	want:  `EOPNOTSUPP; EOPNOTSUPP`,
}, {
	name:  "OOB on UDP is ignored by recv",
	row:   "MSG_OOB",
	on:    pair(udp, udp6),
	steps: []step{rcvtimeo(soon), recv(1, oob), peerSends("a"), recv(1, oob)},
	want:  `EAGAIN; 1 "a"`,
}, {
	name:  "OOB is not sent over UDP",
	row:   "MSG_OOB",
	on:    pair(udp),
	steps: []step{send("a", oob)},
	want:  `EOPNOTSUPP`,
}, {
	name:  "OOB after the end of the stream",
	row:   "MSG_OOB",
	on:    pair(tcp, unixes),
	steps: []step{peerShuts(unix.SHUT_WR), recv(1, oob), recv(1), recv(1, oob)},
	want:  `EINVAL; 0; EINVAL`,
}}
