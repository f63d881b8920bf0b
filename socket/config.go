package socket

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// A Config makes sockets that are not bound to what the kernel chooses, or that
// differ otherwise from what New, Pair, Adopt and Resume make. The zero Config
// makes what these functions make. A field that is wrong, or is for another
// family, is an error of the methods, and nothing was done then. The methods
// only read the Config. It is concurrency-safe.
type Config struct {
	// Group has the loops that the socket, and each socket that it accepts, is
	// put on. Nil means the default group.
	Group *loop.Group

	// Address is the local IP address or host name that the socket is bound to
	// (inet, inet6). Without Port, the kernel chooses the port. The look-up of a
	// name takes 30 seconds at most, and New takes the first of its addresses that
	// can be bound.
	Address string
	// Port is the local port that the socket is bound to (inet, inet6), 1 to
	// 65535; 0 lets the kernel choose. Without Address, the socket is bound to all
	// local addresses. With neither, it is not bound.
	Port int
	// Filename is the path that a unix socket is bound to, and that New creates;
	// or an abstract name after an "@". A path that exists is EADDRINUSE. Close
	// does not remove the path. See unix(7).
	Filename string
	// Bind is the local address that the socket is bound to. It excludes Address,
	// Port and Filename, and is the only way for families other than inet, inet6
	// and unix. The zero Addr means none.
	Bind Addr
	// ReuseAddress sets SO_REUSEADDR before the socket is bound. A server may then
	// be started again while connections of the one before linger. See socket(7).
	ReuseAddress bool

	// MaxString is how many bytes the methods that read ahead ask the kernel for
	// at a time, and so how long a message they can take: 1 to 2^28; 0 means 4096.
	// Accepted sockets inherit it.
	MaxString int
	// MaxLine is how many bytes a line may have that ReadLine reads, the newline
	// not counted: 1 to 2^28; 0 means 2^20. Accepted sockets inherit it.
	MaxLine int

	// GSO makes the kernel split what one call sends on a udp socket into
	// datagrams of this size, 1 to 65535 bytes (UDP_SEGMENT); 0 does not. One call
	// then sends up to 64 datagrams. A Message's Segment does so for one message.
	// See udp(7).
	GSO int
	// GRO lets the kernel join datagrams of one sender and one size that arrive
	// together on a udp socket (UDP_GRO). RecvMsg and RecvBatch then report the
	// size as Segment, and need buffers of 64 KiB. See udp(7).
	GRO bool

	// Prepare, unless it is nil, is called with the new descriptor before it is
	// bound and before anything else can use it. It sets options that must come
	// before bind(2), such as IPV6_V6ONLY. Its error becomes the error of New, as
	// it is. Pair calls it for each of its sockets.
	Prepare func(fd int) error
}

// check returns what is wrong with the Config for a socket of a family.
func (cfg *Config) check(family Family) error {
	isIP := family == Inet || family == Inet6
	bindsIP := cfg.Address != "" || cfg.Port != 0
	switch {
	case cfg.Port < 0 || cfg.Port > 65535:
		return invalid("bind", "port "+strconv.Itoa(cfg.Port), unix.EINVAL, "a port is 0 to 65535")
	case bindsIP && !isIP:
		return invalid("bind", "", unix.EINVAL, fmt.Sprintf("Address and Port are for inet and inet6, not for %v", family))
	case cfg.Bind.IsValid() && (bindsIP || cfg.Filename != ""):
		return invalid("bind", cfg.Bind.String(), unix.EINVAL, "Bind excludes Address, Port and Filename")
	case cfg.Bind.IsValid() && cfg.Bind.Family() != family:
		return invalid("bind", cfg.Bind.String(), unix.EAFNOSUPPORT, fmt.Sprintf("it is not an address of family %v", family))
	case cfg.Filename != "" && family != Unix:
		return invalid("bind", cfg.Filename, unix.EINVAL, fmt.Sprintf("Filename is for unix sockets, not for %v", family))
	case cfg.GSO < 0 || cfg.GSO > 65535:
		return invalid("setsockopt", "UDP_SEGMENT "+strconv.Itoa(cfg.GSO), unix.EINVAL, "a segment has 1 to 65535 bytes")
	}
	for _, size := range []struct {
		name  string
		bytes int
	}{{"MaxString", cfg.MaxString}, {"MaxLine", cfg.MaxLine}} {
		if size.bytes < 0 || size.bytes > greatestSize {
			return invalid("socket", size.name+" "+strconv.Itoa(size.bytes), unix.EINVAL, "a size is 1 to 2^28 bytes, or 0 for the default")
		}
	}
	return nil
}

// binds reports whether the Config names a local address.
func (cfg *Config) binds() bool {
	return cfg.Bind.IsValid() || cfg.Address != "" || cfg.Port != 0 || cfg.Filename != ""
}

// group returns the group that the Config names, or the default one.
func (cfg *Config) group() (*loop.Group, error) {
	if cfg.Group != nil {
		return cfg.Group, nil
	}
	return loop.Default()
}

// resolveTime bounds the look-up of a local host name in New. No timeout of the
// socket can, because the socket does not exist yet.
const resolveTime = 30 * time.Second

// prepare does what must be done before anything else uses the descriptor.
func (cfg *Config) prepare(fd int, family Family) error {
	if cfg.ReuseAddress {
		if err := sys.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return fail("setsockopt", "SO_REUSEADDR", err)
		}
	}
	if err := cfg.offload(fd); err != nil {
		return err
	}
	if cfg.Prepare != nil {
		if err := cfg.Prepare(fd); err != nil {
			return err
		}
	}
	switch {
	case cfg.Bind.IsValid():
		return bindTo(fd, cfg.Bind)
	case cfg.Filename != "":
		return bindTo(fd, UnixAddr(cfg.Filename))
	case cfg.Address != "":
		return cfg.bindHost(fd, family)
	case cfg.Port != 0:
		any := netip.IPv4Unspecified()
		if family == Inet6 {
			any = netip.IPv6Unspecified()
		}
		return bindTo(fd, AddrFrom(netip.AddrPortFrom(any, uint16(cfg.Port))))
	}
	return nil
}

// offload sets UDP_SEGMENT and UDP_GRO.
func (cfg *Config) offload(fd int) error {
	set := func(name string, number, value int) error {
		if err := sys.SetsockoptInt(fd, unix.IPPROTO_UDP, number, value); err != nil {
			return fail("setsockopt", name, err)
		}
		return nil
	}
	if cfg.GSO != 0 {
		if err := set("UDP_SEGMENT", unix.UDP_SEGMENT, cfg.GSO); err != nil {
			return err
		}
	}
	if cfg.GRO {
		return set("UDP_GRO", unix.UDP_GRO, 1)
	}
	return nil
}

// bindHost binds to the first address of Address that can be bound.
func (cfg *Config) bindHost(fd int, family Family) error {
	ctx, cancel := context.WithTimeout(context.Background(), resolveTime)
	defer cancel()
	addrs, err := lookupIP(ctx, family, cfg.Address)
	if err != nil {
		return lookupFailed("bind", cfg.Address, err)
	}
	var first error
	for _, ip := range addrs {
		err := bindTo(fd, AddrFrom(netip.AddrPortFrom(ip, uint16(cfg.Port))))
		if err == nil {
			return nil
		}
		first = cmp.Or(first, err)
	}
	return first
}

// unbind removes the path that prepare has made.
func (cfg *Config) unbind() {
	path := cfg.Bind.Path()
	if cfg.Filename != "" {
		path = UnixAddr(cfg.Filename).Path()
	}
	if path != "" {
		_ = unix.Unlink(path) // another process may have removed it
	}
}

func bindTo(fd int, a Addr) error {
	var sa sockaddr
	if err := sa.encode(a); err != nil {
		return badAddr("bind", a.String(), err)
	}
	if errno := sys.Bind(fd, (*sys.Sockaddr)(&sa)); errno != 0 {
		return fail("bind", a.String(), errno)
	}
	return nil
}
