package socket

import (
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// RecvFrom receives into buf and returns the sender: recvfrom(2) with its
// flags. It waits for a datagram, within the receive timeout. What does not fit
// into buf is lost; with MSG_TRUNC the count is the real length of the
// datagram. An empty datagram is 0 without an error. On a stream, RecvFrom is
// Recv, and mostly returns no address.
//
// The sender becomes the socket's remote address (RemoteAddr). If several
// goroutines receive at the same time, each gets its own sender, and the remote
// address is one of these. An inet6 socket gives a sender that uses IPv4 as the
// kernel does, mapped: see Addr.Unmap.
func (s *Socket) RecvFrom(buf []byte, flags int) (int, Addr, error) {
	var from sockaddr
	n, err := s.recv(buf, flags, &from)
	if err := s.received("recvfrom", n, len(buf), flags, err); err != nil {
		return n, Addr{}, err
	}
	sender := from.decode()
	if sender.IsValid() && flags&unix.MSG_ERRQUEUE == 0 { // in the error queue, it is the address that an error is about
		s.core.remote.set(sender)
	}
	return n, sender, nil
}

// SendTo sends buf to a host and service, which are as in Connect: sendto(2)
// with its flags. It waits within the send timeout, which includes the look-up
// of a name. It tries the addresses of a name in turn until the kernel accepts
// one. A datagram that was sent need not arrive. MSG_FASTOPEN connects a TCP
// socket, within the same time (EINPROGRESS), and sends; see tcp(7). A
// connected stream ignores the address (inet) or says EISCONN (unix), as in the
// kernel.
func (s *Socket) SendTo(buf []byte, host, service string, flags int) (int, error) {
	if to, ok := s.core.literal(host, service); ok {
		return s.SendToAddr(buf, to, flags)
	}
	what := s.core.destination(host, service)
	n, err := s.sendToName(buf, host, service, flags)
	if n, err = s.core.settle(n, err); err != nil {
		return n, s.core.failed("sendto", what, err)
	}
	return n, nil
}

// SendToAddr sends buf to an address, as SendTo does. It allocates nothing.
func (s *Socket) SendToAddr(buf []byte, to Addr, flags int) (int, error) {
	var sa sockaddr
	if err := sa.encode(to); err != nil {
		return 0, badAddr("sendto", to.String(), err)
	}
	n, err := s.send(buf, flags, &sa)
	if n, err = s.core.settle(n, err); err != nil {
		return n, s.core.failed("sendto", to.String(), err)
	}
	return n, nil
}

// literal returns the address of a host and service that need no look-up.
func (c *core) literal(host, service string) (Addr, bool) {
	if c.family != Inet && c.family != Inet6 {
		to, err := parseAddr(c.family, addressText(c.family, host, service))
		return to, err == nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Is4() != (c.family == Inet) {
		return Addr{}, false
	}
	var port uint64
	if service != "" {
		if port, err = strconv.ParseUint(service, 10, 16); err != nil {
			return Addr{}, false
		}
	}
	return AddrFrom(netip.AddrPortFrom(ip, uint16(port))), true
}

// sendToName looks up the name and sends, in one turn to write.
func (s *Socket) sendToName(buf []byte, host, service string, flags int) (int, error) {
	defer runtime.KeepAlive(s)
	c := s.core
	if err := c.sendable(buf); err != nil {
		return 0, err
	}
	call := loop.Call{Timeout: c.sendTimeout.get(), Context: s.ctx}
	ready, err := c.reg.Begin(loop.Write, &call)
	if err != nil {
		return 0, err
	}
	var more bool
	defer func() { c.reg.End(loop.Write, more) }()
	targets, err := s.targets(&call, host, service)
	if err != nil {
		more = ready
		return 0, err
	}
	if flags&unix.MSG_DONTWAIT != 0 {
		call.Timeout = loop.NoWait // only the look-up may wait
	}
	total := 0
	for _, to := range targets {
		var sa sockaddr
		if err = sa.encode(to); err != nil {
			return 0, badAddr("", "", err)
		}
		if c.opens(flags) {
			more, err = s.openAndSend(&call, to, &total, len(buf), c.opening(buf, &total, flags, &sa))
		} else {
			more, err = c.attempt(loop.Write, &call, ready, turn{sign: c.signOfRoom(true)}, func(fd int, waited bool) (bool, syscall.Errno) {
				return c.sendRest(fd, buf, &total, flags, &sa, waited)
			})
		}
		if err == nil || total > 0 || !elsewhere(err) {
			break
		}
		ready = true
	}
	return total, err
}

// A peer holds a socket's remote address. It is allocated on first use and then
// changed in place, so that a socket that receives from many senders allocates
// nothing for each.
type peer struct {
	p atomic.Pointer[lastPeer]
}

type lastPeer struct {
	mu   sync.Mutex
	addr Addr
}

func (p *peer) set(a Addr) {
	last := p.p.Load()
	if last == nil {
		if p.p.CompareAndSwap(nil, &lastPeer{addr: a}) {
			return
		}
		last = p.p.Load()
	}
	last.mu.Lock()
	last.addr = a
	last.mu.Unlock()
}

func (p *peer) get() Addr {
	last := p.p.Load()
	if last == nil {
		return Addr{}
	}
	last.mu.Lock()
	defer last.mu.Unlock()
	return last.addr
}
