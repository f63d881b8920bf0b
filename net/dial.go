package net

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// Dial is net.Dial over Weir sockets. The connection is a *TCPConn, *UDPConn,
// *UnixConn or *IPConn.
func Dial(network, address string) (net.Conn, error) {
	return new(Dialer).Dial(network, address)
}

// DialTimeout is net.DialTimeout over Weir sockets.
func DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	return (&Dialer{Timeout: timeout}).Dial(network, address)
}

// A Dialer is net.Dialer over Weir sockets, with one additional field. The zero Dialer
// dials as the function Dial does. It is concurrency-safe, as long as no field changes.
//
// For a TCP host it follows RFC 8305, Happy Eyeballs Version 2, where net follows RFC
// 6555. It looks up both families at once, and tries the addresses of the families in
// turn, an IPv6 address first. It starts the next attempt when the last one has failed or
// has run for FallbackDelay, its head start. The first attempt that connects wins. Dial
// closes the rest before it returns. If no attempt connects, Dial returns the error of
// the first address.
type Dialer struct {
	// Timeout bounds the time of a Dial, the look-up included; 0 is no bound.
	Timeout time.Duration
	// Deadline is the latest time at which a Dial fails; the zero time is no deadline.
	Deadline time.Time
	// LocalAddr is the address to connect from: a *net.TCPAddr, *net.UDPAddr,
	// *net.IPAddr or *net.UnixAddr as the network needs. If nil, the kernel chooses.
	LocalAddr net.Addr
	// DualStack has no effect, as in net.
	//
	// Deprecated: a negative FallbackDelay switches Happy Eyeballs off.
	DualStack bool
	// FallbackDelay is the head start: 0 is 250 ms, and less than 10 ms is 10 ms. If it
	// is negative, Dial tries one address after the other, and gives each an equal part
	// of the time that is left.
	FallbackDelay time.Duration
	// KeepAlive is the idle time after which the connection is probed: 0 is 15
	// seconds, negative is never. KeepAliveConfig, if enabled, replaces it.
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig
	// Resolver looks names up; nil is DefaultResolver.
	Resolver *net.Resolver

	multipath multipath

	// Cancel, if not nil, ends a Dial when it is closed.
	//
	// Deprecated: use DialContext.
	Cancel <-chan struct{}
	// Control, if not nil, is called with each new socket before it is bound, or
	// connects. ControlContext, if not nil, is called instead, with the context
	// given to DialContext.
	Control        func(network, address string, c syscall.RawConn) error
	ControlContext func(ctx context.Context, network, address string, c syscall.RawConn) error
	// Group is the group of loops that serve the sockets; nil is the default group.
	Group *loop.Group
}

// MultipathTCP reports whether a Dial for "tcp" tries MPTCP first. Unless SetMultipathTCP
// was called, it returns net's default.
func (d *Dialer) MultipathTCP() bool { return d.multipath.or(new(net.Dialer).MultipathTCP) }

// SetMultipathTCP sets whether Dial tries MPTCP first. It is for one goroutine at a time.
func (d *Dialer) SetMultipathTCP(use bool) { d.multipath.set(use) }

// Dial connects, as the function Dial does.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects, as the function Dial does, until the context is done. The end of
// the context does not affect a connection that DialContext has returned.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	a, s, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return connOf(s, dialed(s, a.network, a.reached))
}

// dialed makes the conn of a socket that Dial has connected to an address, which may be
// nil. The kernel does not report a datagram socket as connected if its peer's port is 0.
// Then net, too, has the address that it was given.
func dialed(s *socket.Socket, network string, to net.Addr) conn {
	c := newConn(s, network)
	if c.remote == nil {
		c.remote = to
	}
	return c
}

// DialSocket is DialContext for programs that use the socket itself.
func (d *Dialer) DialSocket(ctx context.Context, network, address string) (*socket.Socket, error) {
	_, s, err := d.dial(ctx, network, address)
	return s, err
}

func (d *Dialer) dial(ctx context.Context, network, address string) (*dial, *socket.Socket, error) {
	a, err := d.begin(ctx, network)
	if err != nil {
		return nil, nil, opError("dial", network, nil, nil, err)
	}
	defer a.end()
	s, err := a.run(address)
	return a, s, err
}

// A dial is one call of a method of a Dialer.
type dial struct {
	*Dialer
	transport
	name  string          // the name of the network, as the caller gave it
	local net.Addr        // nil if there is none
	given context.Context // the caller's context
	ctx   context.Context // the caller's context with the Dialer's bounds
	end   func()          // the caller of begin must call it

	reached net.Addr // the address that inTurn has connected to; else nil
}

var errNilContext = errors.New("nil context")

// begin makes a dial.
func (d *Dialer) begin(ctx context.Context, network string) (*dial, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	t, err := parseNetwork(network)
	if err != nil {
		return nil, err
	}
	a := &dial{Dialer: d, transport: t, name: network, local: bindable(d.LocalAddr), given: ctx}
	a.ctx, a.end = d.bounded(ctx)
	return a, nil
}

// bindable returns a local address. It returns nil for an address that sets nothing: a
// nil pointer, or a unix address without a name.
func bindable(a net.Addr) net.Addr {
	none := false
	switch a := a.(type) {
	case *net.TCPAddr:
		none = a == nil
	case *net.UDPAddr:
		none = a == nil
	case *net.IPAddr:
		none = a == nil
	case *net.UnixAddr:
		none = a == nil || a.Name == ""
	}
	if none {
		return nil
	}
	return a
}

// bounded returns the context with the Dialer's bounds: Timeout, Deadline and
// Cancel.
func (d *Dialer) bounded(ctx context.Context) (context.Context, func()) {
	end := d.Deadline
	if d.Timeout != 0 {
		if timeout := time.Now().Add(d.Timeout); end.IsZero() || timeout.Before(end) {
			end = timeout
		}
	}
	cancel := func() {}
	if !end.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, end)
	}
	if d.Cancel == nil {
		return ctx, cancel
	}
	ctx, stop := context.WithCancel(ctx)
	go func() {
		select {
		case <-d.Cancel:
			stop()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { stop(); cancel() }
}

func (d *Dialer) resolver() *net.Resolver {
	if d.Resolver != nil {
		return d.Resolver
	}
	return defaultResolver()
}

// unresolved returns the error of a dial that has found no address.
func (d *dial) unresolved(err error) error { return opError("dial", d.name, nil, nil, err) }

// failed returns the error of a dial to an address.
func (d *dial) failed(to net.Addr, err error) error {
	return opError("dial", d.name, d.LocalAddr, to, err)
}

// run connects to an address in net's notation.
func (d *dial) run(address string) (*socket.Socket, error) {
	if address == "" {
		return nil, d.unresolved(errMissingAddress)
	}
	if d.unix() {
		if err := d.mismatch(); err != nil {
			return nil, d.unresolved(err)
		}
		return d.inTurn([]net.Addr{&net.UnixAddr{Name: address, Net: d.network}})
	}
	if d.tcp() && d.FallbackDelay >= 0 {
		host, port, err := d.split(d.ctx, d.resolver(), address)
		if err != nil {
			return nil, d.unresolved(err)
		}
		if _, err := netip.ParseAddr(host); err != nil && host != "" && d.mismatch() == nil {
			return d.race(host, port)
		}
	}
	found, err := d.resolve(d.ctx, d.resolver(), address)
	if err == nil {
		err = d.mismatch() // after the look-up, as in net
	}
	if err != nil {
		return nil, d.unresolved(err)
	}
	to, err := d.usable(found)
	if err != nil {
		return nil, d.unresolved(err)
	}
	return d.inTurn(to)
}

// mismatch returns an error if LocalAddr is not an address of the network.
func (d *dial) mismatch() error {
	if d.LocalAddr == nil {
		return nil
	}
	network := d.base
	if d.unix() {
		network = d.network
	}
	if d.LocalAddr.Network() == network {
		return nil
	}
	return &net.AddrError{Err: "mismatched local address type", Addr: d.LocalAddr.String()}
}

// usable returns the addresses in found that can be reached from LocalAddr.
func (d *dial) usable(found []netip.AddrPort) (to []net.Addr, err error) {
	from := inetOf(d.local)
	for _, a := range found {
		ip := a.Addr()
		if from.wildcard() || !ip.IsValid() || ip.WithZone("").IsUnspecified() || from.matches(ip) {
			to = append(to, d.addr(a))
		}
	}
	if len(to) == 0 {
		return nil, &net.AddrError{Err: errNoSuitable, Addr: d.LocalAddr.String()}
	}
	return to, nil
}

// inTurn tries addresses one after the other. The error is the first one's.
func (d *dial) inTurn(addrs []net.Addr) (*socket.Socket, error) {
	var first error
	for i, to := range addrs {
		ctx, cancel := part(d.ctx, len(addrs)-i)
		s, err := d.connect(ctx, to)
		cancel()
		if err == nil {
			d.reached = to
			return s, nil
		}
		if first == nil {
			first = err
		}
		if d.ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// leastPart is the least time that an address gets, unless less time is left.
const leastPart = 2 * time.Second

// part returns a context for the next of several addresses. Its time is an equal part of
// the time that is left.
func part(ctx context.Context, left int) (context.Context, context.CancelFunc) {
	end, bounded := ctx.Deadline()
	if !bounded || left == 1 {
		return ctx, func() {}
	}
	each := max(time.Until(end)/time.Duration(left), leastPart)
	return context.WithTimeout(ctx, each)
}

// connect connects to one address. Its error is a *net.OpError.
func (d *dial) connect(ctx context.Context, to net.Addr) (*socket.Socket, error) {
	t := traceOf(d.given)
	t.connectStart(d.network, to)
	s, err := d.connectBest(ctx, to)
	if err != nil {
		err = d.failed(to, err)
	}
	t.connectDone(d.network, to, err)
	return s, err
}

func (d *dial) connectBest(ctx context.Context, to net.Addr) (*socket.Socket, error) {
	if d.tcp() && d.MultipathTCP() {
		if s, err := d.connectWith(ctx, to, unix.IPPROTO_MPTCP); err == nil {
			return s, nil
		}
	}
	return d.connectWith(ctx, to, d.proto)
}

// selfConnects is the greatest number of attempts of a dial whose socket connects with
// itself.
const selfConnects = 3

func (d *dial) connectWith(ctx context.Context, to net.Addr, proto socket.Protocol) (*socket.Socket, error) {
	failed := syscallError("connect", unix.ECONNREFUSED)
	for range selfConnects {
		s, err := d.connectOnce(ctx, to, proto)
		free := d.tcp() && inetOf(d.local).port == 0
		if err != nil {
			if free && errors.Is(err, unix.EADDRNOTAVAIL) {
				failed = cause(ctx, err)
				continue // the kernel may find another port
			}
			return nil, cause(ctx, err)
		}
		// The kernel may choose the dialed port for the connecting side if no socket
		// listens there. Then TCP connects the socket with itself.
		if !free || s.LocalAddr().Port() != s.RemoteAddr().Port() || s.LocalAddr() != peerOf(s) {
			return s, nil
		}
		// Without this the port would stay in TIME_WAIT for a minute.
		_ = s.SetLinger(0)
		s.Close()
	}
	return nil, failed
}

func (d *dial) connectOnce(ctx context.Context, to net.Addr, proto socket.Protocol) (*socket.Socket, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s, err := d.opening(to, proto).open()
	if err != nil || to == nil {
		return s, err
	}
	at, err := addrIn(s.Family(), to)
	if err != nil {
		s.Close()
		return nil, syscallError("connect", err)
	}
	view := s
	if ctx.Done() != nil {
		view = s.WithContext(ctx)
	}
	if err := view.ConnectAddr(at); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (d *dial) opening(to net.Addr, proto socket.Protocol) *opening {
	o := &opening{transport: d.transport, local: d.local, remote: to, control: d.Control, group: d.Group}
	o.proto = proto
	if d.ControlContext != nil {
		o.control = func(network, address string, c syscall.RawConn) error {
			return d.ControlContext(d.given, network, address, c)
		}
	}
	if d.tcp() {
		o.prepared = func(fd int) { prepareTCP(fd, d.KeepAlive, d.KeepAliveConfig) }
	}
	return o
}

// cause returns why an address failed, in the words of net. It says in particular when
// the context has ended the attempt.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return ended(ctx)
	}
	return netCause(err)
}

// ended returns the error of an address for which the context left no time.
func ended(ctx context.Context) error {
	return &dialEnded{context.Cause(ctx), ctx.Err() == context.DeadlineExceeded}
}
