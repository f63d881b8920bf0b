package oracle

import "golang.org/x/sys/unix"

var unconnectedScenarios = []scenario{{
	name:  "unconnected TCP",
	row:   "Unconnected: TCP recv ENOTCONN, send EPIPE",
	on:    fresh(tcp, tcp6),
	steps: []step{rcvtimeo(soon), recv(5), recv(5, peek), recv(5, waitall), recv(5, dontwait), send("a"), send("a", dontwait), send(""), recv(0)},
	want:  "ENOTCONN; ENOTCONN; ENOTCONN; ENOTCONN; EPIPE; EPIPE; EPIPE; ENOTCONN",
}, {
	name:  "unconnected unix stream",
	row:   "Unconnected: unix stream recv EINVAL, send ENOTCONN",
	on:    fresh(unixes),
	steps: []step{rcvtimeo(soon), recv(5), recv(5, peek), recv(5, waitall), recv(5, dontwait), send("a"), send("a", dontwait), send(""), recv(0)},
	want:  "EINVAL; EINVAL; EINVAL; EINVAL; ENOTCONN; ENOTCONN; ENOTCONN; EINVAL",
}, {
	name:  "unconnected seqpacket",
	row:   "Unconnected: seqpacket both ENOTCONN",
	on:    fresh(seqpacket),
	steps: []step{rcvtimeo(soon), recv(5), recv(5, peek), recv(5, dontwait), send("a"), send("a", dontwait), send(""), recv(0)},
	want:  "ENOTCONN; ENOTCONN; ENOTCONN; ENOTCONN; ENOTCONN; ENOTCONN; ENOTCONN",
}, {
	name:  "unconnected UDP",
	row:   "Unconnected",
	on:    fresh(udp, udp6),
	steps: []step{rcvtimeo(soon), recv(5), recv(5, dontwait), send("a"), send("")},
	want:  "EAGAIN; EAGAIN; EDESTADDRREQ; EDESTADDRREQ",
}, {
	name:  "unconnected unix datagram",
	row:   "Unconnected",
	on:    fresh(unixgram),
	steps: []step{rcvtimeo(soon), recv(5), recv(5, dontwait), send("a"), send("")},
	want:  "EAGAIN; EAGAIN; ENOTCONN; ENOTCONN",
}, {
	name:  "OOB on an unconnected TCP socket",
	row:   "Unconnected; MSG_OOB",
	on:    fresh(tcp),
	steps: []step{recv(1, oob), send("a", oob)},
	want:  "EINVAL; EPIPE",
}, {
	name:  "OOB on an unconnected unix socket",
	row:   "Unconnected; MSG_OOB",
	on:    fresh(unixes),
	steps: []step{recv(1, oob), send("a", oob)},
	want:  "EINVAL; ENOTCONN",
}, {
	name:  "shutdown of an unconnected socket",
	row:   "shutdown(2): ENOTCONN",
	on:    fresh(tcp, tcp6, udp, udp6),
	steps: []step{shutdown(unix.SHUT_RDWR), shutdown(unix.SHUT_RD), rcvtimeo(soon), soError()},
	want:  "ENOTCONN; ENOTCONN; ok",
}, {
	name:  "shutdown of an unconnected unix socket",
	row:   "shutdown(2)",
	on:    fresh(unixes),
	steps: []step{shutdown(unix.SHUT_RDWR), rcvtimeo(soon), recv(5), send("a")},
	want:  "ok; EINVAL; ENOTCONN",
}, {
	name:  "shutdown of an unconnected unix datagram socket",
	row:   "shutdown(2)",
	on:    fresh(unixgram),
	steps: []step{rcvtimeo(ample), begin(recv(5)), shutdown(unix.SHUT_RDWR), finish(), recv(5)},
	want:  "blocks; ok; 0; 0",
}}
