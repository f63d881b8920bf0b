package socket

import (
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// Adopt makes a Socket, on the default group, of a descriptor that already
// exists: one that was inherited, or received in a message. The Socket owns the
// descriptor from then on. Adopt makes it non-blocking and close-on-exec; a
// duplicate of it elsewhere becomes non-blocking too. Family, type, protocol and
// timeouts are what the kernel says. A descriptor that is no socket is ENOTSOCK.
// When Adopt fails, the descriptor is still the caller's, and is as it was.
func Adopt(fd int) (*Socket, error) { return Config{}.Adopt(fd) }

// Adopt makes a Socket as the function Adopt does. The fields of the Config mean
// what they mean for New.
func (cfg Config) Adopt(fd int) (*Socket, error) {
	const op = "adopt"
	c, err := cfg.examine(op, fd)
	if err != nil {
		return nil, err
	}
	status, err := sys.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, fail(op, "", err)
	}
	flags, err := sys.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		return nil, fail(op, "", err)
	}
	s, err := c.takeOver(fd, status, flags, &cfg)
	if err != nil {
		// Nothing else can be done if this fails as well.
		_, _ = sys.FcntlInt(uintptr(fd), unix.F_SETFL, status)
		_, _ = sys.FcntlInt(uintptr(fd), unix.F_SETFD, flags)
		return nil, err
	}
	return s, nil
}

// examine makes the core of a socket that already exists.
func (cfg *Config) examine(op string, fd int) (*core, error) {
	c, err := probe(fd)
	if err != nil {
		return nil, fail(op, "", err)
	}
	if err := cfg.check(c.family); err != nil {
		return nil, err
	}
	if c.group, err = cfg.group(); err != nil {
		return nil, fail(op, "", err)
	}
	c.sizeInput(int32(cfg.MaxString), int32(cfg.MaxLine))
	return c, nil
}

func (c *core) takeOver(fd, status, flags int, cfg *Config) (*Socket, error) {
	const op = "adopt"
	if _, err := sys.FcntlInt(uintptr(fd), unix.F_SETFL, status|unix.O_NONBLOCK); err != nil {
		return nil, fail(op, "", err)
	}
	if _, err := sys.FcntlInt(uintptr(fd), unix.F_SETFD, flags|unix.FD_CLOEXEC); err != nil {
		return nil, fail(op, "", err)
	}
	if err := cfg.prepare(fd, c.family); err != nil {
		return nil, err
	}
	c.reg.Share() // another process may have the open file too
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
	} {
		v, err := sys.GetsockoptInt(fd, unix.SOL_SOCKET, fact.option)
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
		tv, err := sys.GetsockoptTimeval(fd, unix.SOL_SOCKET, t.option)
		if err != nil {
			return nil, err
		}
		t.to.set(time.Duration(tv.Nano()))
	}
	return c, nil
}
