package server

import (
	"context"
	"encoding/binary"
	"maps"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// When a TCP listener closes, the kernel drops the handshakes that are half done: it has
// answered the client's SYN, and the client's ACK is on its way. The client believes that
// it is connected, and gets a reset. So Shutdown first keeps new SYNs away (shut), and
// then waits for these handshakes while the listener goes on accepting.

// handshakeTime bounds that wait. If the SYN-ACK was lost, the kernel sends it again a
// second after the first one: TCP_TIMEOUT_INIT. The rest is for the client's ACK. Tests
// change handshakeTime.
var handshakeTime = 1500 * time.Millisecond

const (
	// Shutdown asks the kernel again after firstLook, and then at growing intervals up to
	// longestLook, because the kernel walks through all connections of the machine.
	firstLook   = time.Millisecond
	longestLook = 50 * time.Millisecond

	// blindWait is how long Shutdown waits if the kernel does not tell.
	blindWait = 20 * time.Millisecond
)

// awaitHandshakes keeps new clients out of the TCP listeners that the server has opened,
// and waits until no handshake with them is half done, but not longer than
// handshakeTime. It ends early if ctx is done or Close was called.
func (s *Server) awaitHandshakes(ctx context.Context, listeners []*listener) {
	var own []*listener
	for _, l := range listeners {
		l.eng.do(func() {
			if l.keepOut() {
				own = append(own, l)
			}
		})
	}
	half, err := halfDone(own)
	if err != nil {
		s.pause(ctx, blindWait)
		return
	}
	end := time.Now().Add(handshakeTime)
	for pause := firstLook; len(half) > 0 && time.Now().Before(end); pause = min(2*pause, longestLook) {
		if !s.pause(ctx, pause) {
			return
		}
		now, err := halfDone(own)
		if err != nil {
			return
		}
		// A handshake that is new is with another process that has the port, too: shut keeps
		// new clients out of this server's listeners.
		maps.DeleteFunc(half, func(h handshake, _ struct{}) bool { _, still := now[h]; return !still })
	}
}

// pause waits. It returns false early if ctx is done or Close was called.
func (s *Server) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.hurry:
	}
	return false
}

// keepOut keeps new clients out of the backlog of a TCP listener that the server has
// opened, on the listener's loop. For another listener it returns false.
func (l *listener) keepOut() bool {
	s := l.eng.srv
	s.mu.Lock()
	own := l.own
	s.mu.Unlock()
	if own && l.family != socket.Unix {
		l.shut()
		return true
	}
	return false
}

// A handshake names the client and the local end of a handshake that is half done.
type handshake struct{ client, local netip.AddrPort }

// halfDone returns the handshakes with TCP listeners that are half done, as far as this
// network namespace has them.
func halfDone(listeners []*listener) (map[handshake]struct{}, error) {
	found := make(map[handshake]struct{})
	if len(listeners) == 0 {
		return found, nil
	}
	if listeners[0].reg.FD() >= sys.FirstSimulated {
		for _, l := range listeners {
			for _, client := range sys.Handshakes(l.reg.FD()) {
				found[handshake{client, l.addr.AddrPort()}] = struct{}{}
			}
		}
		return found, nil
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}) // the kernel answers at once
	type question struct {
		family byte
		port   int
	}
	asked := make(map[question]bool)
	for _, l := range listeners {
		var families []byte
		switch l.family {
		case socket.Inet:
			families = []byte{unix.AF_INET}
		case socket.Inet6:
			families = []byte{unix.AF_INET, unix.AF_INET6} // a dual-stack listener has both
		}
		for _, family := range families {
			q := question{family, l.addr.Port()}
			if asked[q] {
				continue
			}
			asked[q] = true
			if err := askHalfDone(fd, family, uint16(q.port), found); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// The layouts that sock_diag(7) gives: of nlmsghdr, inet_diag_req_v2 and inet_diag_msg.
const (
	diagHeader  = unix.SizeofNlMsghdr
	diagRequest = 56
	diagMessage = 72
)

// askHalfDone adds to found the handshakes of a family with a local port.
func askHalfDone(fd int, family byte, port uint16, found map[handshake]struct{}) error {
	request := make([]byte, diagHeader+diagRequest)
	native := binary.NativeEndian
	native.PutUint32(request[0:], uint32(len(request)))
	native.PutUint16(request[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	body := request[diagHeader:]
	body[0], body[1] = family, unix.IPPROTO_TCP
	native.PutUint32(body[4:], 1<<unix.BPF_TCP_SYN_RECV)
	binary.BigEndian.PutUint16(body[8:], port)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, 32<<10) // the kernel's messages are no larger
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		for _, m := range messages {
			switch {
			case m.Header.Type == unix.NLMSG_DONE:
				return nil
			case m.Header.Type == unix.NLMSG_ERROR:
				if len(m.Data) < 4 {
					return os.NewSyscallError("sock_diag", unix.EBADMSG)
				}
				return os.NewSyscallError("sock_diag", syscall.Errno(-int32(native.Uint32(m.Data))))
			case m.Header.Type == unix.SOCK_DIAG_BY_FAMILY && len(m.Data) >= diagMessage:
				found[handshakeOf(m.Data)] = struct{}{}
			}
		}
	}
}

// handshakeOf reads an inet_diag_msg.
func handshakeOf(m []byte) handshake {
	ip := func(b []byte) netip.Addr {
		if m[0] == unix.AF_INET {
			return netip.AddrFrom4([4]byte(b))
		}
		return netip.AddrFrom16([16]byte(b))
	}
	return handshake{
		local:  netip.AddrPortFrom(ip(m[8:24]), binary.BigEndian.Uint16(m[4:])),
		client: netip.AddrPortFrom(ip(m[24:40]), binary.BigEndian.Uint16(m[6:])),
	}
}
