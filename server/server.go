package server

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
	"github.com/seed-2334f180/weir/socket"
)

// A Server serves connections, and datagrams, on the loops of a Group. Its
// fields are set before the first method is called, and not changed afterwards;
// their zero values are good defaults, but for one of Events and Handle. All
// methods may be called by any goroutine.
//
//	srv := &weir.Server{Events: weir.Events{
//		Data: func(c *weir.Conn) error {
//			_, err := c.Write(c.Next(-1))
//			return err
//		},
//	}}
//	log.Fatal(srv.ListenAndServe("tcp", "localhost:7000"))
//
// A panic of a callback is logged, and ends its connection. One that calls
// runtime.Goexit, as testing.T.FailNow does, ends its loop and all connections of
// that, which is logged, too.
type Server struct {
	// Events are called on the connection's loop, and must not block.
	Events Events

	// Handle, instead of Events.Data, serves a connection in plain blocking
	// code. It is called on a goroutine of its own when there is something to
	// read, and returns when it has dealt with that; until there is more, the
	// connection then has no goroutine. An error closes the connection, as
	// Conn.Close does, and is told to the log unless it is io.EOF or a closed or
	// reset connection's. Of the Events those of connections are not called.
	Handle func(s *socket.Socket) error

	// Group is the loops to serve on. They are the caller's to close, after the
	// Server. Nil is a group of the Server's own, of Loops loops, or of one per
	// GOMAXPROCS if that is 0.
	Group *loop.Group
	Loops int
	// LockThread keeps each of the Server's own loops on a thread of its own,
	// which blocks in epoll_wait(2).
	LockThread bool
	// Balance says which loop gets a new connection.
	Balance Balance
	// ReusePort gives each loop listeners of its own, among which the kernel
	// spreads the connections (SO_REUSEPORT); Balance is not used then.
	ReusePort bool

	// MaxConns is how many connections there may be at a time. Further ones
	// wait in the backlog. 0 is as many as there are descriptors.
	MaxConns int
	// Backlog of each listener, 0 being the system's greatest. See listen(2).
	Backlog int
	// Chunk is about how many bytes a connection may bring at a time, before
	// others on its loop get their turn. 0 is 1 MiB.
	Chunk int
	// MaxInput is how many bytes Data may leave unread while it waits for more,
	// beyond which the connection ends with ErrInputFull. 0 is 1 MiB.
	MaxInput int
	// HighWater is how many bytes may be queued for a peer before nothing more
	// is read from it, until they are down to LowWater. What Data has left is
	// presented again then: it may stop when Conn.Queued is above HighWater. 0
	// is 64 KiB, and half of HighWater.
	HighWater, LowWater int
	// MaxOutput is how many bytes may be queued for a peer at all: a write
	// beyond it is refused with ErrOutputFull. 0 is 16 MiB. The queue occupies at
	// most twice the queued bytes, and 64 bytes for each WriteAsync that is not
	// done, of which there may be one for each 64 bytes of MaxOutput; and 16 KiB.
	MaxOutput int

	// Timeouts are those of every connection, unless it is given its own.
	Timeouts Timeouts

	// TCP connections have TCP_NODELAY set, unless Delay is; and keep-alive
	// probes after KeepAlive of silence, 0 being 15 seconds and a negative one
	// none. RecvBuffer and SendBuffer are SO_RCVBUF and SO_SNDBUF, in bytes; 0
	// leaves them to the kernel.
	Delay                  bool
	KeepAlive              time.Duration
	RecvBuffer, SendBuffer int

	// StallAfter has a watchdog log where a loop is that a callback holds up
	// for longer than this, and count it. 0 is no watchdog.
	StallAfter time.Duration

	// Log is where the Server reports what nobody else is told of. Nil is
	// slog.Default().
	Log *slog.Logger

	mu        sync.Mutex // guards the next eleven
	state     serverState
	engines   []*engine
	listeners []*listener
	ownGroup  bool
	failure   error  // why it did not start
	booter    uint64 // the goroutine that calls Boot
	booted    chan struct{}
	packets   []*PacketListener
	hurried   bool          // hurry is closed
	handed    bool          // a successor has the listeners, too
	ended     chan struct{} // closed when all is over

	group    *loop.Group
	waiting  atomic.Bool   // listeners wait for a connection to go
	hurry    chan struct{} // closed by Close, for a Shutdown in progress
	idle     chan struct{} // told when the last connection has gone
	turn     atomic.Uint64 // of round robin
	conns    atomic.Int64  // open ones
	retiring atomic.Bool   // sessions that become idle end
	aborting atomic.Bool   // sessions that begin end
	watchdog *watchdog
	counters counters
}

type serverState int

const (
	fresh serverState = iota
	booting
	serving
	draining // no more accepts
	closed
)

// Events are a connection's callbacks, and its server's. Those that are nil do
// nothing, but for Data, without which the input stays unread.
type Events struct {
	// Open is the first callback of a connection. An error closes it.
	Open func(c *Conn) error

	// Data is called when input has arrived, for Peek, Next and Discard to
	// take. What it leaves is presented again, together with more. An error
	// closes the connection at once.
	Data func(c *Conn) error

	// End is called when the peer has ended its stream: there will be no more
	// Data, but the connection can still be written to, and stays open until
	// it is closed. Without End it is closed, as with Conn.Close.
	End func(c *Conn) error

	// Pressure is called when more than HighWater is queued for the peer (on),
	// and when that is down to LowWater. What goes up and down again between two
	// looks of the loop, as writes of other goroutines may, is not told.
	Pressure func(c *Conn, on bool)

	// Close is the last callback of a connection, after the descriptor has
	// been closed; if output is lost with it, the peer of a TCP connection sees
	// a reset. The error says why: nil after Conn.Close, io.EOF when the
	// peer has ended it, ErrAborted after Conn.Abort, or what a callback
	// returned, a timeout, a system call's.
	Close func(c *Conn, err error)

	// Packet is called with each datagram that a udp listener receives. It is
	// valid until the callback returns.
	Packet func(l *PacketListener, p []byte, from socket.Addr)

	// Boot is called before anything is served; an error keeps the server from
	// it. Of the server's methods it may call Close and Stats. Shutdown is
	// called when the last connection is gone, or when Close ends them.
	Boot     func(s *Server) error
	Shutdown func(s *Server)

	// Tick is called on each loop, again and again with Every between, at
	// least a millisecond.
	Tick  func(l *loop.Loop)
	Every time.Duration
}

// Balance is how new connections are spread over the loops.
type Balance int

const (
	RoundRobin       Balance = iota // in turn
	LeastConnections                // to the loop that has the fewest
	SourceHash                      // by the peer's IP address: the same goes to the same loop
)

// Why connections end, or are refused something.
var (
	ErrInputFull    = errors.New("weir: the input is full: too much was left unread")
	ErrOutputFull   = errors.New("server: the output is full: Server.MaxOutput bytes would be queued")
	ErrAborted      = errors.New("weir: the connection was aborted")
	ErrServerClosed = errors.New("weir: the server is closed")
)

// start makes the engines, once.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.state == booting {
		if s.booter == goroutine() {
			return errors.New("weir: Server.Events.Boot calls the server, which does not serve yet")
		}
		booted := s.booted
		s.mu.Unlock()
		<-booted
		s.mu.Lock()
	}
	switch {
	case s.failure != nil:
		return s.failure
	case s.state == serving:
		return nil
	case s.state != fresh:
		return ErrServerClosed
	}
	if err := s.check(); err != nil {
		return err
	}
	if err := s.makeGroup(); err != nil {
		return err
	}
	s.ended, s.idle, s.hurry = make(chan struct{}), make(chan struct{}, 1), make(chan struct{})
	if err := s.boot(); err != nil {
		s.dropGroup()
		return err
	}
	for _, l := range s.group.Loops() {
		s.engines = append(s.engines, newEngine(s, l))
	}
	s.state = serving
	s.startTicks()
	if s.StallAfter > 0 {
		s.watchdog = watch(s)
	}
	return nil
}

// boot calls Boot, without the lock: Close may come meanwhile.
func (s *Server) boot() error {
	f := s.Events.Boot
	if f == nil {
		return nil
	}
	s.state, s.booter, s.booted = booting, goroutine(), make(chan struct{})
	s.mu.Unlock()
	err := guard(s, s, f)
	s.mu.Lock()
	close(s.booted)
	if s.state == closed {
		return ErrServerClosed
	}
	s.state = fresh
	if err != nil {
		s.failure = fmt.Errorf("weir: boot: %w", err)
	}
	return s.failure
}

// check refuses what makes no sense, and fills in the defaults.
func (s *Server) check() error {
	wrong := func(field string, value any, why string) error {
		return fmt.Errorf("weir: Server.%s is %v: %s", field, value, why)
	}
	for _, f := range []struct {
		name  string
		value int
	}{
		{"Loops", s.Loops}, {"MaxConns", s.MaxConns}, {"Backlog", s.Backlog}, {"Chunk", s.Chunk}, {"MaxInput", s.MaxInput},
		{"HighWater", s.HighWater}, {"LowWater", s.LowWater}, {"MaxOutput", s.MaxOutput},
		{"RecvBuffer", s.RecvBuffer}, {"SendBuffer", s.SendBuffer},
	} {
		if f.value < 0 {
			return wrong(f.name, f.value, "it must not be negative")
		}
		if f.value > math.MaxInt32 {
			return wrong(f.name, f.value, "it is too great")
		}
	}
	if err := s.Timeouts.check(); err != nil {
		return err
	}
	s.Backlog = cmp.Or(s.Backlog, maxBacklog)
	s.Chunk = cmp.Or(s.Chunk, 1<<20)
	s.MaxInput = cmp.Or(s.MaxInput, 1<<20)
	s.HighWater = cmp.Or(s.HighWater, 64<<10)
	s.LowWater = cmp.Or(s.LowWater, s.HighWater/2)
	s.MaxOutput = cmp.Or(s.MaxOutput, 16<<20)
	s.KeepAlive = cmp.Or(s.KeepAlive, 15*time.Second)
	s.Log = cmp.Or(s.Log, slog.Default())
	switch {
	case s.Handle != nil && s.Events.Data != nil:
		return errors.New("weir: Server.Handle and Server.Events.Data are both set")
	case s.Handle != nil && (s.Events.Open != nil || s.Events.End != nil || s.Events.Pressure != nil || s.Events.Close != nil):
		return errors.New("weir: Server.Handle serves connections without Server.Events.Open, End, Pressure and Close")
	case s.LowWater > s.HighWater:
		return wrong("LowWater", s.LowWater, "it is above HighWater")
	case s.MaxOutput < s.HighWater:
		return wrong("MaxOutput", s.MaxOutput, "it is below HighWater")
	case s.KeepAlive > longestKeepAlive:
		return wrong("KeepAlive", s.KeepAlive, "the most is "+longestKeepAlive.String())
	case s.Balance < RoundRobin || s.Balance > SourceHash:
		return wrong("Balance", int(s.Balance), "there is no such")
	case s.StallAfter < 0 || s.StallAfter > 0 && s.StallAfter < time.Millisecond:
		return wrong("StallAfter", s.StallAfter, "it is 0, or a millisecond at least")
	case s.Events.Tick != nil && s.Events.Every < time.Millisecond:
		return wrong("Events.Every", s.Events.Every, "it is a millisecond at least")
	case s.Group != nil && len(s.Group.Loops()) == 0:
		return errors.New("weir: Server.Group has no loops")
	case s.Group != nil && (s.Loops != 0 || s.LockThread):
		return errors.New("weir: Server.Loops and Server.LockThread are for a Server without a Group")
	}
	return nil
}

// maxBacklog has the kernel take its own limit, net.core.somaxconn.
const maxBacklog = 1<<31 - 1

// longestKeepAlive is the kernel's limit: tcp(7), TCP_KEEPIDLE.
const longestKeepAlive = 32767 * time.Second

func (s *Server) makeGroup() error {
	if s.group = s.Group; s.group != nil {
		return nil
	}
	var opts []loop.Option
	if s.LockThread {
		opts = append(opts, loop.WithLockedThread(), loop.WithStrategy(poller.Blocking))
	}
	n := cmp.Or(s.Loops, runtime.GOMAXPROCS(0))
	g, err := loop.NewGroup(n, loop.RoundRobin(), opts...)
	if err != nil {
		return fmt.Errorf("weir: %w", err)
	}
	s.group, s.ownGroup = g, true
	return nil
}

// ListenAndServe is Listen and Wait.
func (s *Server) ListenAndServe(network, address string) error {
	if _, err := s.Listen(network, address); err != nil {
		return err
	}
	return s.Wait()
}

// Wait returns when the server has ended, by Shutdown or Close:
// ErrServerClosed.
func (s *Server) Wait() error {
	if err := s.start(); err != nil && err != ErrServerClosed {
		return err
	}
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	<-ended
	return ErrServerClosed
}
