package socket

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"runtime"
	"syscall"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// Accept takes the next connection of a listening socket: accept(2). It waits
// for one, within the receive timeout (EAGAIN). The new socket has the family,
// type, protocol, group, MaxString and MaxLine of the listening one; an inet or
// inet6 one inherits its timeouts and SO_RCVLOWAT, too. It has no context (With)
// and its remote address is the peer's. A socket
// that does not listen, or was shut down, gives EINVAL. EMFILE and ENFILE are
// the caller's to handle: the connection stays in the queue, so a server should
// pause before it calls again.
func (s *Socket) Accept() (*Socket, error) {
	const op = "accept"
	c := s.core
	var from sockaddr
	fd := -1
	err := s.wait(loop.Read, c.recvTimeout.get(), func(listener int) (bool, syscall.Errno) {
		var errno syscall.Errno
		fd, errno = accept(listener, &from)
		return true, errno
	})
	if err == nil && fd < 0 {
		err = unix.EINVAL // shut down
	}
	if err != nil {
		return nil, fail(op, "", err)
	}
	child := &core{group: c.group, family: c.family, typ: c.typ, proto: c.proto}
	if c.family == Inet || c.family == Inet6 { // as the kernel has it
		child.recvTimeout.inherit(&c.recvTimeout)
		child.sendTimeout.inherit(&c.sendTimeout)
		child.lowWater.Store(c.lowWater.Load())
	}
	child.inheritInput(c)
	child.remote.set(from.decode())
	return adopt(op, fd, child)
}

// Connect connects the socket: connect(2). For inet and inet6, host is an
// address or a name, and service a port number, a name of services(5), or
// nothing for port 0. A name's addresses are tried in turn. For unix, host is
// the path, or an abstract name after an "@", and service is not used; for the
// other families it is an address as ParseAddr reads it, or, of vsock, the
// context id with the port as service. The look-up and all tries together take
// the send timeout at most; then Connect returns EINPROGRESS, and the connection
// may still come about: calling again waits on (EALREADY), or says EISCONN.
func (s *Socket) Connect(host, service string) error {
	return s.connecting(s.core.destination(host, service), func(call *loop.Call) error {
		targets, err := s.targets(call, host, service)
		if err != nil {
			return err
		}
		for _, to := range targets {
			// Another address is for one that does not answer. When the time
			// is up, or the socket is unusable, no other can help.
			if err = s.connectTo(call, to); err == nil || !elsewhere(err) {
				break
			}
		}
		return err
	})
}

// destination is a host and service in an error.
func (c *core) destination(host, service string) string {
	if service != "" && c.family != Unix {
		return net.JoinHostPort(host, service)
	}
	return host
}

// ConnectAddr connects the socket to an address, as Connect does, without a
// look-up.
func (s *Socket) ConnectAddr(to Addr) error {
	return s.connecting(to.String(), func(call *loop.Call) error { return s.connectTo(call, to) })
}

// connecting has the turn to write while it connects.
func (s *Socket) connecting(what string, connect func(*loop.Call) error) error {
	defer runtime.KeepAlive(s)
	call := loop.Call{Timeout: s.core.sendTimeout.get(), Context: s.ctx}
	_, err := s.core.reg.Begin(loop.Write, &call)
	if err == nil {
		err = connect(&call)
		s.core.reg.End(loop.Write, true)
		s.core.reg.Doubt() // a disconnect empties the queue
	}
	if err == nil {
		return nil
	}
	if done, ok := err.(*Error); ok {
		done.Op, done.Addr = "connect", what
		return done
	}
	if err == loop.ErrTimeout {
		return &Error{Op: "connect", Addr: what, Errno: unix.EINPROGRESS, Err: err}
	}
	return fail("connect", what, err)
}

// elsewhere reports whether another address of the same name may do better.
func elsewhere(err error) bool {
	switch err {
	case unix.ECONNREFUSED, unix.ECONNRESET, unix.ETIMEDOUT, unix.ENETUNREACH,
		unix.EHOSTUNREACH, unix.EADDRNOTAVAIL, unix.EACCES, unix.EPERM:
		return true
	}
	return false
}

// targets finds what a host and service stand for. Only names need the
// resolver, which has a goroutine of its own: the call that waits for it can be
// timed out, interrupted and closed like any other.
func (s *Socket) targets(call *loop.Call, host, service string) ([]Addr, error) {
	c := s.core
	if c.family != Inet && c.family != Inet6 {
		to, err := parseAddr(c.family, addressText(c.family, host, service))
		if err != nil {
			return nil, badAddr("", "", err)
		}
		return []Addr{to}, nil
	}
	var ips []netip.Addr
	var port uint16
	var err error
	look := func(ctx context.Context) {
		if port, err = lookupPort(ctx, c.typ, service); err == nil {
			ips, err = lookupIP(ctx, c.family, host)
		}
	}
	if _, bad := netip.ParseAddr(host); bad == nil && !nameOfService(service) {
		look(context.Background())
	} else if err := c.reg.Await(loop.Write, call, look); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, lookupFailed("", "", err)
	}
	var targets []Addr
	for _, ip := range ips {
		targets = append(targets, AddrFrom(netip.AddrPortFrom(ip, port)))
	}
	return targets, nil
}

// addressText is the text of an address that is not looked up: of vsock a
// context id and a port, of the others the host alone.
func addressText(family Family, host, service string) string {
	if family == Vsock && service != "" {
		return host + ":" + service
	}
	return host
}

// opens reports whether a send with these flags connects first.
func (c *core) opens(flags int) bool {
	return flags&unix.MSG_FASTOPEN != 0 && flags&unix.MSG_DONTWAIT == 0 && c.tcp()
}

// A sending is one try to send what is left. It adds to the total.
type sending func(fd int, waited bool) (more bool, errno syscall.Errno)

// opening is the sending of a buffer whose first try connects.
func (c *core) opening(buf []byte, total *int, flags int, to *sockaddr) sending {
	return func(fd int, waited bool) (more bool, errno syscall.Errno) {
		more, errno = c.sendRest(fd, buf, total, flags, to, waited)
		flags &^= unix.MSG_FASTOPEN
		return more, errno
	}
}

// fastOpen is a call that connects by sending size bytes.
func (s *Socket) fastOpen(to Addr, total *int, size int, try sending) error {
	defer runtime.KeepAlive(s)
	c := s.core
	call := loop.Call{Timeout: c.sendTimeout.get(), Context: s.ctx}
	_, err := c.reg.Begin(loop.Write, &call)
	if err == nil {
		var more bool
		more, err = s.openAndSend(&call, to, total, size, try)
		c.reg.End(loop.Write, more)
	}
	return err
}

// openAndSend does so in the turn of a call.
func (s *Socket) openAndSend(call *loop.Call, to Addr, total *int, size int, try sending) (more bool, err error) {
	if err := s.openTo(call, to, total, try); err != nil || *total == size {
		return true, err
	}
	return s.core.attempt(loop.Write, call, true, turn{}, try)
}

// openTo makes the first try of a fast open, and waits for the connection as the
// kernel's blocking call does. What the try sent went with the request to connect:
// nothing, unless the peer has given a cookie before.
func (s *Socket) openTo(call *loop.Call, to Addr, total *int, try sending) error {
	_, errno := try(s.core.reg.FD(), false)
	switch errno {
	case 0, unix.EAGAIN, unix.EINPROGRESS, unix.EALREADY:
	default:
		return errno
	}
	err := s.connectTo(call, to)
	if late, ok := err.(*Error); ok && late.Timeout() {
		late.Errno = errno
	} else if err != nil {
		*total = 0
	}
	return err
}

// connectTo connects to one address. A connect that takes time is finished by
// calling connect(2) again, which says how it went; reading SO_ERROR instead
// would take the error from the call that it belongs to.
func (s *Socket) connectTo(call *loop.Call, to Addr) error {
	c := s.core
	var sa sockaddr
	if err := sa.encode(to); err != nil {
		return badAddr("", "", err)
	}
	shutdowns := c.shutdowns.Load()
	var first syscall.Errno // what the kernel's blocking call says when its time is up
	var retry backoff
	ask := true // how it goes; not where a Shutdown may come before connect(2)
	for {
		errno := unix.EALREADY
		if ask {
			errno = connect(c.reg.FD(), &sa)
		}
		ask = true
		var err error
		switch {
		case errno == 0,
			errno == unix.EISCONN && first != 0 && c.family != Unix: // Shutdown has finished it
			c.remote.set(to)
			return nil
		case errno == unix.EINPROGRESS, errno == unix.EALREADY && c.family != Unix:
			err = c.reg.Wait(loop.Write, call)
		case errno == unix.EAGAIN && c.family == Unix:
			// A full backlog is not pollable.
			err = retry.pause(&c.reg, loop.Write, call)
		default:
			return errno
		}
		if first == 0 {
			first = errno
		}
		if err == loop.ErrTimeout {
			if call.Timeout == loop.NoWait { // nor would the kernel look again
				return &Error{Errno: first, Err: err}
			}
			switch errno := connect(c.reg.FD(), &sa); errno {
			case 0: // at the last moment
				c.remote.set(to)
				return nil
			case unix.EALREADY, unix.EINPROGRESS, unix.EAGAIN:
				return &Error{Errno: first, Err: err}
			default: // asking has taken the failure from the socket
				return errno
			}
		}
		if err != nil {
			return err
		}
		if c.shutdowns.Load() != shutdowns && c.family != Unix {
			// Shutdown has ended it, and another connect(2) would begin anew;
			// unless it came just after the connection did.
			if _, errno := sockname(unix.SYS_GETPEERNAME, c.reg.FD()); errno == 0 {
				c.remote.set(to)
				return nil
			}
			if errno := pending(c.reg.FD(), 0); errno != 0 || !connecting(c.reg.FD()) {
				return cmp.Or(errno, unix.ECONNABORTED)
			}
			ask = false // it has not come to it yet, and will have us look
		}
	}
}

// connecting reports whether a connection over TCP is being made.
func connecting(fd int) bool {
	const synSent = 2 // include/net/tcp_states.h
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.State == synSent
}
