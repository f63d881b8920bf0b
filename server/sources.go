package server

import (
	"encoding/binary"
	"sync"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/socket"
)

// A sourceKey is the part of a peer's address by which MaxConnsPerIP counts: an IPv4
// address, or the first 64 bits of an IPv6 address. A customer of a provider usually
// has all addresses of such an IPv6 network, so that single addresses would bound
// nothing.
type sourceKey struct {
	prefix uint64
	four   bool
}

// A source counts the open connections of one sourceKey. The lock of its sources guards
// it.
type source struct {
	key   sourceKey
	conns int
}

// sources has a source for each sourceKey with open connections.
type sources struct {
	mu sync.Mutex
	of map[sourceKey]*source
}

// enterSource counts a connection from the peer. It returns false if there are
// MaxConnsPerIP already. Without MaxConnsPerIP, and for a unix peer, it returns nil.
// leaveSource takes the connection from the count.
func (s *Server) enterSource(peer socket.Addr) (src *source, ok bool) {
	ip := peer.AddrPort().Addr().Unmap()
	if s.MaxConnsPerIP == 0 || !ip.IsValid() {
		return nil, true
	}
	bytes := ip.As16()
	key := sourceKey{prefix: binary.BigEndian.Uint64(bytes[:8])}
	if ip.Is4() {
		key = sourceKey{prefix: uint64(binary.BigEndian.Uint32(bytes[12:])), four: true}
	}
	all := &s.sources
	all.mu.Lock()
	defer all.mu.Unlock()
	if src = all.of[key]; src == nil {
		if all.of == nil {
			all.of = make(map[sourceKey]*source)
		}
		src = &source{key: key}
		all.of[key] = src
	}
	if src.conns >= s.MaxConnsPerIP {
		return nil, false
	}
	src.conns++
	return src, true
}

// leaveSource takes a connection from the count of its source, which may be nil.
func (s *Server) leaveSource(src *source) {
	if src == nil {
		return
	}
	all := &s.sources
	all.mu.Lock()
	defer all.mu.Unlock()
	if src.conns--; src.conns == 0 {
		delete(all.of, src.key)
	}
}

// refuse closes an accepted connection whose source has MaxConnsPerIP open ones.
func (s *Server) refuse(fd int, peer socket.Addr) {
	s.counters.refused.Add(1)
	sys.Close(fd)
	s.Log.Warn("server: a connection is refused: the address has Server.MaxConnsPerIP already", "peer", peer)
	s.gone()
}
