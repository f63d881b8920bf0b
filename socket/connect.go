package socket

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// Accept takes the next connection of a listening socket: accept(2). It waits
// for one, within the receive timeout. The new socket has mostly the properties
// of the listening one; an inet or inet6 one inherits its timeouts. A socket
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
	if err != nil {
		return nil, fail(op, "", err)
	}
	child := &core{group: c.group, family: c.family, typ: c.typ, proto: c.proto}
	if c.family != Unix { // as the kernel has it
		child.recvTimeout.set(c.recvTimeout.get())
		child.sendTimeout.set(c.sendTimeout.get())
		child.lowWater.Store(c.lowWater.Load())
	}
	child.inheritInput(c)
	remote := from.decode()
	child.remote.Store(&remote)
	return adopt(op, fd, child)
}

// Connect connects the socket: connect(2). For inet and inet6, host is an
// address or a name, and service a port number, a name of services(5), or
// nothing for port 0. A name's addresses are tried in turn. For unix, host is
// the path, or an abstract name after an "@", and service is not used. The
// look-up and all tries together take the send timeout at most; then Connect
// returns EINPROGRESS, and the connection may still come about: calling again
// waits on (EALREADY), or says EISCONN.
func (s *Socket) Connect(host, service string) error {
	what := host
	if service != "" && s.core.family != Unix {
		what = net.JoinHostPort(host, service)
	}
	return s.connecting(what, func(call *loop.Call) error {
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

// ConnectAddr connects the socket to an address, as Connect does.
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
	var done *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &done):
		done.Op, done.Addr = "connect", what
		return done
	case errors.Is(err, loop.ErrTimeout):
		return &Error{Op: "connect", Addr: what, Errno: unix.EINPROGRESS, Err: err}
	}
	return fail("connect", what, err)
}

// elsewhere reports whether another address of the same name may do better.
func elsewhere(err error) bool {
	for _, errno := range []syscall.Errno{
		unix.ECONNREFUSED, unix.ECONNRESET, unix.ETIMEDOUT, unix.ENETUNREACH,
		unix.EHOSTUNREACH, unix.EADDRNOTAVAIL, unix.EACCES, unix.EPERM,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// targets finds what a host and service stand for. Only names need the
// resolver, which has a goroutine of its own: the call that waits for it can be
// timed out, interrupted and closed like any other.
func (s *Socket) targets(call *loop.Call, host, service string) ([]Addr, error) {
	c := s.core
	switch c.family {
	case Unix:
		return []Addr{UnixAddr(host)}, nil
	case Inet, Inet6:
	default:
		return nil, &Error{Errno: unix.EAFNOSUPPORT, Err: errors.New("Connect knows inet, inet6 and unix addresses")}
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

// A unix stream socket whose listener has a full backlog is not pollable: it
// is asked again, at growing intervals.
const (
	firstRetry = time.Millisecond
	lastRetry  = 16 * time.Millisecond
)

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
	retry := firstRetry
	for {
		errno := connect(c.reg.FD(), &sa)
		var err error
		switch {
		case errno == 0:
			c.remote.Store(&to)
			return nil
		case errno == unix.EINPROGRESS, errno == unix.EALREADY && c.family != Unix:
			err = c.reg.Wait(loop.Write, call)
		case errno == unix.EAGAIN && c.family == Unix:
			err = c.reg.Pause(loop.Write, call, retry)
			retry = min(2*retry, lastRetry)
		default:
			return errno
		}
		if first == 0 {
			first = errno
		}
		if err == loop.ErrTimeout {
			if connect(c.reg.FD(), &sa) == 0 { // at the last moment
				c.remote.Store(&to)
				return nil
			}
			return &Error{Errno: first, Err: err}
		}
		if err != nil {
			return err
		}
		if c.shutdowns.Load() != shutdowns {
			// Another connect(2) would begin anew.
			return c.broken()
		}
	}
}

// broken is the error of a connect that Shutdown has ended.
func (c *core) broken() error {
	if errno, err := unix.GetsockoptInt(c.reg.FD(), unix.SOL_SOCKET, unix.SO_ERROR); err == nil && errno != 0 {
		return syscall.Errno(errno)
	}
	return unix.ECONNABORTED
}
