package oracle

import "golang.org/x/sys/unix"

var one = letter{parts: []string{"ab", "cde"}, rights: 1}

var messageScenarios = []scenario{{
	name:  "recvmsg waits as long as the receive timeout says",
	row:   "recv: EAGAIN",
	on:    pair(unixes, seqpacket, udp, udp6, unixgram),
	steps: []step{rcvtimeo(soon), recvMsg([]int{5}, 0), recvMsg([]int{5}, 0, peek), rcvtimeo(ample), begin(recvMsg([]int{2, 3}, 64)), peerSends("abcd"), finish()},
	want:  `EAGAIN; EAGAIN; blocks; 4 "ab"+"cd" from p`,
}, {
	name:  "recvmsg on TCP waits as long as the receive timeout says",
	row:   "recv: EAGAIN",
	on:    pair(tcp, tcp6),
	steps: []step{rcvtimeo(soon), recvMsg([]int{5}, 0), recvMsg([]int{5}, 0, peek), rcvtimeo(ample), begin(recvMsg([]int{2, 3}, 64)), peerSends("abcd"), finish()},
	want:  `EAGAIN; EAGAIN; blocks; 4 "ab"+"cd" from nobody`,
}, {
	name:  "descriptors come with a message",
	row:   "unix(7): SCM_RIGHTS",
	on:    pair(unixes, seqpacket, unixgram),
	steps: []step{rcvtimeo(soon), peerSendsMsg(one), recvMsg([]int{9}, 64), recvMsg([]int{9}, 64), sendMsg(one), peerGetsMsg(64)},
	want:  `5 "abcde" from p with 1 of 1 fds; EAGAIN; 5; peer 5 "abcde" from s with 1 of 1 fds`,
}, {
	name:  "several descriptors, and PEEK",
	row:   "unix(7): SCM_RIGHTS",
	on:    pair(unixes, seqpacket, unixgram),
	steps: []step{rcvtimeo(soon), peerSendsMsg(letter{parts: []string{"ab"}, rights: 3}), recvMsg([]int{9}, 64, peek), recvMsg([]int{9}, 64), recvMsg([]int{9}, 64)},
	want:  `2 "ab" from p with 3 of 3 fds; 2 "ab" from p with 3 of 3 fds; EAGAIN`,
}, {
	name:  "descriptors that there is no room for",
	row:   "recvmsg(2): MSG_CTRUNC",
	on:    pair(unixes, seqpacket, unixgram),
	steps: []step{rcvtimeo(soon), peerSendsMsg(letter{parts: []string{"ab"}, rights: 3}), recvMsg([]int{9}, 24), peerSendsMsg(one), recvMsg([]int{9}, 0), peerSendsMsg(one), recv(9), recv(9)},
	want:  `2 "ab" CTRUNC from p with 2 of 2 fds; 5 "abcde" CTRUNC from p; 5 "abcde"; EAGAIN`,
}, {
	name:  "descriptors end a wait",
	row:   "unix(7): SCM_RIGHTS",
	on:    pair(unixes, seqpacket, unixgram),
	steps: []step{rcvtimeo(ample), begin(recvMsg([]int{9}, 64)), peerSendsMsg(one), finish()},
	want:  `blocks; 5 "abcde" from p with 1 of 1 fds`,
}, {
	name:  "a stream does not join bytes across descriptors",
	row:   "unix(7): SCM_RIGHTS",
	on:    pair(unixes),
	steps: []step{rcvtimeo(soon), peerSends("xy"), peerSendsMsg(one), peerSends("z"), recvMsg([]int{9}, 64), recvMsg([]int{9}, 64), recvMsg([]int{9}, 64)},
	want:  `7 "xyabcde" from p with 1 of 1 fds; 1 "z" from p; EAGAIN`,
}, {
	name:  "credentials come with a message",
	row:   "unix(7): SCM_CREDENTIALS",
	on:    pair(unixes, seqpacket, unixgram),
	steps: []step{option(passcred, 1), rcvtimeo(soon), peerSendsMsg(letter{parts: []string{"ab"}, cred: true, rights: 1}), recvMsg([]int{9}, 128), peerSends("cd"), recvMsg([]int{9}, 128), peerSends("ef"), recvMsg([]int{9}, 0)},
	want:  `2 "ab" from p with our credentials with 1 of 1 fds; 2 "cd" from p with our credentials; 2 "ef" CTRUNC from p`,
}, {
	name: "credentials are sent",
	row:  "unix(7): SCM_CREDENTIALS",
	on:   pair(unixes, seqpacket, unixgram),
	steps: []step{byPeer("p", "SO_PASSCRED", func(w *world, p *peer) string {
		return errnoName(errnoOf(unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)))
	}), sendMsg(letter{parts: []string{"ab"}, cred: true}), peerGetsMsg(128), send("cd"), peerGetsMsg(128)},
	want: `ok; 2; peer 2 "ab" from s with our credentials; 2; peer 2 "cd" from s with our credentials`,
}, {
	name:  "a message for several buffers is cut",
	row:   "recvmsg(2): MSG_TRUNC",
	on:    pair(seqpacket, udp, udp6, unixgram),
	steps: []step{rcvtimeo(soon), peerSends("abcdefgh"), peerSends("ijk"), recvMsg([]int{2, 3}, 0, peek), recvMsg([]int{2, 3}, 0, trunc), recvMsg([]int{2, 3}, 0), recvMsg([]int{2, 3}, 0)},
	want:  `5 "ab"+"cde" TRUNC from p; 8 "ab"+"cde" TRUNC from p; 3 "ij"+"k" from p; EAGAIN`,
}, {
	name:  "messages with addresses",
	row:   "sendmsg(2)",
	on:    meeting(udp, udp6, unixgram),
	steps: []step{rcvtimeo(soon), joins("q"), sendMsg(letter{parts: []string{"ab", "", "c"}, to: "l"}), sendMsg(letter{parts: []string{"de"}, to: "q"}), reads("l", 9), reads("q", 9), writes("q", "fg"), recvMsg([]int{1, 5}, 0), recvMsg([]int{5}, 0)},
	want:  `3; 2; l 3 "abc" from s; q 2 "de" from s; 2 "f"+"g" from q; EAGAIN`,
}, {
	name:  "empty messages",
	row:   "eof is never true after an empty datagram",
	on:    meeting(udp, udp6, unixgram),
	steps: []step{rcvtimeo(soon), sendMsg(letter{to: "l"}), reads("l", 5), writes("l", ""), recvMsg([]int{5}, 0), writes("l", "a"), recvMsg(nil, 0), recvMsg([]int{5}, 0)},
	want:  `0; l 0 from s; 0 from l; 0 TRUNC from l; EAGAIN`,
}, {
	name:  "a message to a full unix peer",
	row:   "unix dgram send, peer queue full: EAGAIN",
	on:    meeting(unixgram),
	steps: []step{sndtimeo(soon), fillUpTo("l"), sendMsg(letter{parts: []string{"ab"}, to: "l"}), sndtimeo(ample), begin(sendMsg(letter{parts: []string{"cd"}, to: "l", rights: 1})), blocked(), unblocks("l"), finish()},
	want:  `EAGAIN; blocks; blocked; 2`,
}, {
	name:  "a big message on a stream",
	row:   "big unix-stream send",
	on:    pair(unixes),
	steps: []step{sndtimeo(soon), fillUp(), sendMsg(one), peerHasAll(), sendMsg(one), peerGetsMsg(64)},
	want:  `EAGAIN; peer has all; 5; peer 5 "abcde" from s with 1 of 1 fds`,
}, {
	name:  "WAITALL with recvmsg",
	row:   "MSG_WAITALL: the partial count",
	on:    pair(tcp),
	steps: []step{rcvtimeo(160 * ms), begin(recvMsg([]int{2, 3}, 0, waitall)), peerSends("abc"), blocked(), peerSends("def"), finish(), recvMsg([]int{2, 3}, 0, waitall), recvMsg([]int{2, 3}, 0, waitall)},
	want:  `blocks; blocked; 5 "ab"+"cde" from nobody; 1 "f" from nobody; EAGAIN`,
}, {
	name:  "WAITALL with recvmsg on a unix stream",
	row:   "MSG_WAITALL: the partial count",
	on:    pair(unixes),
	steps: []step{rcvtimeo(160 * ms), begin(recvMsg([]int{2, 3}, 0, waitall)), peerSends("abc"), blocked(), peerSends("def"), finish(), recvMsg([]int{2, 3}, 0, waitall), recvMsg([]int{2, 3}, 0, waitall)},
	want:  `blocks; blocked; 5 "ab"+"cde" from p; 1 "f" from p; EAGAIN`,
}, {
	name:  "WAITALL stops at descriptors",
	row:   "unix(7): SCM_RIGHTS",
	on:    pair(unixes),
	steps: []step{rcvtimeo(ample), begin(recvMsg([]int{9}, 64, waitall)), peerSends("xy"), peerSendsMsg(one), finish(), rcvtimeo(soon), peerSends("z"), recvMsg([]int{9}, 64, waitall)},
	want:  `blocks; 7 "xyabcde" from p with 1 of 1 fds; 1 "z" from p`,
}, {
	name:  "WAITALL without room for descriptors does not join bytes across them",
	row:   "unix(7): SCM_RIGHTS",
	on:    pair(unixes),
	steps: []step{rcvtimeo(soon), peerSends("xy"), peerSendsMsg(one), peerSends("z"), recv(9, waitall), recv(9, waitall), peerSends("xy"), peerSendsMsg(one), peerSends("z"), recvMsg([]int{9}, 0, waitall), recvMsg([]int{9}, 0, waitall)},
	want:  `7 "xyabcde"; 1 "z"; 7 "xyabcde" CTRUNC from p; 1 "z" from p`,
}, {
	name:  "WAITALL joins bytes of the same credentials",
	row:   "unix(7): SO_PASSCRED",
	on:    pair(unixes),
	steps: []step{option(passcred, 1), rcvtimeo(soon), peerSends("ab"), peerSends("cd"), recvMsg([]int{9}, 128, waitall), peerSends("ef"), peerSends("gh"), recvMsg([]int{4}, 128, waitall), peerSends("ij"), peerSends("kl"), recvMsg([]int{9}, 0, waitall), peerSends("mn"), peerSends("op"), recv(9, waitall)},
	want:  `4 "abcd" from p with our credentials; 4 "efgh" from p with our credentials; 4 "ijkl" CTRUNC from p; 4 "mnop"`,
}, {
	name:  "WAITALL with credentials waits",
	row:   "unix(7): SO_PASSCRED",
	on:    pair(unixes),
	steps: []step{option(passcred, 1), rcvtimeo(ample), peerSends("ab"), begin(recvMsg([]int{4}, 128, waitall)), blocked(), peerSends("cd"), finish(), begin(recv(4, waitall)), peerSends("ef"), blocked(), peerSendsMsg(one), finish()},
	want:  `blocks; blocked; 4 "abcd" from p with our credentials; blocks; blocked; 4 "efab"`,
}, {
	name:  "recvmsg without room",
	row:   "recv(2)",
	on:    pair(tcp, tcp6),
	steps: []step{rcvtimeo(soon), recvMsg(nil, 0), recvBatch(1), rcvtimeo(ample), begin(recvMsg(nil, 0)), blocked(), peerSends("ab"), finish(), recvMsg(nil, 0), recvMsg(nil, 0, dontwait), recv(5), recvMsg(nil, 0, dontwait)},
	want:  `0 from nobody; EAGAIN; blocks; blocked; 0 from nobody; 0 from nobody; 0 from nobody; 2 "ab"; EAGAIN`,
}, {
	name:  "recvmsg without room on a unix stream",
	row:   "recv(2)",
	on:    pair(unixes),
	steps: []step{rcvtimeo(soon), recvMsg(nil, 0), rcvtimeo(ample), begin(recvMsg(nil, 0)), peerSends("ab"), finish(), recvMsg(nil, 0), recvMsg(nil, 0, dontwait), recv(5), recvMsg(nil, 0, dontwait)},
	want:  `EAGAIN; blocks; 0 from p; 0 from p; 0 from p; 2 "ab"; EAGAIN`,
}, {
	name:  "recvmsg at the end of a stream",
	row:   "Peer closed cleanly",
	on:    pair(tcp),
	steps: []step{peerSends("ab"), peerCloses(), recvMsg([]int{5}, 64), recvMsg([]int{5}, 64), recvMsg([]int{5}, 64), sendMsg(letters("x")[0]), pause(5), sendMsg(letters("x")[0])},
	want:  `2 "ab" from nobody; 0 from nobody; 0 from nobody; 1; EPIPE`,
}, {
	name:  "recvmsg at the end of a unix connection",
	row:   "Peer closed cleanly",
	on:    pair(unixes, seqpacket),
	steps: []step{peerSends("ab"), peerCloses(), recvMsg([]int{5}, 64), recvMsg([]int{5}, 64), recvMsg([]int{5}, 64), sendMsg(letters("x")[0])},
	want:  `2 "ab" from p; 0 from nobody; 0 from nobody; EPIPE`,
}, {
	name:  "recvmsg after a reset",
	row:   "After RST: ECONNRESET once",
	on:    pair(tcp, tcp6),
	steps: []step{begin(recvMsg([]int{5}, 0)), peerResets(), finish(), recvMsg([]int{5}, 0), sendMsg(letters("x")[0])},
	want:  `blocks; ECONNRESET; 0 from nobody; EPIPE`,
}, {
	name:  "unconnected messages",
	row:   "Unconnected",
	on:    fresh(tcp),
	steps: []step{rcvtimeo(soon), recvMsg([]int{5}, 0), sendMsg(letters("x")[0])},
	want:  `ENOTCONN; EPIPE`,
}, {
	name:  "an empty seqpacket message, and the end",
	row:   "Distinct outcomes, never confused: EOF, an empty datagram",
	on:    pair(seqpacket),
	steps: []step{rcvtimeo(soon), peerSends(""), peerSends("a"), recvMsg([]int{5}, 0), recvFrom(5), recvFrom(5), peerSends(""), peerShuts(unix.SHUT_WR), recv(5), recv(5), recvMsg([]int{5}, 0)},
	want:  `0 from p; 1 "a" from p; EAGAIN; 0; 0; 0 from nobody`,
}, {
	name:  "seqpacket messages keep their ends",
	row:   "send(2): MSG_EOR",
	on:    pair(seqpacket),
	steps: []step{sendMsg(letter{parts: []string{"ab", "c"}}, unix.MSG_EOR), sendMsg(letters("de")[0]), peerGets(9), peerGets(9), peerSends("fgh"), recvMsg([]int{2}, 0), peerSends("i"), recvMsg([]int{2}, 0)},
	want:  `3; 2; peer 3 "abc"; peer 2 "de"; 2 "fg" TRUNC from p; 1 "i" from p`,
}, {
	name:  "shutdown wakes recvmsg",
	row:   "shutdown() wakes recv (0)",
	on:    pair(tcp, unixes, seqpacket, udp, unixgram),
	steps: []step{begin(recvMsg([]int{5}, 64)), shutdown(unix.SHUT_RD), finish(), recvMsg([]int{5}, 64)},
	want:  `blocks; ok; 0 from nobody; 0 from nobody`,
}, {
	name:  "an ICMP refusal and messages",
	row:   "UDP after an ICMP refusal: ECONNREFUSED once",
	on:    pair(udp, udp6),
	steps: []step{rcvtimeo(soon), peerCloses(), sendMsg(letters("a")[0]), pause(5), recvMsg([]int{5}, 64), recvMsg([]int{5}, 64), sendMsg(letters("b")[0]), pause(5), sendMsg(letters("c")[0])},
	want:  `1; ECONNREFUSED; EAGAIN; 1; ECONNREFUSED`,
}}

const waitforone = unix.MSG_WAITFORONE

var batchScenarios = []scenario{{
	name:  "recvmmsg waits as long as the receive timeout says",
	row:   "recv: EAGAIN",
	on:    pair(udp, udp6, unixgram, seqpacket),
	steps: []step{rcvtimeo(soon), recvBatch(3, waitforone), recvBatch(3, dontwait), peerSends("ab"), peerSends("cd"), recvBatch(3, waitforone), recvBatch(3, waitforone)},
	want:  `EAGAIN; EAGAIN; 2: 2 "ab" 2 "cd"; EAGAIN`,
}, {
	name:  "a datagram ends the wait of recvmmsg",
	row:   "recv",
	on:    pair(udp, unixgram, seqpacket),
	steps: []step{rcvtimeo(ample), begin(recvBatch(3, waitforone)), pause(20), peerSends("ab"), finish()},
	want:  `blocks; 1: 2 "ab"`,
}, {
	name:  "recvmmsg waits for all",
	row:   "recvmmsg(2)",
	on:    pair(tcp, udp, unixes, unixgram, seqpacket),
	steps: []step{rcvtimeo(ample), peerSends("ab"), begin(recvBatch(3)), peerSends("cd"), blocked(), peerSends("ef"), finish()},
	want:  `blocks; blocked; 3: 2 "ab" 2 "cd" 2 "ef"`,
}, {
	name:  "the time of recvmmsg is up after some messages",
	row:   "recv: EAGAIN",
	on:    pair(udp, unixgram, seqpacket),
	steps: []step{rcvtimeo(160 * ms), peerSends("ab"), peerSends("cd"), begin(recvBatch(3)), finish(), recv(5, dontwait)},
	want:  `blocks; 2: 2 "ab" 2 "cd"; EAGAIN`,
}, {
	name:  "each message of recvmmsg has the whole time",
	row:   "recv: EAGAIN",
	on:    pair(udp, unixgram, seqpacket),
	steps: []step{rcvtimeo(1000 * ms), begin(recvBatch(3)), pause(600), peerSends("ab"), pause(600), peerSends("cd"), blocked(), pause(600), blocked(), finish()},
	want:  `blocks; blocked; blocked; 2: 2 "ab" 2 "cd"`,
}, {
	name:  "the end of a stream fills recvmmsg",
	row:   "Peer closed cleanly",
	on:    pair(tcp, unixes),
	steps: []step{begin(recvBatch(4)), peerSends("ab"), blocked(), peerShuts(unix.SHUT_WR), finish()},
	want:  `blocks; blocked; 4: 2 "ab" 0 0 0`,
}, {
	name:  "an ICMP refusal in the midst of recvmmsg",
	row:   "UDP after an ICMP refusal: ECONNREFUSED once",
	on:    pair(udp, udp6),
	steps: []step{rcvtimeo(ample), begin(recvBatch(3)), peerSends("ab"), blocked(), peerCloses(), send("x"), finish(), rcvtimeo(soon), recv(5), recv(5)},
	want:  `blocks; blocked; 1; 1: 2 "ab"; ECONNREFUSED; EAGAIN`,
}, {
	name:  "a broken connection in the midst of recvmmsg",
	row:   "After RST: ECONNRESET once",
	on:    pair(seqpacket, unixes),
	steps: []step{send("x"), begin(recvBatch(3)), peerSends("ab"), blocked(), peerCloses(), finish(), recv(5), recv(5)},
	want:  `1; blocks; blocked; 1: 2 "ab"; ECONNRESET; 0`,
}, {
	name:  "a reset in the midst of recvmmsg",
	row:   "After RST: ECONNRESET once",
	on:    pair(tcp),
	steps: []step{begin(recvBatch(3)), peerSends("ab"), blocked(), peerResets(), finish(), recv(5), recv(5)},
	want:  `blocks; blocked; 1: 2 "ab"; ECONNRESET; 0`,
}, {
	name:  "recvmmsg takes no more than it was asked for",
	row:   "recvmmsg(2)",
	on:    pair(udp, unixgram, seqpacket),
	steps: []step{rcvtimeo(soon), peerSends("ab"), peerSends("cd"), peerSends("ef"), recvBatch(2), recvBatch(1), recvBatch(1)},
	want:  `2: 2 "ab" 2 "cd"; 1: 2 "ef"; EAGAIN`,
}, {
	name:  "recvmmsg cuts what is too long",
	row:   "recvmsg(2): MSG_TRUNC",
	on:    pair(udp, unixgram, seqpacket),
	steps: []step{rcvtimeo(soon), peerSends("abcdefghij"), peerSends(""), peerSends("abcd"), recvBatch(3), peerSends("abcdefghij"), recvBatch(1, trunc)},
	want:  `3: 8 "abc"+"defgh" TRUNC 0 4 "abc"+"d"; 1: 10 "abc"+"defgh" TRUNC`,
}, {
	name:  "recvmmsg fills each message of a stream",
	row:   "MSG_WAITALL",
	on:    pair(tcp, unixes),
	steps: []step{rcvtimeo(160 * ms), peerSends("abcdefghijk"), begin(recvBatch(2, waitall)), finish(), peerSends("lm"), begin(recvBatch(2, waitall)), peerSends("nopqrstuvwxyz"), finish(), peerSends("ab"), recvBatch(3, waitall, waitforone), peerSends("abcdefghij"), recvBatch(3, waitall, waitforone), peerSends("abcdefghij"), recvBatch(3, waitall, dontwait)},
	want:  `blocks; 2: 8 "abc"+"defgh" 3 "ijk"; blocks; 2: 8 "lmn"+"opqrs" 7 "tuv"+"wxyz"; 1: 2 "ab"; 2: 8 "abc"+"defgh" 2 "ij"; 2: 8 "abc"+"defgh" 2 "ij"`,
}, {
	name:  "recvmmsg tells of a reset before what is queued",
	row:   "After RST: ECONNRESET once",
	on:    pair(tcp),
	steps: []step{option(rcvlowat, 4), rcvtimeo(soon), peerSends("p"), peerResets(), recvBatch(2), recvBatch(2), recv(5)},
	want:  `ECONNRESET; 2: 1 "p" 0; 0`,
}, {
	name:  "recvmmsg that fills tells of a reset before what is queued",
	row:   "After RST: ECONNRESET once",
	on:    pair(tcp),
	steps: []step{rcvtimeo(soon), peerSends("p"), peerResets(), recvBatch(2, waitall), recvBatch(2, waitall), recv(5)},
	want:  `ECONNRESET; 2: 1 "p" 0; 0`,
}, {
	name:  "recvmmsg minds a low-water mark",
	row:   "socket(7): SO_RCVLOWAT",
	on:    pair(tcp, unixes),
	steps: []step{option(rcvlowat, 4), rcvtimeo(160 * ms), peerSends("ab"), begin(recvBatch(2)), blocked(), peerSends("cdef"), finish(), peerSends("ghijklmnopqr"), recvBatch(3, waitforone)},
	want:  `blocks; blocked; 1: 6 "abc"+"def"; 2: 8 "ghi"+"jklmn" 4 "opq"+"r"`,
}, {
	name:  "sendmmsg sends all",
	row:   "sendmmsg(2)",
	on:    pair(udp, udp6, unixgram, seqpacket),
	steps: []step{sendBatch(0, letters("ab", "", "cde")...), peerGets(5), peerGets(5), peerGets(5), sendBatch(dontwait, letters("f", "g")...), peerGets(5), peerGets(5)},
	want:  `[2 0 3]; peer 2 "ab"; peer 0; peer 3 "cde"; [1 1]; peer 1 "f"; peer 1 "g"`,
}, {
	name:  "sendmmsg runs out of time",
	row:   "unix dgram send, peer queue full: EAGAIN",
	on:    pair(unixgram),
	steps: []step{sndtimeo(soon), fillUp(), sendBatch(0, letters("a", "b")...), peerGets(9), sendBatch(0, letters("a", "b")...), sendBatch(dontwait, letters("c", "d")...)},
	want:  `EAGAIN; peer 9 "\x00\a\x0e\x15\x1c#*18"; [1]; EAGAIN`,
}, {
	name:  "sendmmsg goes on when the peer drains",
	row:   "unix dgram send, peer queue full",
	on:    pair(unixgram, seqpacket),
	steps: []step{sndtimeo(ample), fillUp(), begin(sendBatch(0, letters("a", "b")...)), blocked(), unblocks("p"), finish()},
	want:  `blocks; blocked; [1 1]`,
}, {
	name:  "an ICMP refusal before recvmmsg",
	row:   "UDP after an ICMP refusal: ECONNREFUSED once",
	on:    pair(udp),
	steps: []step{rcvtimeo(soon), peerSends("ab"), peerCloses(), send("a"), pause(5), recvBatch(2), recvBatch(2, waitforone), recvBatch(2, waitforone)},
	want:  `1; ECONNREFUSED; 1: 2 "ab"; EAGAIN`,
}, {
	name:  "an ICMP refusal before sendmmsg",
	row:   "UDP after an ICMP refusal: ECONNREFUSED once",
	on:    pair(udp),
	steps: []step{rcvtimeo(soon), peerCloses(), send("a"), pause(5), sendBatch(0, letters("b")...), recv(5)},
	want:  `1; ECONNREFUSED; EAGAIN`,
}, {
	name:     "an ICMP refusal within sendmmsg",
	row:      "UDP after an ICMP refusal",
	on:       pair(udp),
	steps:    []step{peerCloses(), sendBatch(0, letters("a", "b", "c")...), recv(5, dontwait)},
	want:     `[1]; EAGAIN`,
	deviates: "the kernel stops at the error and forgets it; Weir goes on with the rest",
	instead:  `[1 1 1]; ECONNREFUSED`,
}, {
	name:     "recvmmsg and sendmmsg after shutdown",
	row:      "shutdown() wakes recv (0)",
	on:       pair(unixgram),
	steps:    []step{begin(recvBatch(2, waitforone)), shutdown(unix.SHUT_RDWR), finish(), sendBatch(0, letters("a")...)},
	want:     `blocks; ok; 1: 0; EPIPE`,
	deviates: "the kernel gives a message of nothing; Weir gives none, which no empty datagram is",
	instead:  `blocks; ok; 0:; EPIPE`,
}}
