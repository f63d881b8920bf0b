package socket

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// Accept takes the next connection of a listening socket: accept(2). It waits
// for one, within the receive timeout (EAGAIN). The new socket has the family,
// type, protocol, group, MaxString and MaxLine of the listening one; an inet or
// inet6 socket inherits its timeouts and SO_RCVLOWAT too. It has no context
// (WithContext). Its remote address is the peer's. A socket that does not
// listen, or was shut down, gives EINVAL. On EMFILE and ENFILE the connection
// stays in the queue, and the caller should pause before it calls again; Accept
// has already collected the sockets that the program has forgotten.
func (s *Socket) Accept() (*Socket, error) {
	const op = "accept"
	c := s.core
	var from sockaddr
	fd := -1
	err := s.wait(loop.Read, c.recvTimeout.get(), func(listener int) (bool, syscall.Errno) {
		return true, withDescriptor(func() (errno syscall.Errno) {
			fd, errno = sys.Accept(listener, (*sys.Sockaddr)(&from))
			return errno
		})
	})
	if err == nil && fd < 0 {
		err = unix.EINVAL // shut down
	}
	if err != nil {
		return nil, fail(op, "", err)
	}
	child := &core{group: c.group, family: c.family, typ: c.typ}
	if c.family == Inet || c.family == Inet6 { // as in the kernel
		child.recvTimeout.inherit(&c.recvTimeout)
		child.sendTimeout.inherit(&c.sendTimeout)
		child.lowWater.Store(c.lowWater.Load())
	}
	child.inheritInput(c)
	child.remote.set(from.decode())
	return adopt(op, fd, child)
}

// Connect connects the socket: connect(2). For inet and inet6, host is an
// address or a name, and service is a port number, a name of services(5), or
// empty for port 0. Connect tries the addresses of a name in turn. For unix,
// host is the path, or an abstract name after an "@", and service is ignored.
// For the other families, host is an address as ParseAddr reads it; for vsock
// it may also be the context id, with the port as service.
//
// The look-up and all tries together take the send timeout at most. Then
// Connect returns EINPROGRESS, and the kernel goes on connecting: another
// Connect waits for that (EALREADY if its time is up as well), or says EISCONN.
// ConnectStart does not wait.
func (s *Socket) Connect(host, service string) error {
	return s.connecting(s.core.destination(host, service), s.core.sendTimeout.get(), func(call *loop.Call) error {
		targets, err := s.targets(call, host, service)
		if err != nil {
			return err
		}
		for _, to := range targets {
			// Another address may help if this one does not answer. It cannot
			// help if the time is up or the socket cannot be used.
			if err = s.connectTo(call, to); err == nil || !elsewhere(err) {
				break
			}
		}
		return err
	})
}

// destination returns a host and service as an error shows them.
func (c *core) destination(host, service string) string {
	if service != "" && c.family != Unix {
		return net.JoinHostPort(host, service)
	}
	return host
}

// ConnectAddr connects the socket to an address, as Connect does, without a
// look-up.
func (s *Socket) ConnectAddr(to Addr) error {
	return s.connecting(to.String(), s.core.sendTimeout.get(), func(call *loop.Call) error { return s.connectTo(call, to) })
}

// connecting calls connect with the turn to write.
func (s *Socket) connecting(what string, timeout time.Duration, connect func(*loop.Call) error) error {
	defer runtime.KeepAlive(s)
	call := loop.Call{Timeout: timeout, Context: s.ctx}
	_, err := s.core.reg.Begin(loop.Write, &call)
	if err == nil {
		err = connect(&call)
		s.core.reg.End(loop.Write, true)
		s.core.reg.Doubt() // a disconnect empties the queue
	}
	if err == nil {
		return nil
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

// targets returns the addresses of a host and service. Only names need the
// resolver, which runs on a goroutine of its own, so that a timeout, an
// interruption or Close can end the call that waits for it.
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

// addressText returns the text of an address that is not looked up: the host,
// and for vsock the context id and the port.
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

// A sending makes one try to send what is left, and adds to the total.
type sending func(fd int, waited bool) (more bool, errno syscall.Errno)

// opening returns the sending of a buffer whose first try connects.
func (c *core) opening(buf []byte, total *int, flags int, to *sockaddr) sending {
	return func(fd int, waited bool) (more bool, errno syscall.Errno) {
		more, errno = c.sendRest(fd, buf, total, flags, to, waited)
		flags &^= unix.MSG_FASTOPEN
		return more, errno
	}
}

// fastOpen connects by sending size bytes.
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

// openAndSend is fastOpen for a call that has the turn.
func (s *Socket) openAndSend(call *loop.Call, to Addr, total *int, size int, try sending) (more bool, err error) {
	if err := s.openTo(call, to, total, try); err != nil || *total == size {
		return true, err
	}
	return s.core.attempt(loop.Write, call, true, turn{}, try)
}

// openTo makes the first try of a fast open, and waits for the connection as
// the kernel's blocking call does. If the peer has given a cookie before, the
// try sends data with the request to connect; otherwise it sends none.
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
// calling connect(2) again, which says how it went. Reading SO_ERROR instead would
// take the error from the call that it belongs to.
func (s *Socket) connectTo(call *loop.Call, to Addr) error {
	c := s.core
	var sa sockaddr
	if err := sa.encode(to); err != nil {
		return badAddr("", "", err)
	}
	sign := readiness
	if c.family == Unix {
		sign = patience // a listener with a full backlog reports no event
	}
	shutdowns := c.shutdowns.Load()
	var first syscall.Errno // of the first connect(2): what the kernel says when the time is up
	_, err := c.attempt(loop.Write, call, true, turn{sign: sign}, func(fd int, waited bool) (bool, syscall.Errno) {
		switch {
		case waited && call.Timeout == loop.NoWait: // the kernel would not look again either
			return true, unix.EAGAIN
		case waited && c.family != Unix && c.shutdowns.Load() != shutdowns:
			return true, afterShutdown(fd)
		}
		errno := sys.Connect(fd, (*sys.Sockaddr)(&sa))
		switch {
		case errno == unix.EISCONN && first != 0 && c.family != Unix: // a Shutdown has finished it
			errno = 0
		case errno == unix.EINPROGRESS, errno == unix.EALREADY && c.family != Unix, errno == unix.EAGAIN && c.family == Unix:
			first = cmp.Or(first, errno)
			errno = unix.EAGAIN
		}
		return true, errno
	})
	switch err {
	case nil:
		c.connected(to)
		return nil
	case loop.ErrTimeout:
		return &Error{Errno: first, Err: err}
	}
	return err
}

// afterShutdown says what has become of a connect during which the socket was
// shut down. Another connect(2) would begin a new connection. EAGAIN means that the
// Shutdown has not taken effect yet, and that another event will come.
func afterShutdown(fd int) syscall.Errno {
	if _, errno := peerAddr(fd); errno == 0 {
		return 0 // the connection came just before
	}
	if errno := pending(fd, 0); errno != 0 || !connecting(fd) {
		return cmp.Or(errno, unix.ECONNABORTED)
	}
	return unix.EAGAIN
}

// connected notes that a connect has succeeded. The end of a connection before
// this one no longer counts.
func (c *core) connected(to Addr) {
	c.remote.set(to)
	c.atEnd.Store(false)
}

// connecting reports whether a connection over TCP is being made.
func connecting(fd int) bool {
	const synSent = 2 // include/net/tcp_states.h
	info, err := sys.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.State == synSent
}
