//go:build linux

package simkernel

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// A Link says how packets get from one host to another. Package simnet documents the fields.
type Link struct {
	Latency, Jitter time.Duration
	Rate            int
	Segment         int
	Loss, Duplicate float64
	ResetAt         int64
	Cut             bool
}

// A link is a Link in use.
type link struct {
	Link
	free time.Duration // when the last packet has left
}

// SetLink sets the Link from one host to another.
func (w *World) SetLink(from, to netip.Addr, l Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link(from, to).Link = l
}

// ChangeLink has change change the Link from one host to another.
func (w *World) ChangeLink(from, to netip.Addr, change func(*Link)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.link(from, to).Link)
}

// link returns the link between two hosts.
func (w *World) link(from, to netip.Addr) *link {
	r := route{from, to}
	l := w.links[r]
	if l == nil {
		l = &link{Link: w.usual}
		if from == to { // within a host
			l.Link = Link{}
		}
		w.links[r] = l
	}
	return l
}

// drops reports whether the link loses a packet.
func (l *link) drops(r *rand.Rand) bool {
	return l.Cut || l.Loss > 0 && r.Float64() < l.Loss
}

// carry has arrive called when a packet of n bytes has come to a socket, and occupies the link
// with it.
func (w *World) carry(l *link, n int, r *rand.Rand, to *sock, arrive func()) {
	now := w.now()
	from := now + l.Latency
	if l.Rate > 0 {
		l.free = max(l.free, now) + time.Duration(int64(n)*int64(time.Second)/int64(l.Rate))
		from += l.free - now
	}
	at := from
	if l.Jitter > 0 {
		at += time.Duration(r.Int64N(int64(l.Jitter)))
	}
	w.add(event{at: at, from: from, to: to, order: r.Uint64(), do: arrive})
}

// The times after which TCP sends again: RFC 6298 and Linux.
const (
	firstRetransmit = 200 * time.Millisecond
	lastRetransmit  = 120 * time.Second
	mostRetransmits = 15 // tcp_retries2
	firstSyn        = time.Second
	mostSyns        = 6 // tcp_syn_retries
)

// transmit has arrive called when a packet of n bytes has come to target. A packet that is lost is sent
// again. If it is lost too often, lost is called. Both are called under the lock.
func (w *World) transmit(from, to netip.Addr, n int, r *rand.Rand, target *sock, arrive, lost func()) {
	w.attempt(from, to, n, r, 0, target, arrive, lost)
}

func (w *World) attempt(from, to netip.Addr, n int, r *rand.Rand, tries int, target *sock, arrive, lost func()) {
	l := w.link(from, to)
	if !l.drops(r) {
		w.carry(l, n, r, target, arrive)
		return
	}
	if tries == mostRetransmits {
		w.after(lastRetransmit, r, lost)
		return
	}
	again := min(firstRetransmit<<tries, lastRetransmit)
	w.after(again, r, func() { w.attempt(from, to, n, r, tries+1, target, arrive, lost) })
}
