package net

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/seed-2334f180/weir/internal/lookup"
	"github.com/seed-2334f180/weir/socket"
)

// RFC 8305 recommends these times in sections 3 and 5.
const (
	resolutionDelay = 50 * time.Millisecond  // how long IPv4 addresses wait for those of IPv6
	attemptDelay    = 250 * time.Millisecond // the head start of an attempt
	leastDelay      = 10 * time.Millisecond  // the shortest head start
)

// A race is one dial to the addresses of a name. The look-ups deliver them one
// family after the other.
type race struct {
	*dial
	port     int
	trace    *trace
	lookups  chan lookedUp
	finishes chan finish
	working  sync.WaitGroup

	ready    [2][]net.Addr // not tried yet: the IPv6 addresses and the IPv4 addresses
	next     int           // the family of the next attempt
	asking   [2]bool       // look-ups in progress
	running  int           // attempts in progress
	tried    []attempt     // in the order of their start
	found    []netip.Addr  // by the look-ups, in order
	notFound []error       // the errors of look-ups
}

// An attempt connects to one address. Its error is nil while it runs.
type attempt struct {
	to  net.Addr
	err error // a *net.OpError
}

const (
	ipv6 = iota
	ipv4
)

type lookedUp struct {
	family int
	ips    []netip.Addr
	err    error
}

type finish struct {
	attempt int
	socket  *socket.Socket
	err     error
}

// race connects to the first address of a host that answers. It returns when all
// look-ups and attempts have ended.
func (d *dial) race(host string, port int) (*socket.Socket, error) {
	r := &race{dial: d, port: port, trace: traceOf(d.given), lookups: make(chan lookedUp, 2), finishes: make(chan finish)}
	ctx, cancel := context.WithCancel(d.ctx)
	r.lookUp(ctx, host)
	s := r.run(ctx)
	cancel()
	r.end()
	if s == nil {
		return nil, r.verdict(host)
	}
	return s, nil
}

// lookUp begins a look-up for each family that the network allows.
func (r *race) lookUp(ctx context.Context, host string) {
	r.trace.dnsStart(host)
	for family, suffix := range [...]string{ipv6: "6", ipv4: "4"} {
		if only := r.suffix(); only != "" && only != suffix {
			continue
		}
		r.asking[family] = true
		r.working.Go(func() {
			ips, err := lookup.NetIP(untraced{ctx}, r.resolver(), "ip"+suffix, host)
			r.lookups <- lookedUp{family, ips, err}
		})
	}
}

// run starts attempts until one connects. It returns nil when all have failed,
// or the context is done.
func (r *race) run(ctx context.Context) *socket.Socket {
	timer := time.NewTimer(0) // fires when another attempt may begin
	defer timer.Stop()
	<-timer.C
	free := true // another attempt may begin now
	for {
		if free && r.start(ctx) {
			free = false
			timer.Reset(r.delay())
		}
		if r.running == 0 && r.none() && r.asking == [2]bool{} {
			return nil
		}
		select {
		case l := <-r.lookups:
			r.take(l)
			if l.family == ipv4 && r.asking[ipv6] && r.running == 0 {
				// Wait a moment for the IPv6 addresses, because an IPv6 address comes
				// first.
				free = false
				timer.Reset(resolutionDelay)
			} else if r.running == 0 {
				free = true
			}
		case f := <-r.finishes:
			r.running--
			if f.err == nil {
				return f.socket
			}
			r.tried[f.attempt].err = f.err
			// The head start of the last attempt ends when the attempt fails.
			free = free || f.attempt == len(r.tried)-1 || r.running == 0
		case <-timer.C:
			free = true
		case <-ctx.Done():
			return nil
		}
	}
}

// delay returns the head start of the last attempt.
func (r *race) delay() time.Duration {
	if r.FallbackDelay == 0 {
		return attemptDelay
	}
	return max(r.FallbackDelay, leastDelay)
}

// take records the result of a look-up.
func (r *race) take(l lookedUp) {
	r.asking[l.family] = false
	if l.err != nil {
		r.notFound = append(r.notFound, l.err)
	}
	for _, ip := range l.ips {
		r.found = append(r.found, ip.Unmap())
		if to, err := r.usable([]netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), uint16(r.port))}); err == nil {
			r.ready[l.family] = append(r.ready[l.family], to...)
		}
	}
	if r.asking == [2]bool{} {
		r.trace.dnsDone(r.found, r.lookupError())
	}
}

// lookupError returns an error if the look-ups found no address. A name may have
// addresses of one family only, so lookupError ignores the error of one look-up if the
// other has found an address.
func (r *race) lookupError() error {
	if len(r.found) > 0 || len(r.notFound) == 0 {
		return nil
	}
	for _, err := range r.notFound {
		if dns, ok := errors.AsType[*net.DNSError](err); ok && !dns.IsNotFound {
			return err
		}
	}
	return r.notFound[0]
}

func (r *race) none() bool { return len(r.ready[ipv6])+len(r.ready[ipv4]) == 0 }

// start begins an attempt with the next address of the family whose turn it is. It
// returns false if no address is left.
func (r *race) start(ctx context.Context) bool {
	if r.none() {
		return false
	}
	if len(r.ready[r.next]) == 0 {
		r.next = 1 - r.next
	}
	to := r.ready[r.next][0]
	r.ready[r.next] = r.ready[r.next][1:]
	r.next = 1 - r.next

	number := len(r.tried)
	r.tried = append(r.tried, attempt{to: to})
	r.running++
	r.working.Go(func() {
		s, err := r.connect(ctx, to)
		r.finishes <- finish{number, s, err}
	})
	return true
}

// end waits for the look-ups and attempts, whose context is done. It closes sockets that
// have connected too late.
func (r *race) end() {
	go func() { r.working.Wait(); close(r.finishes) }()
	for f := range r.finishes {
		if f.err == nil {
			f.socket.Close()
			f.err = r.failed(r.tried[f.attempt].to, ended(r.ctx))
		}
		r.tried[f.attempt].err = f.err
	}
	close(r.lookups)
	for l := range r.lookups {
		r.take(l)
	}
}

// verdict returns the error of a race in which no attempt connected: the error of the
// first attempt.
func (r *race) verdict(host string) error {
	if len(r.tried) > 0 {
		return r.tried[0].err
	}
	for _, to := range slices.Concat(r.ready[:]...) {
		return r.failed(to, ended(r.ctx))
	}
	if err := r.lookupError(); err != nil {
		return r.unresolved(err)
	}
	if len(r.found) > 0 && r.LocalAddr != nil {
		host = r.LocalAddr.String() // the error names LocalAddr, because no address suits it
	}
	return r.unresolved(&net.AddrError{Err: errNoSuitable, Addr: host})
}
