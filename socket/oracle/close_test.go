package oracle

import "golang.org/x/sys/unix"

const closeWakes = "a close wakes the calls that are blocked on the socket; the kernel leaves them hanging"

var closeScenarios = []scenario{{
	name:  "calls on a closed socket",
	row:   "A closed descriptor: EBADF",
	on:    pair(tcp, unixes, seqpacket, udp, unixgram),
	steps: []step{closing(), recv(5), recv(5, waitall), recv(5, dontwait), send("a"), send("a", dontwait), accept(), connect(), listen(1), shutdown(unix.SHUT_RDWR), closing()},
	want:  "ok; EBADF; EBADF; EBADF; EBADF; EBADF; EBADF; EBADF; EBADF; EBADF; EBADF",
}, {
	name:     "a close while recv is blocked",
	row:      "Deviation on purpose: a close wakes every blocked call (EBADF)",
	on:       pair(tcp, unixes, seqpacket, udp, unixgram),
	steps:    []step{begin(recv(5)), closing(), blocked(), peerSendsIfItCan("ab"), finish(), recv(5)},
	want:     `blocks; ok; blocked; 2 "ab"; EBADF`,
	deviates: closeWakes,
	instead:  "blocks; ok; returned; EBADF; EBADF",
}, {
	name:     "a close while accept is blocked",
	row:      "Deviation on purpose: a close wakes every blocked call (EBADF)",
	on:       listening(tcp, unixes, seqpacket),
	steps:    []step{rcvtimeo(160 * ms), begin(accept()), closing(), blocked(), finish()},
	want:     "blocks; ok; blocked; EAGAIN",
	deviates: closeWakes,
	instead:  "blocks; ok; returned; EBADF",
}, {
	name:     "a close while send is blocked",
	row:      "Deviation on purpose: a close wakes every blocked call (EBADF)",
	on:       pair(tcp, unixes, seqpacket, unixgram),
	steps:    []step{sndtimeo(160 * ms), fillUp(), begin(send("a")), closing(), blocked(), finish()},
	want:     "blocks; ok; blocked; EAGAIN",
	deviates: closeWakes,
	instead:  "blocks; ok; returned; EBADF",
}, {
	name:     "a close while connect is blocked",
	row:      "Deviation on purpose: a close wakes every blocked call (EBADF)",
	on:       facing(0, tcp),
	steps:    []step{crowds(), sndtimeo(160 * ms), begin(connect()), closing(), blocked(), finish()},
	want:     "blocks; ok; blocked; EINPROGRESS",
	deviates: closeWakes,
	instead:  "blocks; ok; returned; EBADF",
}, {
	name:     "a close while a unix connect is blocked",
	row:      "Deviation on purpose: a close wakes every blocked call (EBADF)",
	on:       facing(0, unixes, seqpacket),
	steps:    []step{crowds(), sndtimeo(160 * ms), begin(connect()), closing(), blocked(), finish()},
	want:     "blocks; ok; blocked; EAGAIN",
	deviates: closeWakes,
	instead:  "blocks; ok; returned; EBADF",
}, {
	name:  "the peer sees the end after a close",
	row:   "close(2)",
	on:    pair(tcp, unixes, seqpacket),
	steps: []step{send("ab"), closing(), peerGets(5), peerGets(5)},
	want:  `2; ok; peer 2 "ab"; peer 0`,
}, {
	name:  "a close with data unread resets",
	row:   "close(2)",
	on:    pair(tcp, unixes),
	steps: []step{peerSends("unread"), closing(), peerGets(5)},
	want:  `ok; peer ECONNRESET`,
}}

// peerSendsIfItCan ends a call that still blocks after a close. It ignores the error of a
// send to a socket that is closed completely.
func peerSendsIfItCan(data string) step {
	return byPeer("p", "sends", func(w *world, p *peer) string {
		transfer(unix.SYS_SENDTO, p.fd, []byte(data), unix.MSG_NOSIGNAL)
		p.settle()
		return ""
	})
}
