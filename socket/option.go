package socket

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// An Option says more about the socket that New makes, or Adopt takes over. A
// wrong one is an error of theirs, and nothing was done.
type Option func(*options) error

type options struct {
	group        *loop.Group
	address      string
	port         int
	bindIP       bool
	filename     string
	bindPath     bool
	bind         Addr
	reuseAddress bool
	maxString    int32
	maxLine      int32
	segment      int
	gro          bool
	preparations []func(fd int) error
}

// Address binds the socket to a local IP address or host name (inet, inet6).
// Without Port the kernel chooses the port. The look-up of a name takes 30
// seconds at most, and the first address of it that can be bound is taken.
func Address(host string) Option {
	return func(o *options) error {
		o.address, o.bindIP = host, true
		return nil
	}
}

// Port binds the socket to a local port, 0 to 65535; 0 lets the kernel choose.
// Without Address it is the port of all local addresses.
func Port(port int) Option {
	return func(o *options) error {
		if port < 0 || port > 65535 {
			return invalid("bind", "port "+strconv.Itoa(port), unix.EINVAL, "a port is 0 to 65535")
		}
		o.port, o.bindIP = port, true
		return nil
	}
}

// Filename binds a unix socket to a path, creating it, or to an abstract name
// after an "@". A path that exists is EADDRINUSE; Close does not remove it. See
// unix(7).
func Filename(path string) Option {
	return func(o *options) error {
		if path == "" {
			return invalid("bind", `""`, unix.EINVAL, "a file name is needed")
		}
		o.filename, o.bindPath = path, true
		return nil
	}
}

// Bind binds the socket to a local address of its family: what Address, Port
// and Filename do for inet, inet6 and unix, and the only way for the others.
func Bind(a Addr) Option {
	return func(o *options) error {
		if !a.IsValid() {
			return invalid("bind", "", unix.EINVAL, "an address is needed")
		}
		o.bind = a
		return nil
	}
}

// ReuseAddress sets SO_REUSEADDR before the bind: a server may then be
// started again while connections of the last one linger. See socket(7).
func ReuseAddress() Option {
	return func(o *options) error { o.reuseAddress = true; return nil }
}

// Prepare has f called with the new descriptor before it is bound and before
// anybody else knows it: for options that come before bind(2), such as
// IPV6_V6ONLY. Its error is the error of New, as it is. Several are called in
// their order.
func Prepare(f func(fd int) error) Option {
	return func(o *options) error {
		if f == nil {
			return invalid("socket", "", unix.EINVAL, "the preparation is nil")
		}
		o.preparations = append(o.preparations, f)
		return nil
	}
}

// MaxString sets how many bytes the methods that read ahead ask the kernel for
// at a time, and so how long a message they can take: 4096 without it. Sockets
// that Accept returns have the same. It may be 1 to 2^28.
func MaxString(bytes int) Option {
	return sizeOption("MaxString", bytes, func(o *options) *int32 { return &o.maxString })
}

// MaxLine sets how many bytes a line may have that ReadLine reads, the newline
// not counted: 2^20 without it. Sockets that Accept returns have the same. It
// may be 1 to 2^28.
func MaxLine(bytes int) Option {
	return sizeOption("MaxLine", bytes, func(o *options) *int32 { return &o.maxLine })
}

func sizeOption(name string, bytes int, field func(*options) *int32) Option {
	return func(o *options) error {
		if bytes < 1 || bytes > greatestSize {
			return invalid("socket", name+" "+strconv.Itoa(bytes), unix.EINVAL, "a size is 1 to 2^28 bytes")
		}
		*field(o) = int32(bytes)
		return nil
	}
}

// Group puts the socket, and those that it accepts, on the loops of g instead
// of the default group's.
func Group(g *loop.Group) Option {
	return func(o *options) error {
		if g == nil {
			return invalid("socket", "", unix.EINVAL, "the group is nil")
		}
		o.group = g
		return nil
	}
}

func collect(family Family, opts []Option) (*options, error) {
	o := &options{}
	for _, opt := range opts {
		if opt == nil {
			return nil, invalid("socket", "", unix.EINVAL, "an option is nil")
		}
		if err := opt(o); err != nil {
			return nil, err
		}
	}
	isIP := family == Inet || family == Inet6
	switch {
	case o.bindIP && !isIP:
		return nil, invalid("bind", "", unix.EINVAL, fmt.Sprintf("Address and Port are for inet and inet6, not for %v", family))
	case o.bind.IsValid() && (o.bindIP || o.bindPath):
		return nil, invalid("bind", o.bind.String(), unix.EINVAL, "Bind excludes Address, Port and Filename")
	case o.bind.IsValid() && o.bind.Family() != family:
		return nil, invalid("bind", o.bind.String(), unix.EAFNOSUPPORT, fmt.Sprintf("it is not an address of family %v", family))
	case o.bindPath && family != Unix:
		return nil, invalid("bind", o.filename, unix.EINVAL, fmt.Sprintf("Filename is for unix sockets, not for %v", family))
	}
	return o, nil
}

func (o *options) home() (*loop.Group, error) {
	if o.group != nil {
		return o.group, nil
	}
	return loop.Default()
}

// resolveTime bounds the look-up of a local host name in New, which no
// timeout of the socket can, for it is not made yet.
const resolveTime = 30 * time.Second

// prepare does what must be done before anybody uses the descriptor.
func (o *options) prepare(fd int, family Family) error {
	if o.reuseAddress {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return fail("setsockopt", "SO_REUSEADDR", err)
		}
	}
	if err := o.offload(fd); err != nil {
		return err
	}
	for _, f := range o.preparations {
		if err := f(fd); err != nil {
			return err
		}
	}
	switch {
	case o.bind.IsValid():
		return bindTo(fd, o.bind)
	case o.bindPath:
		return bindTo(fd, UnixAddr(o.filename))
	case !o.bindIP:
		return nil
	case o.address == "":
		any := netip.IPv4Unspecified()
		if family == Inet6 {
			any = netip.IPv6Unspecified()
		}
		return bindTo(fd, AddrFrom(netip.AddrPortFrom(any, uint16(o.port))))
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTime)
	defer cancel()
	addrs, err := lookupIP(ctx, family, o.address)
	if err != nil {
		return lookupFailed("bind", o.address, err)
	}
	var first error
	for _, ip := range addrs {
		err := bindTo(fd, AddrFrom(netip.AddrPortFrom(ip, uint16(o.port))))
		if err == nil {
			return nil
		}
		first = cmp.Or(first, err)
	}
	return first
}

// unbind removes the path that prepare has made.
func (o *options) unbind() {
	path := o.filename
	if o.bind.Family() == Unix {
		path = o.bind.Host()
	}
	if path != "" && path[0] != '@' { // an abstract name goes with the socket
		_ = unix.Unlink(path) // somebody else may have
	}
}

func bindTo(fd int, a Addr) error {
	var sa sockaddr
	if err := sa.encode(a); err != nil {
		return badAddr("bind", a.String(), err)
	}
	if errno := bind(fd, &sa); errno != 0 {
		return fail("bind", a.String(), errno)
	}
	return nil
}
