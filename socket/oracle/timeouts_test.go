package oracle

import "time"

const ms = time.Millisecond

// soon is a timeout that should expire. ample is a timeout that should not expire.
const (
	soon  = 40 * ms
	ample = 20 * time.Second
)

// The tables leave out two rows of the first table in KERNEL.md. A struct of fewer than
// 16 bytes (EINVAL) is impossible, because Weir takes a number. Microseconds out of range
// (EDOM) are possible only below zero: the number counts milliseconds with a fraction, so
// 10^6 microseconds and more are seconds.
var timeoutScenarios = []scenario{{
	name:  "recv waits as long as the receive timeout says",
	row:   "recv: EAGAIN",
	on:    pair(tcp, tcp6, unixes, seqpacket, udp, udp6, unixgram),
	steps: []step{rcvtimeo(soon), recv(10), peerSends("ab"), recv(10), recv(10)},
	want:  `EAGAIN; 2 "ab"; EAGAIN`,
}, {
	name:  "send waits as long as the send timeout says",
	row:   "big TCP send: EAGAIN; unix dgram send, peer queue full: EAGAIN",
	on:    pair(tcp, tcp6, unixes, seqpacket, unixgram),
	steps: []step{sndtimeo(soon), fillUp(), send("more"), rcvtimeo(60 * ms), send("more")},
	want:  "EAGAIN; EAGAIN",
}, {
	name:  "a timeout of zero is none",
	row:   "(0,0) reads back (0,0), infinite",
	on:    pair(tcp, unixes, udp),
	steps: []step{rcvtimeo(soon), rcvtimeo(0), timeouts(), begin(recv(10)), pause(60), blocked(), peerSends("x"), finish()},
	want:  `0s 0s; blocks; blocked; 1 "x"`,
}, {
	name:  "a negative fraction of a second is EDOM",
	row:   "usec < 0: EDOM",
	on:    fresh(tcp, unixes, udp),
	steps: []step{rcvtimeo(-5 * ms), sndtimeo(-1 * time.Microsecond), timeouts()},
	want:  "EDOM; EDOM; 0s 0s",
}, {
	name:  "negative seconds",
	row:   "sec < 0 is accepted, reads back (0,0), immediate EAGAIN",
	on:    pair(tcp, unixes, udp, unixgram),
	steps: []step{rcvtimeo(-time.Second), sndtimeo(-1500 * ms), timeouts(), recv(1), recv(1, peek), peerSends("x"), recv(1), recv(1), send("y"), peerGets(1)},
	want:  `0s 0s; EAGAIN; EAGAIN; 1 "x"; EAGAIN; 1; peer 1 "y"`,
}, {
	name:  "negative seconds to send",
	row:   "sec < 0: immediate EAGAIN",
	on:    pair(unixes, seqpacket, unixgram, tcp),
	steps: []step{sndtimeo(-time.Second), fillUp(), send("a"), sndtimeo(soon), send("a")},
	want:  "EAGAIN; EAGAIN",
}, {
	name:  "negative seconds to accept",
	row:   "sec < 0: immediate EAGAIN",
	on:    listening(tcp, unixes, seqpacket),
	steps: []step{rcvtimeo(-time.Second), accept(), dials(), accept(), accept()},
	want:  "EAGAIN; ok; EAGAIN",
}, {
	name:  "negative seconds to connect",
	row:   "sec < 0: connect: EINPROGRESS",
	on:    facing(0, tcp, tcp6),
	steps: []step{crowds(), sndtimeo(-time.Second), connect(), connect()},
	want:  "EINPROGRESS; EALREADY",
}, {
	name:  "negative seconds to connect, refused",
	row:   "sec < 0: connect: EINPROGRESS",
	on:    facing(0, tcp, tcp6),
	steps: []step{gone(), sndtimeo(-time.Second), connect(), connect()},
	want:  "EINPROGRESS; ECONNREFUSED",
}, {
	name:  "negative seconds to connect a unix socket",
	row:   "sec < 0: immediate EAGAIN",
	on:    facing(0, unixes, seqpacket),
	steps: []step{crowds(), sndtimeo(-time.Second), connect(), makesRoom(), connect()},
	want:  "EAGAIN; ok",
}, {
	name:  "a timeout after negative seconds",
	row:   "sec < 0; (0,0) is infinite",
	on:    pair(tcp, unixes, udp),
	steps: []step{rcvtimeo(-time.Second), recv(1), rcvtimeo(soon), timeouts(), recv(1), rcvtimeo(0), begin(recv(1)), blocked(), peerSends("x"), finish()},
	want:  `EAGAIN; 40ms 0s; EAGAIN; blocks; blocked; 1 "x"`,
}, {
	name:     "negative seconds by SetRecvTimeout",
	row:      "sec < 0 is accepted, reads back (0,0), immediate EAGAIN",
	on:       pair(tcp, unixes),
	steps:    []step{bySetter(-time.Second), timeouts(), peerSends("x"), recv(1)},
	want:     `ok; 0s 0s; 1 "x"`,
	deviates: "SetRecvTimeout takes a duration, of which a negative one is a mistake",
	instead:  `EDOM; 0s 0s; 1 "x"`,
}, {
	name:     "a microsecond",
	row:      "(0,1) is rounded up to a jiffy",
	on:       pair(tcp, unixes),
	steps:    []step{rcvtimeo(time.Microsecond), sndtimeo(5 * ms), timeouts(), recv(1)},
	want:     "4ms 8ms; EAGAIN",
	deviates: "Weir keeps the very value; its clock has no jiffies",
	instead:  "1µs 5ms; EAGAIN",
}, {
	name:  "the longest timeout",
	row:   "sec = 2^63-1 reads back (0,0), infinite",
	on:    pair(tcp, unixes),
	steps: []step{rcvtimeo(soon), rcvtimeo(forever), timeouts(), begin(recv(10)), pause(60), blocked(), peerSends("x"), finish()},
	want:  `0s 0s; blocks; blocked; 1 "x"`,
}, {
	name:  "two hundred years",
	row:   "sec = 2^63-1 is infinite",
	on:    pair(tcp, unixes),
	steps: []step{rcvtimeo(200 * 365 * 24 * time.Hour), begin(recv(10)), blocked(), peerSends("x"), finish()},
	want:  `blocks; blocked; 1 "x"`,
}, {
	name:  "setting the timeout does not shorten the call in progress",
	row:   "Changing the option during a call does not affect that call",
	on:    pair(tcp, unixes, seqpacket, udp),
	steps: []step{rcvtimeo(160 * ms), begin(recv(10)), rcvtimeo(soon), pause(30), blocked(), finish(), recv(10)},
	want:  "blocks; blocked; EAGAIN; EAGAIN",
}, {
	name:  "setting the timeout does not lengthen the call in progress",
	row:   "Changing the option during a call does not affect that call",
	on:    pair(tcp, unixes, seqpacket, udp),
	steps: []step{rcvtimeo(80 * ms), begin(recv(10)), rcvtimeo(ample), finish()},
	want:  "blocks; EAGAIN",
}, {
	name:  "a timeout set while a call without one is blocked",
	row:   "Changing the option during a call does not affect that call",
	on:    pair(tcp, unixes),
	steps: []step{begin(recv(10)), rcvtimeo(soon), pause(60), blocked(), peerSends("x"), finish(), recv(10)},
	want:  `blocks; blocked; 1 "x"; EAGAIN`,
}, {
	name:  "an accepted TCP socket inherits the timeouts",
	row:   "A TCP socket from accept inherits both timeouts; a unix one does not",
	on:    listening(tcp, tcp6),
	steps: []step{rcvtimeo(soon), sndtimeo(80 * ms), dials(), accept(), on("a", timeouts()), on("a", recv(10))},
	want:  "ok; 40ms 80ms; EAGAIN",
}, {
	name:  "an accepted unix socket does not inherit the timeouts",
	row:   "A TCP socket from accept inherits both timeouts; a unix one does not",
	on:    listening(unixes, seqpacket),
	steps: []step{rcvtimeo(soon), sndtimeo(80 * ms), dials(), accept(), on("a", timeouts()), begin(on("a", recv(10))), pause(60), blocked(), peerSends("x"), finish()},
	want:  `ok; 0s 0s; blocks; blocked; 1 "x"`,
}, {
	name:  "a receive timeout does not bound send",
	row:   "SO_RCVTIMEO / SO_SNDTIMEO",
	on:    pair(tcp, unixes),
	steps: []step{rcvtimeo(soon), fillUp(), begin(sendN(10)), pause(60), blocked(), peerCloses(), finish()},
	want:  "blocks; blocked; ECONNRESET",
}, {
	name:  "a send timeout does not bound recv",
	row:   "SO_RCVTIMEO / SO_SNDTIMEO",
	on:    pair(tcp, unixes, udp),
	steps: []step{sndtimeo(soon), begin(recv(10)), pause(60), blocked(), peerSends("x"), finish()},
	want:  `blocks; blocked; 1 "x"`,
}, {
	name:  "a send timeout does not bound accept",
	row:   "SO_RCVTIMEO / SO_SNDTIMEO",
	on:    listening(tcp, unixes),
	steps: []step{sndtimeo(soon), begin(accept()), pause(60), blocked(), dials(), finish()},
	want:  `blocks; blocked; ok`,
}, {
	name:  "data that comes in time ends the wait",
	row:   "recv",
	on:    pair(tcp, tcp6, unixes, seqpacket, udp, udp6, unixgram),
	steps: []step{rcvtimeo(ample), begin(recv(10)), pause(20), peerSends("abc"), finish()},
	want:  `blocks; 3 "abc"`,
}}
