package oracle

import "golang.org/x/sys/unix"

var shutdownScenarios = []scenario{{
	name:  "shutdown wakes recv",
	row:   "shutdown() wakes recv (0)",
	on:    pair(tcp, tcp6, unixes, seqpacket, udp, unixgram),
	steps: []step{begin(recv(5)), shutdown(unix.SHUT_RD), finish(), rcvtimeo(soon), recv(5), recv(5, peek)},
	want:  "blocks; ok; 0; 0; 0",
}, {
	name:  "shutdown of both sides wakes recv",
	row:   "shutdown() wakes recv (0)",
	on:    pair(tcp, unixes, seqpacket, udp, unixgram),
	steps: []step{begin(recv(5)), shutdown(unix.SHUT_RDWR), finish(), rcvtimeo(soon), recv(5), send("a")},
	want:  "blocks; ok; 0; 0; EPIPE",
}, {
	name:  "shutdown within WAITALL leaves the partial count",
	row:   "shutdown() wakes recv",
	on:    pair(tcp, unixes),
	steps: []step{begin(recv(5, waitall)), peerSends("ab"), blocked(), shutdown(unix.SHUT_RD), finish(), recv(5)},
	want:  `blocks; blocked; ok; 2 "ab"; 0`,
}, {
	name:  "queued data is still there after shutdown",
	row:   "own read side closed",
	on:    pair(tcp, unixes, seqpacket, unixgram),
	steps: []step{rcvtimeo(soon), peerSends("ab"), shutdown(unix.SHUT_RD), recv(5), recv(5)},
	want:  `ok; 2 "ab"; 0`,
}, {
	name:  "TCP data that comes after shutdown of the read side",
	row:   "own read side closed",
	on:    pair(tcp),
	steps: []step{rcvtimeo(soon), shutdown(unix.SHUT_RD), recv(5), peerSends("ab"), recv(5), recv(5)},
	want:  `ok; 0; 2 "ab"; 0`,
}, {
	name:  "the write side is shut",
	row:   "own SHUT_WR",
	on:    pair(tcp, tcp6, unixes, seqpacket),
	steps: []step{rcvtimeo(soon), send("ab"), shutdown(unix.SHUT_WR), send("c"), peerGets(5), peerGets(5), peerSends("de"), recv(5), recv(5)},
	want:  `2; ok; EPIPE; peer 2 "ab"; peer 0; 2 "de"; EAGAIN`,
}, {
	name:  "the write side of datagrams is shut",
	row:   "own SHUT_WR",
	on:    pair(udp, unixgram),
	steps: []step{rcvtimeo(soon), shutdown(unix.SHUT_WR), send("c"), peerSends("de"), recv(5), recv(5)},
	want:  `ok; EPIPE; 2 "de"; EAGAIN`,
}, {
	name:  "shutdown twice",
	row:   "shutdown(2)",
	on:    pair(tcp, unixes, seqpacket, udp),
	steps: []step{shutdown(unix.SHUT_WR), shutdown(unix.SHUT_WR), shutdown(unix.SHUT_RDWR)},
	want:  "ok; ok; ok",
}, {
	name:  "shutdown after a reset",
	row:   "shutdown(2)",
	on:    pair(tcp),
	steps: []step{peerResets(), shutdown(unix.SHUT_RDWR), recv(5), recv(5), send("a")},
	want:  "ENOTCONN; ECONNRESET; 0; EPIPE",
}, {
	name:  "shutdown of the write side does not wake recv",
	row:   "own SHUT_WR",
	on:    pair(tcp, unixes, seqpacket),
	steps: []step{begin(recv(5)), shutdown(unix.SHUT_WR), blocked(), peerSends("ab"), finish()},
	want:  `blocks; ok; blocked; 2 "ab"`,
}, {
	name:  "the peer shuts its read side",
	row:   "peer's read side closed",
	on:    pair(unixes, seqpacket),
	steps: []step{rcvtimeo(soon), peerShuts(unix.SHUT_RD), send("a"), recv(5), peerSends("ab"), recv(5)},
	want:  `EPIPE; EAGAIN; 2 "ab"`,
}, {
	name:  "a TCP peer shuts its read side",
	row:   "peer's read side closed",
	on:    pair(tcp),
	steps: []step{rcvtimeo(soon), peerShuts(unix.SHUT_RD), send("a"), recv(5), peerGets(5)},
	want:  `1; EAGAIN; peer 1 "a"`,
}}
