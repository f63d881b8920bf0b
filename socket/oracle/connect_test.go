package oracle

import "golang.org/x/sys/unix"

// gone closes the listener, so that its address refuses connections.
func gone() step { return closes("l") }

var connectScenarios = []scenario{{
	name:  "connect to a listener",
	row:   "TCP connect: once established 0, then EISCONN",
	on:    facing(4, tcp, tcp6, unixes, seqpacket),
	steps: []step{sndtimeo(ample), connect(), connect(), admits(), send("a"), peerGets(2)},
	want:  `ok; EISCONN; 1; peer 1 "a"`,
}, {
	name:  "connect is refused",
	row:   "refused",
	on:    facing(4, tcp, tcp6, unixes, seqpacket),
	steps: []step{gone(), sndtimeo(ample), connect(), connect(), soError()},
	want:  `ECONNREFUSED; ECONNREFUSED; ok`,
}, {
	name:  "after a refused TCP connect",
	row:   "Unconnected: TCP recv ENOTCONN, send EPIPE",
	on:    facing(4, tcp, tcp6),
	steps: []step{gone(), rcvtimeo(soon), connect(), recv(5), send("a"), recv(5)},
	want:  `ECONNREFUSED; ENOTCONN; EPIPE; ENOTCONN`,
}, {
	name:  "after a refused unix connect",
	row:   "Unconnected: unix stream recv EINVAL, send ENOTCONN",
	on:    facing(4, unixes),
	steps: []step{gone(), rcvtimeo(soon), connect(), recv(5), send("a")},
	want:  `ECONNREFUSED; EINVAL; ENOTCONN`,
}, {
	name:  "connect of datagram sockets",
	row:   "connect(2)",
	on:    facing(0, udp, udp6, unixgram),
	steps: []step{connect(), connect(), send("a")},
	want:  `ok; ok; 1`,
}, {
	name:  "a unix datagram socket whose peer is gone",
	row:   "connect(2)",
	on:    facing(0, unixgram),
	steps: []step{gone(), connect(), send("a")},
	want:  `ECONNREFUSED; ENOTCONN`,
}, {
	name:  "a TCP connect runs out of time",
	row:   "TCP connect: EINPROGRESS; again: waits, then EALREADY",
	on:    facing(0, tcp, tcp6),
	steps: []step{crowds(), sndtimeo(soon), connect(), connect(), connect()},
	want:  `EINPROGRESS; EALREADY; EALREADY`,
}, {
	name:  "a TCP connect that ran out of time comes about",
	row:   "TCP connect: once established 0, then EISCONN",
	on:    facing(0, tcp),
	steps: []step{crowds(), sndtimeo(soon), connect(), makesRoom(), sndtimeo(ample), connect(), connect(), send("a")},
	want:  `EINPROGRESS; ok; EISCONN; 1`,
}, {
	name:  "a TCP connect comes about within its time",
	row:   "TCP connect",
	on:    facing(0, tcp),
	steps: []step{crowds(), sndtimeo(ample), begin(connect()), makesRoom(), finish(), connect()},
	want:  `blocks; ok; EISCONN`,
}, {
	name:  "a TCP connect comes about while nobody asks",
	row:   "TCP connect: once established 0, then EISCONN",
	on:    facing(0, tcp),
	steps: []step{crowds(), sndtimeo(soon), connect(), makesRoom(), pause(1300), connect(), connect()},
	want:  `EINPROGRESS; ok; EISCONN`,
}, {
	name:  "the receive timeout does not bound connect",
	row:   "TCP connect: only SO_SNDTIMEO counts",
	on:    facing(0, tcp),
	steps: []step{crowds(), rcvtimeo(soon), begin(connect()), pause(60), blocked(), shutdown(unix.SHUT_RDWR), finish()},
	want:  `blocks; blocked; ok; ECONNRESET`,
}, {
	name:  "recv and send while connecting",
	row:   "send/recv while connecting: wait, then EAGAIN",
	on:    facing(0, tcp),
	steps: []step{crowds(), sndtimeo(soon), rcvtimeo(soon), connect(), send("a"), recv(5), send("a", dontwait), recv(5, dontwait)},
	want:  `EINPROGRESS; EAGAIN; EAGAIN; EAGAIN; EAGAIN`,
}, {
	name:  "recv waits for the connection and its data",
	row:   "send/recv while connecting: wait",
	on:    facing(0, tcp),
	steps: []step{crowds(), sndtimeo(soon), rcvtimeo(ample), connect(), begin(recv(5)), sndtimeo(ample), begin(send("a")), blocked(), makesRoom(), pause(1100), shutdown(unix.SHUT_RD), finish(), finish()},
	want:  `EINPROGRESS; blocks; blocks; blocked; ok; 0; 1`,
}, {
	name:  "shutdown wakes connect",
	row:   "shutdown() wakes connect (ECONNRESET)",
	on:    facing(0, tcp, tcp6),
	steps: []step{crowds(), begin(connect()), shutdown(unix.SHUT_RDWR), finish()},
	want:  `blocks; ok; ECONNRESET`,
}, {
	name:  "connect after a connect that shutdown has ended",
	row:   "shutdown() wakes connect (ECONNRESET)",
	on:    facing(0, tcp),
	steps: []step{crowds(), begin(connect()), shutdown(unix.SHUT_RDWR), finish(), sndtimeo(ample), makesRoom(), connect()},
	want:  `blocks; ok; ECONNRESET; ok`,
}, {
	name:  "a unix connect to a full backlog",
	row:   "unix stream/seqpacket connect, backlog full: EAGAIN",
	on:    facing(0, unixes, seqpacket),
	steps: []step{crowds(), sndtimeo(soon), connect(), connect(), send("a")},
	want:  `EAGAIN; EAGAIN; ENOTCONN`,
}, {
	name:  "room in the backlog ends the wait of a unix connect",
	row:   "unix stream/seqpacket connect, backlog full",
	on:    facing(0, unixes, seqpacket),
	steps: []step{crowds(), sndtimeo(160 * ms), begin(connect()), blocked(), makesRoom(), finish(), connect(), send("a")},
	want:  `blocks; blocked; ok; EAGAIN; 1`,
}, {
	name:  "the listener closes while a unix connect waits",
	row:   "unix connect: listener closed meanwhile: ECONNREFUSED",
	on:    facing(0, unixes, seqpacket),
	steps: []step{crowds(), sndtimeo(ample), begin(connect()), blocked(), gone(), finish()},
	want:  `blocks; blocked; ECONNREFUSED`,
}, {
	name:  "connect of a listener",
	row:   "connect(2)",
	on:    facing(1, tcp),
	steps: []step{listen(1), sndtimeo(soon), connect()},
	want:  `ok; EISCONN`,
}, {
	name:  "connect of a unix listener",
	row:   "connect(2)",
	on:    facing(1, unixes, seqpacket),
	steps: []step{sndtimeo(soon), connect(), listen(1)},
	want:  `ok; EINVAL`,
}, {
	name:  "connect again after the connection has ended",
	row:   "connect(2)",
	on:    pair(tcp),
	steps: []step{peerResets(), sndtimeo(soon), connect(), recv(5)},
	want:  `EISCONN; ECONNRESET`,
}, {
	name:  "connect to port zero",
	row:   "connect(2)",
	on:    fixtures(func(w *world) { w.socks["s"] = w.open(nil); w.target = *w.local(); w.target.service = "0" }, tcp, tcp6),
	steps: []step{sndtimeo(ample), connect()},
	want:  `ECONNREFUSED`,
}, {
	name:  "connect to a name that nobody has",
	row:   "connect(2)",
	on:    fixtures(func(w *world) { w.socks["s"] = w.open(nil); w.target = *w.local() }, unixes, seqpacket, unixgram),
	steps: []step{sndtimeo(ample), connect()},
	want:  `ECONNREFUSED`,
}, {
	name:  "a fast open without a cookie connects, and sends",
	row:   "tcp(7), send(2): MSG_FASTOPEN",
	on:    facing(4, tcp, tcp6),
	steps: []step{sndtimeo(ample), sendTo("l", "abc", fastopen), admits(), peerGets(5), send("de"), peerGets(5), sendTo("l", "f", fastopen)},
	want:  `3; peer 3 "abc"; 2; peer 2 "de"; EISCONN`,
}, {
	name:  "a fast open is refused",
	row:   "tcp(7), send(2): MSG_FASTOPEN",
	on:    facing(4, tcp, tcp6),
	steps: []step{gone(), sndtimeo(ample), sendTo("l", "abc", fastopen), soError(), send("d"), connect()},
	want:  `ECONNREFUSED; ok; EPIPE; ECONNREFUSED`,
}, {
	name:  "a fast open runs out of time",
	row:   "tcp(7), send(2): MSG_FASTOPEN",
	on:    facing(0, tcp, tcp6),
	steps: []step{crowds(), sndtimeo(soon), sendTo("l", "abc", fastopen), sendTo("l", "abc", fastopen), send("d")},
	want:  `EINPROGRESS; EALREADY; EAGAIN`,
}, {
	name:  "a fast open comes about within its time",
	row:   "tcp(7), send(2): MSG_FASTOPEN",
	on:    facing(0, tcp),
	steps: []step{crowds(), sndtimeo(ample), begin(sendTo("l", "abc", fastopen)), makesRoom(), finish(), send("d")},
	want:  `blocks; 3; 1`,
}, {
	name:  "a fast open that ran out of time comes about",
	row:   "tcp(7), send(2): MSG_FASTOPEN",
	on:    facing(0, tcp),
	steps: []step{crowds(), sndtimeo(soon), sendTo("l", "abc", fastopen), sendTo("l", "abc", fastopen), send("d"), makesRoom(), sndtimeo(ample), sendTo("l", "abc", fastopen), send("d")},
	want:  `EINPROGRESS; EALREADY; EAGAIN; 3; 1`,
}, {
	name:  "shutdown while a fast open is blocked",
	row:   "shutdown() wakes connect",
	on:    facing(0, tcp),
	steps: []step{crowds(), begin(sendTo("l", "abc", fastopen)), pause(20), shutdown(unix.SHUT_RDWR), finish(), send("d")},
	want:  `blocks; ok; ECONNRESET; EPIPE`,
}, {
	name:  "a fast open that must not wait",
	row:   "tcp(7), send(2): MSG_FASTOPEN",
	on:    facing(4, tcp),
	steps: []step{sndtimeo(ample), sendTo("l", "abc", fastopen, dontwait), send("d"), admits(), peerGets(5)},
	want:  `EINPROGRESS; 1; peer 1 "d"`,
}, {
	name:  "a fast open to nowhere",
	row:   "tcp(7), send(2): MSG_FASTOPEN",
	on:    facing(4, tcp),
	steps: []step{sndtimeo(soon), send("abc", fastopen)},
	want:  `EINVAL`,
}, {
	name:  "a message by fast open",
	row:   "tcp(7), send(2): MSG_FASTOPEN",
	on:    facing(4, tcp),
	steps: []step{sndtimeo(ample), sendMsg(letter{parts: []string{"ab", "cde"}, to: "l"}, fastopen), admits(), peerGets(9)},
	want:  `5; peer 5 "abcde"`,
}}
