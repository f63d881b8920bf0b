package socket

import (
	"time"

	"golang.org/x/sys/unix"
)

// Adopt makes a Socket of a descriptor that already exists: one inherited, or
// received in a message. The Socket owns the descriptor from then on, and has
// made it non-blocking and close-on-exec; a duplicate of it elsewhere becomes
// non-blocking too. Family, type, protocol and timeouts are what the kernel
// says. The options are those of New. A descriptor that is no socket is
// ENOTSOCK; when Adopt fails, the descriptor is still the caller's, and as it
// was.
func Adopt(fd int, opts ...Option) (*Socket, error) {
	const op = "adopt"
	c, o, err := examine(op, fd, opts)
	if err != nil {
		return nil, err
	}
	status, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, fail(op, "", err)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		return nil, fail(op, "", err)
	}
	s, err := c.takeOver(fd, status, flags, o)
	if err != nil {
		// Nothing else can be done if this fails as well.
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFL, status)
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags)
		return nil, err
	}
	return s, nil
}

// examine makes the core of a socket that already exists.
func examine(op string, fd int, opts []Option) (*core, *options, error) {
	c, err := probe(fd)
	if err != nil {
		return nil, nil, fail(op, "", err)
	}
	o, err := collect(c.family, opts)
	if err != nil {
		return nil, nil, err
	}
	if c.group, err = o.home(); err != nil {
		return nil, nil, fail(op, "", err)
	}
	c.sizeInput(o.maxString, o.maxLine)
	return c, o, nil
}

func (c *core) takeOver(fd, status, flags int, o *options) (*Socket, error) {
	const op = "adopt"
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, status|unix.O_NONBLOCK); err != nil {
		return nil, fail(op, "", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags|unix.FD_CLOEXEC); err != nil {
		return nil, fail(op, "", err)
	}
	if err := o.prepare(fd, c.family); err != nil {
		return nil, err
	}
	c.reg.Share() // with who else may have the open file
	s, err := attach(fd, c)
	if err != nil {
		return nil, fail(op, "", err)
	}
	return s, nil
}

// probe asks the kernel what a socket is.
func probe(fd int) (*core, error) {
	c := &core{}
	for _, fact := range []struct {
		option int
		set    func(int)
	}{
		{unix.SO_DOMAIN, func(v int) { c.family = Family(v) }},
		{unix.SO_TYPE, func(v int) { c.typ = Type(v) }},
		{unix.SO_PROTOCOL, func(v int) { c.proto = Protocol(v) }},
	} {
		v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, fact.option)
		if err != nil {
			return nil, err
		}
		fact.set(v)
	}
	if err := c.learnLowWater(fd); err != nil {
		return nil, err
	}
	for _, t := range []struct {
		option int
		to     *timeout
	}{
		{unix.SO_RCVTIMEO, &c.recvTimeout},
		{unix.SO_SNDTIMEO, &c.sendTimeout},
	} {
		tv, err := unix.GetsockoptTimeval(fd, unix.SOL_SOCKET, t.option)
		if err != nil {
			return nil, err
		}
		t.to.set(time.Duration(tv.Nano()))
	}
	return c, nil
}
