//go:build linux

package simkernel

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// A message is a datagram that has arrived.
type message struct {
	data []byte
	from netip.AddrPort
}

// mostMessage is the most bytes that a UDP datagram over IPv4 has.
const mostMessage = 65507

func (s *sock) connectMessages(to netip.AddrPort, none bool) syscall.Errno {
	if none {
		s.remote = netip.AddrPort{}
		return 0
	}
	if !to.IsValid() || s.family == unix.AF_INET && !to.Addr().Is4() {
		return unix.EAFNOSUPPORT
	}
	if errno := s.autobind(); errno != 0 {
		return errno
	}
	_, dest, from, errno := s.route(to)
	if errno != 0 {
		return errno
	}
	s.remote = dest
	s.local = from
	return 0
}

func (s *sock) sendMessage(buf []byte, to *sys.Sockaddr) (int, syscall.Errno) {
	if errno := s.autobind(); errno != 0 {
		return 0, errno
	}
	dest := s.remote
	if to != nil && to.Len > 0 {
		if dest = to.Inet(); !dest.IsValid() {
			return 0, unix.EAFNOSUPPORT
		}
	}
	switch {
	case !dest.IsValid():
		return 0, unix.EDESTADDRREQ
	case dest.Port() == 0:
		return 0, unix.EINVAL
	case len(buf) > mostMessage:
		return 0, unix.EMSGSIZE
	}
	host, dest, from, errno := s.route(dest)
	switch {
	case errno != 0:
		return 0, errno
	case s.err != 0:
		return 0, s.takeError()
	case s.sndShut:
		return 0, unix.EPIPE
	}
	w := s.h.w
	l := w.link(s.h.addr, host.addr)
	copies := 1
	if l.Duplicate > 0 && s.rng.Float64() < l.Duplicate {
		copies = 2
	}
	m := message{append([]byte(nil), buf...), from}
	for range copies {
		if !l.drops(s.rng) {
			w.carry(l, len(buf), s.rng, nil, func() { host.gotMessage(s, m, dest) })
		}
	}
	w.after(time.Nanosecond, s.rng, func() { s.wake(unix.EPOLLOUT) }) // the packet has left
	return len(buf), 0
}

// gotMessage gives a datagram to the socket that it is for.
func (h *Host) gotMessage(sender *sock, m message, to netip.AddrPort) {
	var best *sock
	for _, x := range h.bound[binding{unix.SOCK_DGRAM, to.Port()}] {
		if !x.matches(to) || x.remote.IsValid() && x.remote != m.from {
			continue
		}
		if best == nil || x.remote.IsValid() && !best.remote.IsValid() {
			best = x
		}
	}
	if best == nil {
		if sender.remote == to && sender.file != nil {
			l := h.w.link(h.addr, sender.h.addr)
			if !l.drops(sender.rng) {
				h.w.carry(l, 0, sender.rng, sender, func() {
					sender.err = unix.ECONNREFUSED
					sender.wake(unix.EPOLLERR)
				})
			}
		}
		return
	}
	if best.rcvShut || best.queuedSize+len(m.data) > best.rcvbuf {
		return
	}
	best.messages = append(best.messages, m)
	best.queuedSize += len(m.data)
	best.wake(unix.EPOLLIN)
}

func (s *sock) recvMessage(buf []byte, flags int, from *sys.Sockaddr) (n, out int, errno syscall.Errno) {
	const known = unix.MSG_PEEK | unix.MSG_DONTWAIT | unix.MSG_WAITALL | unix.MSG_TRUNC | unix.MSG_NOSIGNAL | unix.MSG_CMSG_CLOEXEC | unix.MSG_OOB
	switch {
	case flags&unix.MSG_ERRQUEUE != 0:
		return 0, 0, unix.EAGAIN
	case flags&^known != 0:
		return 0, 0, unix.EOPNOTSUPP
	case s.err != 0:
		return 0, 0, s.takeError()
	case len(s.messages) == 0:
		return 0, 0, unix.EAGAIN
	}
	m := s.messages[0]
	n = copy(buf, m.data)
	if n < len(m.data) {
		out = unix.MSG_TRUNC
		if flags&unix.MSG_TRUNC != 0 {
			n = len(m.data)
		}
	}
	if from != nil {
		from.SetInet(s.family, m.from)
	}
	if flags&unix.MSG_PEEK == 0 {
		s.messages = s.messages[1:]
		s.queuedSize -= len(m.data)
	}
	return n, out, 0
}
