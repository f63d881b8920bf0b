package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/loop"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A PacketConn is a datagram socket that a Server serves: a udp listener, or a socket
// that DialPackets has connected. It is concurrency-safe, except the methods that send
// and AskedAddr.
type PacketConn struct {
	// User is for the program. DialPackets sets it. The server does not use it.
	User any

	sock   *socket.Socket
	eng    *engine
	hook   loop.Hook
	turn   func() // drain, made once
	dialed bool   // by DialPackets

	scheduled atomic.Bool // drain was posted and has not begun

	// Only the loop's goroutine uses the rest.
	in       []socket.Message
	out      []socket.Message // the queue of datagrams to send, in its first messages
	queued   int              // how many messages of out are in the queue
	bytes    int              // how many bytes are in the queue
	six      bool             // the socket is inet6, and the kernel reports local addresses
	from     socket.Addr      // the sender of the datagram whose callback runs
	asked    netip.Addr       // the local address of that datagram; not valid if it is not known
	answer   netip.Addr       // the local address for the answer to that datagram
	waits    bool             // the socket has no room: the loop watches it for writing
	calling  bool             // a callback runs; drain sends the queue after it
	failures int              // receives that have failed since the last success
	resting  *loop.Timer      // ends a rest; nil while the socket does not rest
	pause    time.Duration    // how long the latest rest was; 0 after a success
}

const (
	// packetBatch is how many datagrams one system call receives or sends.
	// dialedBatch is how many one receives for a socket of DialPackets: there may be
	// many such sockets, and each datagram needs memory.
	packetBatch  = 64
	dialedBatch  = 4
	packetRounds = 4        // how many receiving system calls a turn makes
	mostPackets  = 1024     // how many datagrams may be queued
	largestUDP   = 64 << 10 // bytes
)

// addPackets serves a bound or connected datagram socket.
func (s *Server) addPackets(e *engine, p *PacketConn, sock *socket.Socket) error {
	batch := packetBatch
	if p.dialed {
		batch = dialedBatch
	}
	p.sock, p.eng, p.in, p.out = sock, e, make([]socket.Message, batch), make([]socket.Message, packetBatch)
	memory := make([]byte, batch*largestUDP) // pages that no datagram reaches cost no memory
	for i := range p.in {
		p.in[i].Buffers = [][]byte{memory[i*largestUDP : (i+1)*largestUDP]}
	}
	for i := range p.out {
		p.out[i].Buffers = [][]byte{nil}
	}
	p.turn, p.hook.To = p.drain, packetObserver{p}
	p.learnLocal()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != serving {
		return ErrClosed
	}
	if err := p.hook.Hang(sock.Registration(), loop.Readable); err != nil {
		return err
	}
	s.packets = append(s.packets, p)
	p.schedule()
	return nil
}

// DialPackets connects a datagram socket to an address as the Dialer does, and
// serves the datagrams from that address by Events.Packet. user becomes
// PacketConn.User. The network is "udp", "udp4" or "udp6". Send sends to the address.
// DialPackets waits for the look-up of the address, so a callback must call it on
// another goroutine.
func (s *Server) DialPackets(ctx context.Context, d weirnet.Dialer, network, address string, user any) (*PacketConn, error) {
	return s.DialPacketsService(ctx, d, network, address, nil, user)
}

// DialPacketsService is DialPackets for a socket that the Events of service serve. If
// service is nil, the Server's own Events serve it.
func (s *Server) DialPacketsService(ctx context.Context, d weirnet.Dialer, network, address string, service *Service, user any) (*PacketConn, error) {
	if service == nil && s.Events.Packet == nil || service != nil && service.Events.Packet == nil {
		return nil, errors.New("server: dial: datagrams need Events.Packet, which is not set")
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	engines, err := s.enginesFor(service)
	if err != nil {
		return nil, err
	}
	if !isUDP(network) {
		return nil, fmt.Errorf("server: dial %s %s: %w", network, address, net.UnknownNetworkError(network))
	}
	d.Group = s.group
	sock, err := d.DialSocket(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	// The socket must be on the loop whose goroutine calls Packet.
	p := &PacketConn{User: user, dialed: true}
	if err := s.addPackets(engineOn(engines, sock.Registration().Loop()), p, sock); err != nil {
		sock.Close()
		return nil, err
	}
	return p, nil
}

func isUDP(network string) bool { return network == "udp" || network == "udp4" || network == "udp6" }

// Close closes the socket, and Packet is not called any more. Queued datagrams are
// lost. A second Close returns an error that is net.ErrClosed.
func (p *PacketConn) Close() error {
	s := p.eng.srv
	s.mu.Lock()
	if i := slices.Index(s.packets, p); i >= 0 {
		s.packets = slices.Delete(s.packets, i, i+1)
	}
	s.mu.Unlock()
	return p.sock.Close()
}

// Server returns the server that serves the socket.
func (p *PacketConn) Server() *Server { return p.eng.srv }

// Loop returns the loop that calls Events.Packet.
func (p *PacketConn) Loop() *loop.Loop { return p.eng.loop }

// AskedAddr returns the local address to which the peer has sent the datagram whose
// callback runs: one of the machine's addresses, or a broadcast or multicast address.
// Outside of a callback, and where the kernel does not report it, AskedAddr returns
// LocalAddr. Only the loop may call it.
func (p *PacketConn) AskedAddr() socket.Addr {
	bound := p.LocalAddr()
	if !p.calling || !p.asked.IsValid() {
		return bound
	}
	return socket.AddrFrom(netip.AddrPortFrom(p.asked, uint16(bound.Port())))
}

// Socket returns the socket, for its options. The program must neither close it nor
// receive from it.
func (p *PacketConn) Socket() *socket.Socket { return p.sock }

// LocalAddr returns the address that the socket is bound to. A closed socket has the
// zero Addr.
func (p *PacketConn) LocalAddr() socket.Addr { return p.sock.LocalAddr() }

// Send is SendTo to the address of DialPackets. Only the loop may call it.
func (p *PacketConn) Send(b []byte) { p.SendTo(b, socket.Addr{}) }

// SendTo sends a copy of b. A callback's answer to the sender of its datagram leaves
// from the address that the sender has asked; an answer that is sent later needs
// SendFrom. The datagrams of a callback leave together when it returns. Those of a
// posted function leave soon after it. While the socket has no room, the server queues
// up to 1024 datagrams with Server.MaxOutput bytes together, and receives nothing.
//
// SendTo drops a datagram that is beyond these bounds, and the kernel may refuse one.
// The server reports neither, because a network may lose datagrams anyway.
// Only the loop may call it.
func (p *PacketConn) SendTo(b []byte, to socket.Addr) {
	var local netip.Addr
	if p.calling && to == p.from {
		local = p.answer
	}
	p.send(b, local, to)
}

// SendFrom is SendTo from a local address, such as the AskedAddr of a callback. The
// port of local does not matter. On a socket that is bound to one address, SendFrom
// sends from that one. Only the loop may call it.
func (p *PacketConn) SendFrom(b []byte, local, to socket.Addr) {
	ip := local.AddrPort().Addr()
	if p.in[0].Control == nil || ip.IsUnspecified() || ip.IsMulticast() {
		ip = netip.Addr{}
	}
	p.send(b, ip, to)
}

// send queues a datagram that is to leave from a local address. If local is not valid,
// the kernel chooses the address.
func (p *PacketConn) send(b []byte, local netip.Addr, to socket.Addr) {
	if p.queued == len(p.out) && !p.flush() {
		if p.queued >= mostPackets {
			return
		}
		p.out = append(p.out, socket.Message{Buffers: [][]byte{nil}})
	}
	if p.bytes += len(b); p.bytes > p.eng.srv.MaxOutput {
		p.bytes -= len(b)
		return
	}
	m := &p.out[p.queued]
	m.Buffers[0], m.Addr, m.Control = append(m.Buffers[0][:0], b...), to, m.Control[:0]
	if local.IsValid() {
		m.Control = appendLocal(m.Control, local, p.six)
	}
	p.queued++
	if !p.calling {
		p.schedule()
	}
}

// A packetObserver is the loop.Observer of a PacketConn.
type packetObserver struct{ p *PacketConn }

// Notify is called by the loop when there may be something to receive, or room
// to send.
func (o packetObserver) Notify(_ *loop.Hook, n loop.Notice) {
	if n == loop.NoticeReady {
		o.p.schedule()
	}
}

// schedule posts drain to the loop, unless it is posted already.
func (p *PacketConn) schedule() {
	if p.scheduled.CompareAndSwap(false, true) {
		_ = p.eng.post(p.turn) // a closed loop has closed the socket
	}
}

// drain sends the queue and receives in up to packetRounds system calls. If more may
// have arrived, it schedules itself.
func (p *PacketConn) drain() {
	p.scheduled.Store(false) // before the receive, so that a later datagram schedules drain again
	if !p.flush() {
		return
	}
	for range packetRounds {
		if p.resting != nil {
			return
		}
		n, err := p.sock.RecvBatch(p.in, unix.MSG_DONTWAIT)
		p.eng.traffic.packetsReceived(p.in[:n])
		for i := range p.in[:n] {
			m := &p.in[i]
			p.from = m.Addr.Unmap()
			if m.Control != nil {
				p.asked, p.answer = localOf(m)
			}
			p.call(m.Buffers[0][:min(m.N, largestUDP)])
		}
		if !p.flush() {
			return
		}
		switch {
		case errors.Is(err, unix.EBADF):
			return
		case n > 0, errors.Is(err, unix.EAGAIN):
			p.works()
		default:
			p.failed(err)
			continue
		}
		if err != nil && errors.Is(err, unix.EAGAIN) || err == nil && n < len(p.in) {
			return
		}
	}
	p.schedule()
}

// manyRefusals is how many receives may fail one after the other before the socket
// rests. For each datagram that a peer has refused (ICMP), one receive may fail.
const manyRefusals = 256

// failed counts a receive that failed. After manyRefusals the socket rests: no error
// makes it repeat the call for ever.
func (p *PacketConn) failed(err error) {
	if p.failures++; p.failures < manyRefusals {
		return
	}
	s := p.eng.srv
	if p.pause == 0 {
		s.counters.pauses.Add(1)
		s.Log.Error("server: receiving pauses", "listener", p.LocalAddr(), "error", err)
	}
	p.pause = min(max(2*p.pause, firstPause), longestPause)
	p.resting, _ = p.eng.loop.AfterFunc(p.pause, func() { // a closed loop has closed the socket
		p.resting, p.failures = nil, manyRefusals-1 // one more try
		p.schedule()
	})
}

// works notes that a receive has not failed, which ends a series of failures.
func (p *PacketConn) works() {
	p.failures = 0
	if p.pause > 0 {
		p.pause = 0
		p.eng.srv.Log.Info("server: receiving goes on", "listener", p.LocalAddr())
	}
}

// call calls Packet.
func (p *PacketConn) call(b []byte) {
	p.calling = true
	_ = guard(p.eng.srv, packet{p, b}, packet.deliver)
	p.calling = false
}

// A packet is a datagram on its way to Events.Packet.
type packet struct {
	to   *PacketConn
	data []byte
}

func (x packet) deliver() error {
	x.to.eng.service.Events.Packet(x.to, x.data, x.to.from)
	return nil
}

// flush sends what is queued, and returns true if nothing is left.
func (p *PacketConn) flush() bool {
	for sent := 0; p.queued > 0; {
		n, err := p.sock.SendBatch(p.out[sent:p.queued], unix.MSG_DONTWAIT)
		p.eng.traffic.packetsSent(p.out[sent : sent+n])
		sent += n
		if err != nil && errors.Is(err, unix.EAGAIN) {
			p.keep(sent)
			return false
		}
		if err != nil {
			sent++ // that datagram is lost
		}
		if sent >= p.queued {
			p.queued = 0
		}
	}
	p.bytes = 0
	if len(p.out) > packetBatch { // release the memory of a long queue
		clear(p.out[packetBatch:])
		p.out = p.out[:packetBatch:packetBatch]
	}
	if p.waits {
		p.waits = false
		_ = p.hook.Change(loop.Readable)
	}
	return true
}

// keep moves the messages behind the first sent ones to the front of the queue, and
// makes the loop watch for room.
func (p *PacketConn) keep(sent int) {
	rest := 0
	for i := sent; i < p.queued; i++ {
		p.out[rest], p.out[i] = p.out[i], p.out[rest]
		rest++
	}
	p.queued, p.bytes = rest, 0
	for _, m := range p.out[:rest] {
		p.bytes += len(m.Buffers[0])
	}
	if !p.waits {
		p.waits = true
		// It fails only on a closed socket.
		_ = p.hook.Change(loop.Readable | loop.Writable)
	}
}
