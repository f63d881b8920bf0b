package server

import (
	"errors"
	"sync/atomic"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A PacketListener is a udp listener of a Server. Its methods are for Events.Packet,
// and what that posts to the loop.
type PacketListener struct {
	sock *socket.Socket
	eng  *engine
	hook loop.Hook
	turn func() // drain, made once

	scheduled atomic.Bool

	// The loop's:
	in     []socket.Message
	out    []socket.Message // to be sent; their buffers are used again
	queued int              // how many of out there are
	bytes  int              // in them
	wanted bool             // the socket takes no more: it is watched for writing
	calls  bool             // a callback runs, after which the queue is sent
}

const (
	// packetBatch is how many datagrams one system call receives or sends, and
	// packetRounds how many of these calls a turn makes.
	packetBatch  = 64
	packetRounds = 4
	mostPackets  = 1024 // that are queued
	largestUDP   = 64 << 10
)

// addPackets serves a bound datagram socket.
func (s *Server) addPackets(e *engine, sock *socket.Socket) error {
	p := &PacketListener{sock: sock, eng: e, in: make([]socket.Message, packetBatch), out: make([]socket.Message, packetBatch)}
	memory := make([]byte, packetBatch*largestUDP) // the kernel touches what it needs of it
	for i := range p.in {
		p.in[i].Buffers = [][]byte{memory[i*largestUDP : (i+1)*largestUDP]}
		p.out[i].Buffers = [][]byte{nil}
	}
	p.turn, p.hook.To = p.drain, p
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != serving {
		return ErrServerClosed
	}
	if err := p.hook.Hang(sock.Registration(), loop.Readable); err != nil {
		return err
	}
	s.packets = append(s.packets, p)
	p.schedule()
	return nil
}

// Socket is the listener's, for its options. It must neither be closed nor
// received from.
func (p *PacketListener) Socket() *socket.Socket { return p.sock }

// LocalAddr is the address that it is bound to.
func (p *PacketListener) LocalAddr() socket.Addr { return p.sock.LocalAddr() }

// SendTo sends a copy of the datagram when the callback returns, together with
// others; called by what was posted, soon after that. While the socket takes no
// more, up to 1024 datagrams of Server.MaxOutput bytes are queued, and nothing is
// received. What is beyond that, and what the kernel refuses, is lost, as
// datagrams are, and told to nobody.
func (p *PacketListener) SendTo(b []byte, to socket.Addr) {
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
	m.Buffers[0], m.Addr = append(m.Buffers[0][:0], b...), to
	p.queued++
	if !p.calls {
		p.schedule()
	}
}

// Notify is for the loop.
func (p *PacketListener) Notify(_ *loop.Hook, n loop.Notice) {
	if n == loop.NoticeReady {
		p.schedule()
	}
}

func (p *PacketListener) schedule() {
	if p.scheduled.CompareAndSwap(false, true) {
		_ = p.eng.post(p.turn) // a closed loop has closed the socket
	}
}

// drain receives what there is, or as much as a turn may take.
func (p *PacketListener) drain() {
	p.scheduled.Store(false) // before the look: who comes later is seen
	if !p.flush() {
		return
	}
	for range packetRounds {
		n, err := p.sock.RecvBatch(p.in, unix.MSG_DONTWAIT)
		for i := range p.in[:n] {
			m := &p.in[i]
			p.call(m.Buffers[0][:min(m.N, largestUDP)], m.Addr)
		}
		if !p.flush() {
			return
		}
		if err != nil && errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EBADF) {
			return
		}
		// Another error is of a datagram that was sent before, such as an
		// ICMP refusal.
		if err == nil && n < len(p.in) {
			return
		}
	}
	p.schedule()
}

func (p *PacketListener) call(b []byte, from socket.Addr) {
	defer func() {
		p.calls = false
		if v := recover(); v != nil {
			_ = p.eng.srv.panicked(v)
		}
	}()
	p.calls = true
	p.eng.srv.Events.Packet(p, b, from)
}

// flush sends what is queued, and says whether all of it is gone.
func (p *PacketListener) flush() bool {
	for sent := 0; p.queued > 0; {
		n, err := p.sock.SendBatch(p.out[sent:p.queued], unix.MSG_DONTWAIT)
		sent += n
		if err != nil && errors.Is(err, unix.EAGAIN) {
			p.keep(sent)
			return false
		}
		if err != nil {
			sent++ // lost
		}
		if sent >= p.queued {
			p.queued = 0
		}
	}
	p.bytes = 0
	if len(p.out) > packetBatch { // the memory of a jam is not kept
		clear(p.out[packetBatch:])
		p.out = p.out[:packetBatch:packetBatch]
	}
	if p.wanted {
		p.wanted = false
		_ = p.hook.Change(loop.Readable)
	}
	return true
}

// keep waits for room to send the rest.
func (p *PacketListener) keep(sent int) {
	rest := 0
	for i := sent; i < p.queued; i++ {
		p.out[rest], p.out[i] = p.out[i], p.out[rest]
		rest++
	}
	p.queued, p.bytes = rest, 0
	for _, m := range p.out[:rest] {
		p.bytes += len(m.Buffers[0])
	}
	if !p.wanted {
		p.wanted = true
		// On a closed socket, which ends it all.
		_ = p.hook.Change(loop.Readable | loop.Writable)
	}
}
