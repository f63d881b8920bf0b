package net

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// Dial connects to an address: net.Dial over Weir sockets. The networks are
// "tcp", "udp", each also with a 4 or 6 behind, "unix", "unixgram" and
// "unixpacket". The result is a *NetConn, or for datagrams a *PacketConn.
func Dial(network, address string) (net.Conn, error) {
	return new(Dialer).Dial(network, address)
}

// DialTimeout is Dial that takes so long at most, the look-up of the name
// included; 0 is no bound. Its error then says Timeout.
func DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	return (&Dialer{Timeout: timeout}).Dial(network, address)
}

// A Dialer says more about how to connect. Its fields are those of net.Dialer
// with their meanings, and one more; the zero one is that of Dial. It may be used
// by several goroutines.
//
// The addresses of a TCP host are tried by RFC 8305, Happy Eyeballs Version 2:
// the two families are looked up at once, and their addresses tried in turn, an
// IPv6 one first. Each has a head start (FallbackDelay) before the next one,
// which is over when it fails. The first that connects wins, and the rest are
// closed before Dial returns. When none does, the error's address is the first
// one's, and its text names all of them.
type Dialer struct {
	// Timeout bounds the time of a Dial, the look-up included; 0 is no bound.
	Timeout time.Duration
	// Deadline is when a Dial fails at the latest; the zero time is none.
	Deadline time.Time
	// LocalAddr is the address to connect from: a *net.TCPAddr, *net.UDPAddr or
	// *net.UnixAddr as the network has it. If nil, the kernel chooses.
	LocalAddr net.Addr
	// FallbackDelay is the head start: 0 is 250 ms, and less than 10 ms is 10 ms.
	// If negative, the addresses are tried one after the other, each until it
	// fails or all the time is up.
	FallbackDelay time.Duration
	// KeepAlive is after which idle time the connection is probed: 0 is 15
	// seconds, negative is never. KeepAliveConfig, if enabled, says it instead.
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig
	// Resolver looks names up; nil is net.DefaultResolver.
	Resolver *net.Resolver
	// Control, if not nil, is called with each new socket before it connects, or
	// is bound. ControlContext, if not nil, is called instead, with the context
	// given to DialContext.
	Control        func(network, address string, c syscall.RawConn) error
	ControlContext func(ctx context.Context, network, address string, c syscall.RawConn) error
	// Group is the loops that the sockets are on; nil is the default group.
	Group *loop.Group
}

// Dial connects, as the function of that name does.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects, as the function Dial does, until the context is done.
// Once connected, the context does not matter any more.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	s, err := d.DialSocket(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if s.Type() == socket.Dgram {
		return packetConn(s, network), nil
	}
	return netConn(s, network), nil
}

// DialSocket is DialContext for programs that use the socket itself.
func (d *Dialer) DialSocket(ctx context.Context, network, address string) (*socket.Socket, error) {
	if ctx == nil {
		return nil, d.failed(network, nil, errNilContext)
	}
	t, err := parseNetwork(network)
	if err != nil {
		return nil, d.failed(network, nil, err)
	}
	if !t.fits(d.LocalAddr) {
		return nil, d.failed(network, nil, &net.AddrError{Err: "mismatched local address type", Addr: d.LocalAddr.String()})
	}
	a := &dial{Dialer: d, transport: t, given: ctx}
	a.ctx, a.cancel = ctx, func() {}
	if end := d.end(); !end.IsZero() {
		a.ctx, a.cancel = context.WithDeadline(ctx, end)
	}
	defer a.cancel()
	return a.run(address)
}

// end is the earlier of the Dialer's time bounds.
func (d *Dialer) end() time.Time {
	end := d.Deadline
	if d.Timeout != 0 {
		if timeout := time.Now().Add(d.Timeout); end.IsZero() || timeout.Before(end) {
			end = timeout
		}
	}
	return end
}

func (d *Dialer) resolver() *net.Resolver { return cmp.Or(d.Resolver, net.DefaultResolver) }

func (d *Dialer) failed(network string, to net.Addr, err error) error {
	return &net.OpError{Op: "dial", Net: network, Source: d.LocalAddr, Addr: to, Err: err}
}

// fits reports whether a local address is one of the network's.
func (t transport) fits(local net.Addr) bool {
	switch {
	case local == nil:
		return true
	case t.unix:
		return local.Network() == t.network
	}
	return local.Network() == strings.TrimRight(t.network, "46")
}

// A dial is one call of a Dialer's.
type dial struct {
	*Dialer
	transport
	given  context.Context // by the caller
	ctx    context.Context // the same with the Dialer's time bound
	cancel func()
}

func (d *dial) run(address string) (*socket.Socket, error) {
	if d.unix {
		if address == "" {
			return nil, d.failed(d.network, nil, &net.AddrError{Err: "missing address", Addr: address})
		}
		return d.inTurn([]socket.Addr{socket.UnixAddr(address)})
	}
	host, port, err := d.split(d.ctx, d.resolver(), address)
	if err != nil {
		return nil, d.failed(d.network, nil, err)
	}
	ip, ok, err := d.literal(host)
	if err != nil {
		return nil, d.failed(d.network, nil, err)
	}
	if host == "" || ok && ip.IsUnspecified() {
		ip, ok = d.loopback(), true
	}
	switch {
	case ok:
		return d.inTurn(d.usable([]netip.Addr{ip}, port))
	case d.tcp():
		return d.race(host, port)
	}
	ips, err := d.resolver().LookupNetIP(d.ctx, "ip"+d.suffix(), host)
	if err != nil {
		return nil, d.failed(d.network, nil, err)
	}
	return d.inTurn(d.usable(unmapped(ips), port))
}

// loopback is what no host stands for: the local system.
func (d *dial) loopback() netip.Addr {
	if d.only == socket.Inet6 {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// usable is those of the addresses that can be reached from LocalAddr.
func (d *dial) usable(ips []netip.Addr, port uint16) (to []socket.Addr) {
	from := d.from().Addr().Unmap()
	for _, ip := range ips {
		if !from.IsValid() || from.IsUnspecified() || from.Is4() == ip.Is4() {
			to = append(to, socket.AddrFrom(netip.AddrPortFrom(ip, port)))
		}
	}
	return to
}

// from is LocalAddr, if it is an IP address.
func (d *dial) from() netip.AddrPort {
	if a, ok := d.LocalAddr.(interface{ AddrPort() netip.AddrPort }); ok {
		return a.AddrPort()
	}
	return netip.AddrPort{}
}

// inTurn tries addresses one after the other.
func (d *dial) inTurn(addrs []socket.Addr) (*socket.Socket, error) {
	var failures dialErrors
	for _, to := range addrs {
		s, err := d.connect(d.ctx, to)
		if err == nil {
			return s, nil
		}
		failures.add(d.netAddr(to), err)
	}
	return nil, d.all(failures)
}

// selfConnects is how many connections to itself a dial takes for bad luck.
const selfConnects = 3

// connect connects to one address.
func (d *dial) connect(ctx context.Context, to socket.Addr) (*socket.Socket, error) {
	for range selfConnects {
		s, err := d.connectOnce(ctx, to)
		if err != nil {
			return nil, d.cause(err)
		}
		// A port on which nobody listens may be chosen for the connecting side,
		// and then TCP connects the socket with itself.
		if !d.tcp() || d.from().Port() != 0 || s.LocalAddr() != s.RemoteAddr() {
			return s, nil
		}
		_ = s.SetLinger(0) // or the port would be taken for a minute
		s.Close()
	}
	return nil, d.cause(&socket.Error{Op: "connect", Errno: unix.ECONNREFUSED})
}

func (d *dial) connectOnce(ctx context.Context, to socket.Addr) (*socket.Socket, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	cfg := socket.Config{Group: d.Group, Prepare: func(fd int) error { return d.prepare(fd, to) }}
	if d.LocalAddr != nil {
		local, err := socketAddr(to.Family(), d.LocalAddr)
		if err != nil {
			return nil, err
		}
		cfg.Bind = local
	}
	s, err := cfg.New(to.Family(), d.typ, 0)
	if err != nil {
		return nil, err
	}
	view := s
	if ctx.Done() != nil {
		view = s.WithContext(ctx)
	}
	if err := view.ConnectAddr(to); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (d *dial) prepare(fd int, to socket.Addr) error {
	if err := prepare(fd, d.transport, to.Family(), d.only == 0); err != nil {
		return err
	}
	if d.tcp() {
		if err := prepareTCP(fd, d.KeepAlive, d.KeepAliveConfig); err != nil {
			return err
		}
	}
	switch network := controlNetwork(d.transport, to.Family()); {
	case d.ControlContext != nil:
		return d.ControlContext(d.given, network, to.String(), bareConn(fd))
	case d.Control != nil:
		return d.Control(network, to.String(), bareConn(fd))
	}
	return nil
}

// cause is why an address failed, in net's words: in particular, that the
// context ended it.
func (d *dial) cause(err error) error {
	if d.ctx.Err() != nil && errors.Is(err, context.Cause(d.ctx)) {
		return d.ended()
	}
	return netCause(err)
}

// ended is the error of an address that the context left no time for.
func (d *dial) ended() error {
	return &dialEnded{context.Cause(d.ctx), d.ctx.Err() == context.DeadlineExceeded}
}

// all is the error of all the failures.
func (d *dial) all(f dialErrors) error {
	switch len(f.causes) {
	case 0:
		return d.failed(d.network, nil, &net.AddrError{Err: "no address suits the local one", Addr: fmt.Sprint(d.LocalAddr)})
	case 1:
		return d.failed(d.network, f.addrs[0], f.causes[0])
	}
	return d.failed(d.network, f.addrs[0], &f)
}
