package server

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A PacketListener is a udp listener of a Server. Its methods are for
// Events.Packet and for functions that are posted to the listener's loop.
type PacketListener struct {
	sock *socket.Socket
	eng  *engine
	hook loop.Hook
	turn func() // drain, made once

	scheduled atomic.Bool // drain was posted and has not begun

	// Only the loop's goroutine uses the rest.
	in       []socket.Message
	out      []socket.Message // what is to be sent; the buffers are used again
	queued   int              // how many messages of out are to be sent
	bytes    int              // in them
	waits    bool             // the socket has no room: the loop watches it for writing
	calling  bool             // a callback runs; the queue is sent after it
	failures int              // receives that have failed one after the other
	resting  *loop.Timer      // ends a rest; nil while the listener does not rest
	pause    time.Duration    // how long the latest rest was; 0 after a success
}

const (
	// packetBatch is how many datagrams one system call receives or sends, and
	// packetRounds how many of these calls a turn makes.
	packetBatch  = 64
	packetRounds = 4
	mostPackets  = 1024     // how many datagrams may be queued
	largestUDP   = 64 << 10 // bytes
)

// addPackets serves a bound datagram socket.
func (s *Server) addPackets(e *engine, sock *socket.Socket) error {
	p := &PacketListener{sock: sock, eng: e, in: make([]socket.Message, packetBatch), out: make([]socket.Message, packetBatch)}
	memory := make([]byte, packetBatch*largestUDP) // the kernel touches what it needs of it
	for i := range p.in {
		p.in[i].Buffers = [][]byte{memory[i*largestUDP : (i+1)*largestUDP]}
		p.out[i].Buffers = [][]byte{nil}
	}
	p.turn, p.hook.To = p.drain, packetObserver{p}
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

// Socket returns the listener's socket, for its options. The program must
// neither close it nor receive from it.
func (p *PacketListener) Socket() *socket.Socket { return p.sock }

// LocalAddr returns the address that the listener is bound to.
func (p *PacketListener) LocalAddr() socket.Addr { return p.sock.LocalAddr() }

// SendTo sends a copy of b. The datagrams of a callback leave together when it
// returns; those of a posted function soon after it. While the socket has no
// room, up to 1024 datagrams with Server.MaxOutput bytes are queued, and nothing
// is received. SendTo drops a datagram that is beyond these bounds, and one that
// the kernel refuses is lost, too: nobody is told, as datagrams may get lost
// anywhere.
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
	if !p.calling {
		p.schedule()
	}
}

// A packetObserver is a PacketListener as its loop sees it.
type packetObserver struct{ p *PacketListener }

// Notify is called by the loop when there may be something to receive, or room
// to send.
func (o packetObserver) Notify(_ *loop.Hook, n loop.Notice) {
	if n == loop.NoticeReady {
		o.p.schedule()
	}
}

// schedule has drain called on the loop.
func (p *PacketListener) schedule() {
	if p.scheduled.CompareAndSwap(false, true) {
		_ = p.eng.post(p.turn) // a closed loop has closed the socket
	}
}

// drain sends what is queued and receives what has arrived, up to a turn's
// share.
func (p *PacketListener) drain() {
	p.scheduled.Store(false) // before the look, so that what arrives later is seen
	if !p.flush() {
		return
	}
	for range packetRounds {
		if p.resting != nil {
			return
		}
		n, err := p.sock.RecvBatch(p.in, unix.MSG_DONTWAIT)
		for i := range p.in[:n] {
			m := &p.in[i]
			p.call(m.Buffers[0][:min(m.N, largestUDP)], m.Addr.Unmap())
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

// manyRefusals is how many receives may fail one after the other before the
// listener rests. The kernel reports by such errors that a datagram which was
// sent before was refused (ICMP).
const manyRefusals = 256

// failed deals with a receive that failed. Whatever the error is, the listener
// does not repeat the call for ever: it then rests for a while.
func (p *PacketListener) failed(err error) {
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

// works notes that receiving works, or works again.
func (p *PacketListener) works() {
	p.failures = 0
	if p.pause > 0 {
		p.pause = 0
		p.eng.srv.Log.Info("server: receiving goes on", "listener", p.LocalAddr())
	}
}

// call calls Packet.
func (p *PacketListener) call(b []byte, from socket.Addr) {
	defer func() {
		p.calling = false
		if v := recover(); v != nil {
			_ = p.eng.srv.panicked(v)
		}
	}()
	p.calling = true
	p.eng.service.Events.Packet(p, b, from)
}

// flush sends what is queued, and returns true if nothing is left.
func (p *PacketListener) flush() bool {
	for sent := 0; p.queued > 0; {
		n, err := p.sock.SendBatch(p.out[sent:p.queued], unix.MSG_DONTWAIT)
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
	if len(p.out) > packetBatch { // the memory of a jam is not kept
		clear(p.out[packetBatch:])
		p.out = p.out[:packetBatch:packetBatch]
	}
	if p.waits {
		p.waits = false
		_ = p.hook.Change(loop.Readable)
	}
	return true
}

// keep keeps what is not sent yet, and has the loop watch for room.
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
	if !p.waits {
		p.waits = true
		// It fails only on a closed socket.
		_ = p.hook.Change(loop.Readable | loop.Writable)
	}
}
