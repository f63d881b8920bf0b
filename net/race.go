package net

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/seed-2334f180/weir/socket"
)

// RFC 8305's recommendations, sections 3 and 5.
const (
	resolutionDelay = 50 * time.Millisecond  // what IPv4 addresses wait for IPv6 ones to come
	attemptDelay    = 250 * time.Millisecond // the head start of an attempt
	leastDelay      = 10 * time.Millisecond  // of such a head start
)

// A race is a dial to the addresses of a name, as they come.
type race struct {
	*dial
	port     uint16
	lookups  chan lookup
	finishes chan finish
	working  sync.WaitGroup

	ready    [2][]socket.Addr // not tried yet: IPv6 and IPv4
	next     int              // the family whose turn it is
	asking   [2]bool          // look-ups in progress
	running  int              // attempts in progress
	tried    dialErrors       // by attempt; the cause of a running one is nil
	notFound []error          // why look-ups failed
}

const (
	ipv6 = iota
	ipv4
)

type lookup struct {
	family int
	ips    []netip.Addr
	err    error
}

type finish struct {
	attempt int
	socket  *socket.Socket
	err     error
}

// race connects to the first of a host's addresses that answers. When it
// returns, all that it has begun has ended.
func (d *dial) race(host string, port uint16) (*socket.Socket, error) {
	r := &race{dial: d, port: port, lookups: make(chan lookup, 2), finishes: make(chan finish)}
	ctx, cancel := context.WithCancel(d.ctx)
	r.lookUp(ctx, host)
	s := r.run(ctx)
	cancel()
	r.end()
	if s == nil {
		return nil, r.verdict()
	}
	return s, nil
}

// lookUp asks for the addresses of the families that the network allows.
func (r *race) lookUp(ctx context.Context, host string) {
	for family, suffix := range [...]string{ipv6: "6", ipv4: "4"} {
		if only := r.suffix(); only != "" && only != suffix {
			continue
		}
		r.asking[family] = true
		r.working.Go(func() {
			ips, err := r.resolver().LookupNetIP(ctx, "ip"+suffix, host)
			r.lookups <- lookup{family, ips, err}
		})
	}
}

// run starts attempts until one connects. It returns nil when all have failed,
// or the context is done.
func (r *race) run(ctx context.Context) *socket.Socket {
	timer := time.NewTimer(0) // says when another attempt may begin
	defer timer.Stop()
	<-timer.C
	free := true // it may begin now
	for {
		if free && r.start(ctx) {
			free = false
			timer.Stop()
			if r.FallbackDelay >= 0 {
				timer.Reset(r.delay())
			}
		}
		if r.running == 0 && r.none() && r.asking == [2]bool{} {
			return nil
		}
		select {
		case l := <-r.lookups:
			r.found(l)
			if l.family == ipv4 && r.asking[ipv6] && r.running == 0 {
				// The IPv6 addresses are worth a moment.
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
			r.tried.causes[f.attempt] = f.err
			// The head start of one that has failed is over.
			free = free || f.attempt == len(r.tried.causes)-1 || r.running == 0
		case <-timer.C:
			free = true
		case <-ctx.Done():
			return nil
		}
	}
}

// delay is the head start of the last attempt.
func (r *race) delay() time.Duration {
	if r.FallbackDelay == 0 {
		return attemptDelay
	}
	return max(r.FallbackDelay, leastDelay)
}

// found takes in the result of a look-up.
func (r *race) found(l lookup) {
	r.asking[l.family] = false
	if l.err != nil {
		r.notFound = append(r.notFound, l.err)
		return
	}
	r.ready[l.family] = r.usable(unmapped(l.ips), r.port)
}

func (r *race) none() bool { return len(r.ready[ipv6])+len(r.ready[ipv4]) == 0 }

// start begins an attempt, the families taking turns. It reports false if there
// is no address to try.
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

	attempt := len(r.tried.causes)
	r.tried.add(r.netAddr(to), nil)
	r.running++
	r.working.Go(func() {
		s, err := r.connect(ctx, to)
		r.finishes <- finish{attempt, s, err}
	})
	return true
}

// end waits for all that is in progress, after it was cancelled, and closes what
// came too late.
func (r *race) end() {
	go func() { r.working.Wait(); close(r.finishes) }()
	for f := range r.finishes {
		if f.err == nil {
			f.socket.Close()
			f.err = r.ended()
		}
		r.tried.causes[f.attempt] = f.err
	}
}

// verdict is the error of a race that nobody has won: of all addresses, those
// included that it did not come to, and of a look-up that may have had more.
func (r *race) verdict() error {
	close(r.lookups)
	for l := range r.lookups { // what the race did not wait for
		r.found(l)
	}
	tried := r.tried
	for _, to := range slices.Concat(r.ready[:]...) {
		tried.add(r.netAddr(to), r.ended())
	}
	for _, err := range r.notFound {
		var dns *net.DNSError
		if !errors.As(err, &dns) || !dns.IsNotFound {
			tried.add(nil, err)
			break // the other family's says the same
		}
	}
	if len(tried.causes) == 0 && len(r.notFound) > 0 {
		tried.add(nil, r.notFound[0])
	}
	return r.all(tried)
}
