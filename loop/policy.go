package loop

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
)

// A Policy chooses the loop of a group that a new descriptor goes to. The peer
// is the address at the other end of the connection; it is the zero Addr where
// there is none, or none is known, as for a listener or a unix socket. loops is
// never empty, is in the group's order, and must not be changed. If the Policy
// returns nil, the group takes the first loop. It must be concurrency-safe.
type Policy func(loops []*Loop, peer netip.Addr) *Loop

// RoundRobin returns a Policy that takes the loops in turn.
func RoundRobin() Policy {
	var next atomic.Uint64
	return func(loops []*Loop, _ netip.Addr) *Loop {
		return loops[(next.Add(1)-1)%uint64(len(loops))]
	}
}

// LeastRegistered returns a Policy that takes the loop with the fewest
// registrations: connections, listeners, other descriptors, and those that
// Loop.Expect has announced.
func LeastRegistered() Policy {
	return func(loops []*Loop, _ netip.Addr) *Loop {
		best, fewest := loops[0], loops[0].load()
		for _, l := range loops[1:] {
			if n := l.load(); n < fewest {
				best, fewest = l, n
			}
		}
		return best
	}
}

// SourceHash returns a Policy that takes the same loop for all connections of
// one peer address, whatever their ports. An IPv4 address and the IPv6 address
// that maps it are one peer. Descriptors without a peer go to the loops in turn.
func SourceHash() Policy {
	seed, inTurn := maphash.MakeSeed(), RoundRobin()
	return func(loops []*Loop, peer netip.Addr) *Loop {
		if !peer.IsValid() {
			return inTurn(loops, peer)
		}
		return loops[maphash.Comparable(seed, peer.Unmap())%uint64(len(loops))]
	}
}
