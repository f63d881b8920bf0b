package oracle

import "golang.org/x/sys/unix"

var acceptScenarios = []scenario{{
	name:  "accept waits as long as the receive timeout says",
	row:   "accept: EAGAIN",
	on:    listening(tcp, tcp6, unixes, seqpacket),
	steps: []step{rcvtimeo(soon), accept(), dials(), accept(), accept(), peerSends("ab"), on("a", recv(5))},
	want:  `EAGAIN; ok; EAGAIN; 2 "ab"`,
}, {
	name:  "a connection ends the wait of accept",
	row:   "accept",
	on:    listening(tcp, tcp6, unixes, seqpacket),
	steps: []step{rcvtimeo(ample), begin(accept()), pause(20), dials(), finish(), on("a", send("hi")), peerGets(5)},
	want:  `blocks; ok; 2; peer 2 "hi"`,
}, {
	name:  "accept on a socket that does not listen",
	row:   "accept: not listening: EINVAL",
	on:    fresh(tcp, tcp6, unixes, seqpacket),
	steps: []step{rcvtimeo(soon), accept(), accept()},
	want:  "EINVAL; EINVAL",
}, {
	name:  "accept on a bound socket that does not listen",
	row:   "accept: not listening: EINVAL",
	on:    bound(tcp, unixes, seqpacket),
	steps: []step{rcvtimeo(soon), accept(), listen(1), accept()},
	want:  "EINVAL; ok; EAGAIN",
}, {
	name:  "accept on a connected socket",
	row:   "accept: not listening: EINVAL",
	on:    pair(tcp, unixes, seqpacket),
	steps: []step{rcvtimeo(soon), accept(), send("a"), peerGets(2)},
	want:  `EINVAL; 1; peer 1 "a"`,
}, {
	name:  "accept on datagram sockets",
	row:   "accept(2): EOPNOTSUPP",
	on:    fresh(udp, udp6, unixgram),
	steps: []step{rcvtimeo(soon), accept(), listen(1)},
	want:  "EOPNOTSUPP; EOPNOTSUPP",
}, {
	name:  "accept after shutdown",
	row:   "accept: shut down: EINVAL",
	on:    listening(tcp, tcp6, unixes, seqpacket),
	steps: []step{rcvtimeo(soon), shutdown(unix.SHUT_RDWR), accept()},
	want:  "ok; EINVAL",
}, {
	name:  "shutdown wakes accept",
	row:   "shutdown() wakes accept (EINVAL)",
	on:    listening(tcp, tcp6, unixes, seqpacket),
	steps: []step{begin(accept()), shutdown(unix.SHUT_RDWR), finish(), rcvtimeo(soon), accept()},
	want:  "blocks; ok; EINVAL; EINVAL",
}, {
	name:  "shutdown of the read side wakes accept",
	row:   "shutdown() wakes accept (EINVAL)",
	on:    listening(tcp, unixes),
	steps: []step{begin(accept()), shutdown(unix.SHUT_RD), finish()},
	want:  "blocks; ok; EINVAL",
}, {
	name:  "a shut down TCP listener listens again",
	row:   "accept: shut down",
	on:    listening(tcp),
	steps: []step{rcvtimeo(soon), shutdown(unix.SHUT_RDWR), accept(), listen(1), accept(), dials(), accept()},
	want:  "ok; EINVAL; ok; EAGAIN; ok",
}, {
	name:  "a connection that was reset before accept is still accepted",
	row:   "A connection reset before accept is still accepted; its recv says ECONNRESET",
	on:    listening(tcp, tcp6),
	steps: []step{rcvtimeo(soon), dials(), peerResets(), accept(), on("a", recv(5)), on("a", recv(5)), accept()},
	want:  "ok; ECONNRESET; 0; EAGAIN",
}, {
	name:  "a connection that was closed before accept is still accepted",
	row:   "A connection reset before accept is still accepted",
	on:    listening(tcp, unixes, seqpacket),
	steps: []step{rcvtimeo(soon), dials(), peerSends("bye"), peerCloses(), accept(), on("a", recv(5)), on("a", recv(5))},
	want:  `ok; 3 "bye"; 0`,
}, {
	name:  "a listener neither receives nor sends",
	row:   "Unconnected",
	on:    listening(tcp, tcp6),
	steps: []step{rcvtimeo(soon), recv(5), send("a"), recv(5, dontwait)},
	want:  `ENOTCONN; EPIPE; ENOTCONN`,
}, {
	name:  "a unix listener neither receives nor sends",
	row:   "Unconnected",
	on:    listening(unixes),
	steps: []step{rcvtimeo(soon), recv(5), send("a"), recv(5, dontwait)},
	want:  `EINVAL; ENOTCONN; EINVAL`,
}, {
	name:  "a seqpacket listener neither receives nor sends",
	row:   "Unconnected",
	on:    listening(seqpacket),
	steps: []step{rcvtimeo(soon), recv(5), send("a")},
	want:  `ENOTCONN; ENOTCONN`,
}, {
	name:  "listening twice changes the backlog",
	row:   "accept",
	on:    listening(tcp, unixes, seqpacket),
	steps: []step{rcvtimeo(soon), listen(3), dials(), accept()},
	want:  `ok; ok`,
}, {
	name:  "a backlog below zero",
	row:   "listen(2)",
	on:    bound(tcp, unixes, seqpacket),
	steps: []step{rcvtimeo(soon), listen(-1), dials(), accept()},
	want:  `ok; ok`,
}, {
	name:  "two calls of accept",
	row:   "Two readers: one after the other",
	on:    listening(tcp, unixes),
	steps: []step{rcvtimeo(ample), begin(accept()), rcvtimeo(soon), accept(), dials(), finish()},
	want:  `blocks; EAGAIN; ok`,
}, {
	name:  "an unbound unix socket cannot listen",
	row:   "listen(2)",
	on:    fresh(unixes, seqpacket),
	steps: []step{listen(1)},
	want:  `EINVAL`,
}}
