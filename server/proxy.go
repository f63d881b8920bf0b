package server

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A ProxyProtocol says which clients send a header of the PROXY protocol, version 1 or 2,
// before everything else. The header announces the address of the client for which a
// proxy has connected: https://www.haproxy.org/download/3.4/doc/proxy-protocol.txt. Then
// RemoteAddr returns that address, and PeerAddr the proxy's. If the header announces no
// address (UNKNOWN, LOCAL), RemoteAddr returns the proxy's, too.
//
// Shutdown waits for headers for as long as Timeout says. The server calls no callback
// before the header has arrived, and the header needs no
// goroutine. The server closes a connection with a wrong header, or without one, logs why
// and counts it in Stats.ProxyRefusals. A header of version 1 has at most 107 bytes, one
// of version 2 at most 4112.
type ProxyProtocol struct {
	// From are the addresses of the proxies. If it is empty, every peer must be a proxy,
	// also the peer of a unix socket. A client could announce any address.
	From []netip.Prefix
	// Direct lets peers that are not in From connect. The server does not look for a header
	// in what they send. Otherwise it refuses them.
	Direct bool
	// Optional lets a proxy connect without a header, as for a check of the server's
	// health. If the proxy has sent nothing when Timeout is over, it is served then.
	Optional bool
	// Timeout is how long the header may take. 0 means 5 seconds.
	Timeout time.Duration
}

const (
	defaultHeaderTimeout = 5 * time.Second
	// longestV1 and longestV2 are how many bytes a header has at most. The length of
	// version 2 does not count the first 16 bytes.
	longestV1    = 107
	fixedV2      = 16
	longestV2    = 4096
	signatureV1  = "PROXY "
	largestFirst = fixedV2 + longestV2
)

var errNoHeader = errors.New("the connection begins with something else")

// checked returns a copy with the defaults.
func (p *ProxyProtocol) checked() (*ProxyProtocol, error) {
	if p == nil {
		return nil, nil
	}
	own := *p
	own.From = nil
	for _, prefix := range p.From {
		if !prefix.IsValid() {
			return nil, fmt.Errorf("server: ProxyProtocol.From has %v, which is no prefix", prefix)
		}
		own.From = append(own.From, netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()))
	}
	if p.Timeout < 0 {
		return nil, fmt.Errorf("server: ProxyProtocol.Timeout is %v: it must not be negative", p.Timeout)
	}
	if p.Direct && len(p.From) == 0 {
		return nil, errors.New("server: ProxyProtocol.Direct is set, and From is empty, which means every peer")
	}
	if own.Timeout == 0 {
		own.Timeout = defaultHeaderTimeout
	}
	return &own, nil
}

// trusts reports whether the peer is a proxy.
func (p *ProxyProtocol) trusts(peer socket.Addr) bool {
	ip := peer.AddrPort().Addr().WithZone("")
	for _, prefix := range p.From {
		if prefix.Contains(ip) {
			return true
		}
	}
	return len(p.From) == 0
}

// headerSize returns how many bytes of p are the header, or 0 if more bytes of it have to
// come.
func headerSize(p []byte) (int, error) {
	begins := func(signature string) bool {
		n := min(len(p), len(signature))
		return string(p[:n]) == signature[:n]
	}
	switch {
	case len(p) == 0:
		return 0, nil
	case begins(string(proxyproto.SIGV2)):
		if len(p) < fixedV2 {
			return 0, nil
		}
		size := int(binary.BigEndian.Uint16(p[fixedV2-2:]))
		if size > longestV2 {
			return 0, fmt.Errorf("it has %d bytes, and the most is %d", size+fixedV2, longestV2+fixedV2)
		}
		if size += fixedV2; len(p) >= size {
			return size, nil
		}
		return 0, nil
	case begins(signatureV1):
		if i := bytes.IndexByte(p[:min(len(p), longestV1)], '\n'); i >= 0 {
			return i + 1, nil
		}
		if len(p) >= longestV1 {
			return 0, fmt.Errorf("the line has no end in %d bytes", longestV1)
		}
		return 0, nil
	}
	return 0, errNoHeader
}

// parseHeader returns the client's address that a whole header announces, or the zero Addr
// if it announces none.
func parseHeader(p []byte) (socket.Addr, error) {
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(p), len(p)))
	if err != nil || h.Command.IsLocal() {
		return socket.Addr{}, err
	}
	var client netip.AddrPort
	switch a := h.SourceAddr.(type) {
	case *net.TCPAddr:
		client = a.AddrPort()
	case *net.UDPAddr:
		client = a.AddrPort()
	default: // the client of a unix socket has no address
		return socket.Addr{}, nil
	}
	return socket.AddrFrom(netip.AddrPortFrom(client.Addr().Unmap(), client.Port())), nil
}

// A greeting is an accepted connection whose PROXY header has not arrived yet.
type greeting struct {
	reg  loop.Handled
	self loop.Handler
	l    *listener
	peer socket.Addr
}

// greets reports whether a connection from the peer begins with a header, or is refused.
func (p *ProxyProtocol) greets(peer socket.Addr) bool {
	return p != nil && (!p.Direct || p.trusts(peer))
}

// greet takes an accepted connection, and serves it when the header has arrived.
func (l *listener) greet(fd int, peer socket.Addr) {
	e := l.eng
	p := e.service.ProxyProtocol
	if !p.trusts(peer) {
		l.refuse(fd, peer, errors.New("the peer is not in ProxyProtocol.From"))
		return
	}
	if l.header(fd, peer, false, false) { // usually it comes together with the connection
		return
	}
	g := &greeting{l: l, peer: peer}
	g.self = g
	if err := e.loop.Handle(&g.reg, fd, &g.self); err != nil {
		l.refuse(fd, peer, err)
		return
	}
	if e.greetings == nil {
		e.greetings = make(map[*greeting]struct{})
	}
	e.greetings[g] = struct{}{}
	g.reg.ExpireAt(e.loop.Elapsed() + p.Timeout)
}

// announce serves a connection whose header has arrived. MaxConnsPerIP counts the client
// that the header announces, and not the proxy.
func (l *listener) announce(fd int, peer, client socket.Addr) {
	s := l.eng.srv
	src, ok := s.enterSource(cmp.Or(client, peer))
	if !ok {
		s.refuse(fd, cmp.Or(client, peer))
		return
	}
	l.assign(fd, peer, client, src)
}

// header looks for a header in what has arrived on fd, without taking more than the header
// from the kernel. It returns false if it has to wait. over says that nothing more will
// come, and late that the time is over.
func (l *listener) header(fd int, peer socket.Addr, over, late bool) bool {
	e := l.eng
	if e.peeked == nil {
		e.peeked = make([]byte, largestFirst)
	}
	optional := e.service.ProxyProtocol.Optional
	n, errno := sys.Recv(fd, e.peeked, unix.MSG_PEEK)
	p := e.peeked[:n]
	ended := errno == 0 && n == 0
	if errno != 0 && errno != unix.EAGAIN {
		l.refuse(fd, peer, errno)
		return true
	}
	size, err := headerSize(p)
	switch {
	case optional && (err == errNoHeader || n == 0 && (late || ended || over)):
		l.announce(fd, peer, socket.Addr{})
		return true
	case err == nil && size == 0 && (ended || over):
		err = errors.New("the stream has ended")
	case err == nil && size == 0 && late:
		err = &TimeoutError{"PROXY header", e.service.ProxyProtocol.Timeout}
	case err == nil && size == 0:
		return false
	}
	var client socket.Addr
	if err == nil {
		client, err = parseHeader(p[:size])
	}
	if err == nil {
		_, errno = sys.Recv(fd, p[:size], 0) // it is there: this takes it
		if errno != 0 {
			err = errno
		}
	}
	if err != nil {
		l.refuse(fd, peer, err)
		return true
	}
	l.announce(fd, peer, client)
	return true
}

// refuse closes an accepted connection that has no good header.
func (l *listener) refuse(fd int, peer socket.Addr, err error) {
	s := l.eng.srv
	s.counters.proxyRefusals.Add(1)
	s.Log.Warn("server: a connection is refused for its PROXY header", "listener", l.addr, "peer", peer, "error", err)
	sys.Close(fd)
	s.gone()
}

// Ready is called by the loop when something has arrived.
func (g *greeting) Ready(ev poller.Readiness) {
	g.look(ev&(poller.PeerClosed|poller.HungUp|poller.Failed) != 0, false)
}

// Expire is called by the loop when the time for the header is over.
func (g *greeting) Expire() { g.look(false, true) }

// Closed is called by the loop when it ends.
func (g *greeting) Closed() {
	delete(g.l.eng.greetings, g)
	g.l.eng.srv.gone()
}

// look goes on with the connection if the header has arrived, or nothing more will come.
func (g *greeting) look(over, late bool) {
	// header may give the descriptor away, so it must not be on the loop any more.
	if !over && !late {
		if n, errno := sys.Recv(g.reg.FD(), g.l.eng.peeked, unix.MSG_PEEK); errno == unix.EAGAIN {
			return
		} else if size, err := headerSize(g.l.eng.peeked[:n]); errno == 0 && n > 0 && err == nil && size == 0 {
			return
		}
	}
	fd, err := g.reg.Release()
	if err != nil {
		return
	}
	delete(g.l.eng.greetings, g)
	g.l.header(fd, g.peer, over, true)
}

// endGreetings ends the connections whose header has not arrived.
func (e *engine) endGreetings() {
	for g := range e.greetings {
		resetOnClose(&g.reg.Registration)
		_ = g.reg.Close()
		e.srv.gone()
	}
}

// PeerAddr returns the address of the other end of the connection itself: with
// Server.ProxyProtocol, that of the proxy. See RemoteAddr.
func (c *Conn) PeerAddr() socket.Addr { return c.peer.addr() }

// PeerAddr returns the address of the other end of the connection itself: with
// Server.ProxyProtocol, that of the proxy. See RemoteAddr.
func (x *Session) PeerAddr() socket.Addr { return x.Socket.RemoteAddr().Unmap() }
