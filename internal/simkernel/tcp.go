//go:build linux

package simkernel

import (
	"cmp"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// stream is one end of a TCP connection.
type stream struct {
	peer     *sock
	peerHost *Host
	from, to netip.Addr // of the hosts, for links

	// What the other end sends.
	received []byte
	expected uint64             // number of the next segment
	early    map[uint64]segment // segments after a gap
	finished bool               // the other end has ended its stream
	inBytes  uint64             // bytes that have arrived in order
	segments uint32

	// What this end sends.
	unsent   []byte
	next     uint64 // number of the next segment
	flying   int    // bytes sent that have not arrived
	unacked  int    // bytes that the other end has not acknowledged, unsent ones too
	acked    uint64
	fin      finState
	updating bool // the other end is about to learn of room in received
}

type finState uint8

const (
	finNone  finState = iota
	finWaits          // until all else is sent
	finSent
	finAcked
)

type segment struct {
	data []byte
	fin  bool
	ack  bool // the first one: it ends the handshake
}

func (s *sock) reset() {
	s.stream = stream{early: make(map[uint64]segment)}
}

// writable is the kernel's sk_stream_is_writeable.
func (s *sock) writable() bool {
	free := s.sndbuf - s.unacked
	return free > 0 && free >= s.unacked/2
}

// connect is inet_stream_connect.
func (s *sock) connect(to netip.AddrPort) syscall.Errno {
	switch s.step {
	case connected:
		return unix.EISCONN
	case disconnecting:
		return unix.EINVAL
	case connecting:
		switch s.state {
		case synSent:
			return unix.EALREADY
		case closed:
			errno := cmp.Or(s.takeError(), unix.ECONNABORTED)
			s.disconnect(0)
			return errno
		}
		s.step = connected
		return 0
	}
	if s.state != closed {
		return unix.EISCONN
	}
	if to.Port() == 0 {
		return unix.ECONNREFUSED
	}
	host, dest, _, errno := s.route(to)
	if errno == 0 {
		errno = s.autobind()
	}
	if errno != 0 {
		return errno
	}
	_, _, from, _ := s.route(to)
	s.reset()
	s.attempt++
	s.local, s.remote = from, dest
	s.from, s.to, s.peerHost = s.h.addr, host.addr, host
	s.err = 0
	s.state, s.step = synSent, connecting
	s.syn(0)
	return unix.EINPROGRESS
}

// syn sends the request to connect, and repeats it.
func (s *sock) syn(tries int) {
	w := s.h.w
	l := w.link(s.from, s.to)
	attempt := s.attempt
	if !l.drops(s.rng) {
		w.carry(l, 0, s.rng, nil, func() {
			if s.state == synSent && s.attempt == attempt {
				s.asked()
			}
		})
	}
	w.after(firstSyn<<tries, s.rng, func() {
		switch {
		case s.state != synSent || s.attempt != attempt || s.peer != nil:
		case tries == mostSyns:
			s.fail(unix.ETIMEDOUT)
		default:
			s.syn(tries + 1)
		}
	})
}

// asked is called when the request has come to the other host.
func (s *sock) asked() {
	w := s.h.w
	if s.peer != nil {
		return // an earlier request has come, too
	}
	l := s.peerHost.listener(s.remote, s.local)
	switch {
	case l == nil:
		w.transmit(s.to, s.from, 0, s.rng, s, func() { s.gotReset() }, func() {})
		return
	case l.filter, len(l.queue)+len(l.opening) > l.backlog:
		return // the client asks again
	}
	x := newSock(l.h, l.family, l.typ, children)
	x.local, x.remote = s.remote, s.local
	x.rcvbuf, x.sndbuf, x.lowat, x.linger, x.values = l.rcvbuf, l.sndbuf, l.lowat, l.linger, l.values
	x.from, x.to, x.peerHost, x.peer = s.to, s.from, s.h, s
	x.state, x.step = established, connected
	s.peer = x
	l.opening = append(l.opening, x)
	w.transmit(s.to, s.from, 0, s.rng, s, func() {
		if s.state != synSent || s.peer != x {
			x.abandon(l)
			return
		}
		s.state = established
		s.segments++
		s.wake(0)
		s.sendSegment(segment{ack: true}, func() { l.enqueue(x) })
		s.push()
	}, func() { s.fail(unix.ETIMEDOUT) })
}

// abandon forgets a connection whose client has gone before the handshake ended.
func (x *sock) abandon(l *sock) {
	l.opened(x)
	x.state, x.peer = closed, nil
}

// opened takes a connection off those that are on their way to the queue.
func (l *sock) opened(x *sock) {
	l.opening = slices.DeleteFunc(l.opening, func(y *sock) bool { return x == y })
}

// enqueue gives a connection to the listener.
func (l *sock) enqueue(x *sock) {
	l.opened(x)
	if l.state != listens {
		x.sendReset()
		return
	}
	l.queue = append(l.queue, x)
	l.wake(unix.EPOLLIN)
}

// listener returns the listener for a connection. With SO_REUSEPORT the seed decides.
func (h *Host) listener(to, from netip.AddrPort) *sock {
	var found []*sock
	for _, x := range h.bound[binding{unix.SOCK_STREAM, to.Port()}] {
		if x.state == listens && x.matches(to) {
			found = append(found, x)
		}
	}
	switch len(found) {
	case 0:
		return nil
	case 1:
		return found[0]
	}
	return found[int(h.w.rng.IntN(len(found)))]
}

func (s *sock) stopListening() {
	s.state = closed
	for _, x := range s.queue {
		x.sendReset()
	}
	s.queue = nil
}

// disconnect is tcp_disconnect: it ends a connect in progress, or one that has failed.
func (s *sock) disconnect(errno syscall.Errno) {
	s.reset()
	s.attempt++
	s.state, s.step, s.err = closed, unconnected, errno
	s.rcvShut, s.sndShut = false, false
	s.remote = netip.AddrPort{}
	s.wake(unix.EPOLLERR)
}

// fail ends the connection with an error that this end has found.
func (s *sock) fail(errno syscall.Errno) {
	if s.state == closed {
		return
	}
	s.state, s.err, s.rcvShut, s.sndShut = closed, errno, true, true
	s.unsent, s.unacked, s.flying = nil, 0, 0
	s.wake(0)
	if s.orphan {
		s.leave()
	}
}

// gotReset is tcp_reset.
func (s *sock) gotReset() {
	switch {
	case s.state == synSent:
		s.fail(unix.ECONNREFUSED)
	case s.finished:
		s.fail(unix.EPIPE)
	default:
		s.fail(unix.ECONNRESET)
	}
}

// sendReset ends the connection, and has the other end learn it.
func (s *sock) sendReset() {
	peer := s.peer
	if s.state != closed {
		s.state, s.rcvShut, s.sndShut = closed, true, true
		s.unsent, s.unacked, s.flying = nil, 0, 0
	}
	s.leaveIfOrphan()
	if peer != nil {
		s.h.w.transmit(s.from, s.to, 0, s.back, peer, func() {
			if peer.peer == s {
				peer.gotReset()
			}
		}, func() {})
	}
}

func (s *sock) leaveIfOrphan() {
	if s.orphan {
		s.leave()
	}
}

// send is tcp_sendmsg.
func (s *sock) send(buf []byte) (int, syscall.Errno) {
	switch {
	case s.err != 0 && s.state != synSent:
		return 0, s.takeError()
	case s.sndShut:
		return 0, unix.EPIPE
	case s.state == synSent:
		return 0, unix.EAGAIN
	case s.state != established:
		return 0, unix.EPIPE
	}
	n := min(len(buf), s.sndbuf-s.unacked)
	if n < len(buf) {
		s.noSpace = true
	}
	if n <= 0 {
		if len(buf) == 0 {
			return 0, 0
		}
		return 0, unix.EAGAIN
	}
	s.unsent = append(s.unsent, buf[:n]...)
	s.unacked += n
	s.push()
	return n, 0
}

// push sends what the window allows.
func (s *sock) push() {
	for len(s.unsent) > 0 && s.state == established && s.peer != nil {
		window := s.peer.rcvbuf - len(s.peer.received) - s.flying
		if window <= 0 {
			return
		}
		n := s.segmentSize(min(window, len(s.unsent)))
		data := append([]byte(nil), s.unsent[:n]...)
		s.unsent = s.unsent[n:]
		s.flying += n
		s.sendSegment(segment{data: data}, nil)
	}
	if len(s.unsent) == 0 {
		s.unsent = nil
		if s.fin == finWaits && s.state == established {
			s.fin = finSent
			s.sendSegment(segment{fin: true}, nil)
		}
	}
}

// segmentSize draws how many of n bytes a segment has.
func (s *sock) segmentSize(n int) int {
	if most := s.h.w.link(s.from, s.to).Segment; most > 0 {
		return min(n, most)
	}
	const ethernet = 1448
	switch s.rng.IntN(8) {
	case 0:
		return 1 + s.rng.IntN(min(n, ethernet))
	case 1, 2:
		return min(n, ethernet)
	}
	return min(n, 64<<10)
}

// sendSegment sends a segment. arrived, if not nil, is called when it is its turn at the other
// end.
func (s *sock) sendSegment(g segment, arrived func()) {
	number := s.next
	s.next++
	peer := s.peer
	s.h.w.transmit(s.from, s.to, len(g.data), s.rng, peer, func() {
		if peer.peer != s {
			return
		}
		peer.arrive(number, g, arrived)
	}, func() { s.fail(unix.ETIMEDOUT) })
}

// arrive takes a segment in, and those after it that came early.
func (s *sock) arrive(number uint64, g segment, arrived func()) {
	if arrived != nil && number == s.expected {
		arrived()
	}
	s.early[number] = g
	for {
		g, ok := s.early[s.expected]
		if !ok {
			return
		}
		delete(s.early, s.expected)
		s.expected++
		s.segments++
		if !s.deliver(g) {
			return
		}
	}
}

// deliver takes the next segment in. It returns false if the connection has ended.
func (s *sock) deliver(g segment) bool {
	peer := s.peer
	peer.flying -= len(g.data)
	if s.state != established {
		if len(g.data) > 0 || g.fin {
			s.sendReset()
		}
		return false
	}
	if s.fin != finNone && s.rcvShut && !s.finished && len(g.data) > 0 { // nobody will read it
		s.cutShort()
		return false
	}
	if at := s.h.w.link(s.to, s.from).ResetAt; at > 0 && s.inBytes+uint64(len(g.data)) >= uint64(at) {
		s.append(g.data[:uint64(at)-1-s.inBytes])
		s.cutShort()
		return false
	}
	s.append(g.data)
	if g.fin {
		s.finished, s.rcvShut = true, true
		s.wake(0)
		defer s.done()
	}
	n, fin := len(g.data), g.fin
	if n > 0 || fin {
		s.h.w.transmit(s.from, s.to, 0, s.back, peer, func() {
			if peer.peer == s {
				peer.acknowledged(n, fin)
			}
		}, func() {})
	}
	return true
}

func (s *sock) append(data []byte) {
	if len(data) == 0 {
		return
	}
	s.inBytes += uint64(len(data))
	s.received = append(s.received, data...)
	s.wake(unix.EPOLLIN)
}

// cutShort resets both ends, as something between them may do.
func (s *sock) cutShort() {
	peer := s.peer
	s.gotReset()
	s.h.w.transmit(s.from, s.to, 0, s.back, peer, func() {
		if peer.peer == s {
			peer.gotReset()
		}
	}, func() {})
}

// acknowledged is called when the other end has confirmed that n bytes have come.
func (s *sock) acknowledged(n int, fin bool) {
	if s.state != established {
		return
	}
	s.unacked -= n
	s.acked += uint64(n)
	if fin {
		s.fin = finAcked
		s.done()
	}
	s.push()
	if s.noSpace && s.writable() {
		s.noSpace = false
		s.wake(unix.EPOLLOUT)
	}
}

// recv is tcp_recvmsg.
func (s *sock) recv(buf []byte, flags int) (int, syscall.Errno) {
	const known = unix.MSG_PEEK | unix.MSG_DONTWAIT | unix.MSG_WAITALL | unix.MSG_TRUNC | unix.MSG_NOSIGNAL | unix.MSG_CMSG_CLOEXEC
	switch {
	case flags&unix.MSG_OOB != 0:
		return 0, unix.EINVAL // there is none
	case flags&unix.MSG_ERRQUEUE != 0:
		return 0, unix.EAGAIN
	case flags&^known != 0:
		return 0, unix.EOPNOTSUPP
	case s.state == listens:
		return 0, unix.ENOTCONN
	}
	if len(s.received) == 0 {
		switch {
		case s.finished:
			return 0, 0
		case s.err != 0:
			return 0, s.takeError()
		case s.rcvShut:
			return 0, 0
		case s.state == closed:
			return 0, unix.ENOTCONN
		}
		return 0, unix.EAGAIN
	}
	n := min(len(buf), len(s.received))
	if flags&unix.MSG_TRUNC == 0 {
		copy(buf, s.received[:n])
	}
	if flags&unix.MSG_PEEK != 0 {
		return n, 0
	}
	if s.received = s.received[n:]; len(s.received) == 0 {
		s.received = nil
	}
	s.tellRoom()
	return n, 0
}

// tellRoom has the other end learn that there is room for more.
func (s *sock) tellRoom() {
	peer := s.peer
	if peer == nil || len(peer.unsent) == 0 || s.updating {
		return
	}
	s.updating = true
	s.h.w.transmit(s.from, s.to, 0, s.back, peer, func() {
		s.updating = false
		if peer.peer == s {
			peer.push()
		}
	}, func() { s.updating = false })
}

// finish ends the stream that this end sends.
func (s *sock) finish() {
	if s.fin == finNone {
		s.fin = finWaits
		s.push()
	}
}

// done ends the connection when both streams have ended, and this end's was acknowledged.
func (s *sock) done() {
	if s.fin == finAcked && s.finished {
		s.state = closed
		s.leaveIfOrphan()
	}
}

// outq is SIOCOUTQ.
func (s *sock) outq() int {
	n := s.unacked
	if s.fin == finWaits || s.fin == finSent {
		n++
	}
	return n
}

func (s *sock) close() {
	s.orphan, s.file, s.rcvShut = true, nil, true
	switch {
	case s.typ == unix.SOCK_DGRAM:
		s.leave()
		s.messages = nil
	case s.state == listens:
		s.stopListening()
		s.leave()
	case s.state == synSent:
		s.disconnect(0)
		s.leave()
	case s.state == closed:
		s.leave()
	case len(s.received) > 0, s.linger.Onoff != 0 && s.linger.Linger == 0:
		s.sendReset()
	default:
		s.sndShut = true
		s.finish()
		s.done()
	}
}
