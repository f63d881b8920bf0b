package server

import (
	"fmt"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A ConnInfo describes a connection at one moment. Its parts are read one after the
// other while the connection is served, so they may not fit together exactly.
type ConnInfo struct {
	ID    string // names the connection among those of the server
	Loop  int    // index in Group.Loops
	Local socket.Addr
	Peer  socket.Addr

	// State of a Conn is "open", "paused" (PauseRead), "slow" (the peer takes its output
	// too slowly), "half-closed" (the peer has ended its stream), "broken", "draining",
	// or "lingering": see the package's documentation. State of a Session is "idle" or
	// "running".
	State   string
	Session bool          // a Handler serves it
	Age     time.Duration // since the server began to serve it
	Queued  int           // bytes that a Conn has written and the kernel has not taken

	// TCP is what the kernel says of a TCP connection, or nil.
	TCP *TCPInfo
}

// TCPInfo is what the kernel says of a TCP connection: TCP_INFO in tcp(7). What an older
// kernel does not tell is 0.
type TCPInfo struct {
	State             string        // "established", "close-wait" and so on
	BytesIn, BytesOut uint64        // received, and sent for the first time
	Idle              time.Duration // since data was last received or sent
	RTT, RTTVar       time.Duration // round-trip time, and how much it varies
	MinRTT            time.Duration // the shortest round-trip time lately
	RTO               time.Duration // retransmission timeout
	Retransmits       uint32        // segments that were sent again, so far
	Lost              uint32        // segments that the kernel now takes for lost
	Unacked           uint32        // segments on their way
	Unsent            uint32        // bytes that wait in the kernel
	Cwnd              uint32        // congestion window, in segments
	SSThresh          uint32        // slow-start threshold, in segments
	MSS               uint32        // largest segment to send, in bytes
	PeerWindow        uint32        // bytes that the peer has room for
	DeliveryRate      uint64        // bytes per second, as the peer lately took them
	PacingRate        uint64        // bytes per second, as the kernel would send them
	BusyTime          time.Duration // how long there was something to send
	PeerLimited       time.Duration // of BusyTime: the peer had no room
	BufferLimited     time.Duration // of BusyTime: the send buffer was full
}

// Inspect describes connections of the server, at most so many, in no order. It takes
// about a microsecond of the caller's goroutine for each, and none of a loop's, so it
// also works while a callback holds a loop up.
func (s *Server) Inspect(most int) (list []ConnInfo) {
	s.inspect(func(id func() string, describe func() (ConnInfo, bool)) bool {
		if len(list) >= most {
			return false
		}
		if info, open := describe(); open {
			info.ID = id()
			list = append(list, info)
		}
		return true
	})
	return list
}

// InspectConn describes the connection of that ID. It returns false if the connection
// has ended.
func (s *Server) InspectConn(id string) (info ConnInfo, open bool) {
	s.inspect(func(of func() string, describe func() (ConnInfo, bool)) bool {
		if of() != id {
			return true
		}
		info, open = describe()
		info.ID = id
		return false
	})
	return info, open
}

// inspect calls f for each connection, until f returns false.
func (s *Server) inspect(f func(id func() string, describe func() (ConnInfo, bool)) bool) {
	for i, l := range s.loops() {
		for _, r := range l.Registrations() {
			id := func() string { return fmt.Sprintf("%d-%x", i, r.Key()) }
			var describe func() (ConnInfo, bool)
			if h, ok := r.Handler().(interface{ conn() *Conn }); ok && h.conn().eng.srv == s {
				describe = func() (ConnInfo, bool) { return h.conn().inspect(i) }
			} else if x := s.sessionOn(r); x != nil {
				describe = func() (ConnInfo, bool) { return x.inspect(i) }
			}
			if describe != nil && !f(id, describe) {
				return
			}
		}
	}
}

// conn and session are also methods of the connections and sessions with TLS.
func (h *connHandler) conn() *Conn           { return (*Conn)(h) }
func (o *sessionObserver) session() *Session { return (*Session)(o) }

// sessionOn returns the session of a registration, or nil.
func (s *Server) sessionOn(r *loop.Registration) *Session {
	for _, o := range r.Observers() {
		if x, ok := o.(interface{ session() *Session }); ok && x.session().Server() == s {
			return x.session()
		}
	}
	return nil
}

// inspect describes the connection. It runs on any goroutine, and so reads nothing that
// belongs to the loop's.
func (c *Conn) inspect(i int) (info ConnInfo, open bool) {
	info = ConnInfo{Loop: i, Peer: c.peer.addr(), Age: c.reg.Age(), Queued: c.Queued()}
	if c.signals.Load()&gone != 0 || !info.ask(&c.reg.Registration) {
		return info, false
	}
	switch signals := c.signals.Load(); {
	case signals&gone != 0:
		return info, false
	case signals&writeFailed != 0:
		info.State = "broken"
	case signals&(closeAsked|abortAsked) != 0 && info.Queued > 0:
		info.State = "draining"
	case signals&(closeAsked|abortAsked) != 0:
		info.State = "lingering"
	case info.TCP != nil && info.TCP.State == "close-wait":
		info.State = "half-closed"
	case signals&outputHigh != 0:
		info.State = "slow"
	case signals&paused != 0:
		info.State = "paused"
	default:
		info.State = "open"
	}
	return info, true
}

// inspect describes the session.
func (x *Session) inspect(i int) (info ConnInfo, open bool) {
	state := x.state.Load() & sessionStates
	info = ConnInfo{Loop: i, Peer: x.RemoteAddr(), Session: true, State: "idle", Age: x.Registration().Age()}
	if state == sessionRunning {
		info.State = "running"
	}
	return info, state != sessionOver && info.ask(x.Registration())
}

// ask fills in what the kernel knows. It returns false if the descriptor is closed.
func (info *ConnInfo) ask(r *loop.Registration) bool {
	if r.Use() != nil {
		return false
	}
	defer r.Done()
	info.Local = addrOf(r.FD())
	if info.Peer.Family() != socket.Unix {
		if k, err := tcpInfo(r); err == nil {
			info.TCP = describeTCP(k)
		}
	}
	return true
}

// tcpStates are the names of the kernel's states of TCP, by number.
var tcpStates = [...]string{"", "established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2", "time-wait", "close",
	"close-wait", "last-ack", "listen", "closing", "new-syn-recv"}

// describeTCP translates the kernel's structure.
func describeTCP(k *unix.TCPInfo) *TCPInfo {
	in, out := tcpBytes(k)
	state := fmt.Sprint(k.State)
	if int(k.State) < len(tcpStates) {
		state = tcpStates[k.State]
	}
	micros := func(n uint64) time.Duration { return time.Duration(n) * time.Microsecond }
	return &TCPInfo{
		State:    state,
		BytesIn:  in,
		BytesOut: out,
		Idle:     time.Duration(min(k.Last_data_sent, k.Last_data_recv)) * time.Millisecond,
		RTT:      micros(uint64(k.Rtt)), RTTVar: micros(uint64(k.Rttvar)), MinRTT: micros(uint64(k.Min_rtt)), RTO: micros(uint64(k.Rto)),
		Retransmits: k.Total_retrans, Lost: k.Lost, Unacked: k.Unacked, Unsent: k.Notsent_bytes,
		Cwnd: k.Snd_cwnd, SSThresh: k.Snd_ssthresh, MSS: k.Snd_mss, PeerWindow: k.Snd_wnd,
		DeliveryRate: k.Delivery_rate, PacingRate: k.Pacing_rate,
		BusyTime: micros(k.Busy_time), PeerLimited: micros(k.Rwnd_limited), BufferLimited: micros(k.Sndbuf_limited),
	}
}
