package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/internal/loglimit"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
)

// A Server serves connections and datagrams on the event loops of a Group.
//
// Set the fields before the first call of a method, and do not change them
// afterwards. Their zero values are good defaults; only Events or Handler must be
// set. It is concurrency-safe, but a callback must not call the methods that wait.
//
//	srv := &server.Server{Events: server.Events{
//		Data: func(c *server.Conn) error {
//			_, err := c.Write(c.Next(-1))
//			return err
//		},
//	}}
//	log.Fatal(srv.ListenAndServe("tcp", "localhost:7000"))
//
// The Server logs and counts each panic of a callback, and ends the callback's
// connection. A callback that calls runtime.Goexit, as testing.T.FailNow does,
// ends its loop and all connections on it; the Server logs that, too.
type Server struct {
	// Name names the server in profiles and in the log. It may be empty.
	Name string

	// Events are called on the connection's loop and must not block.
	Events Events

	// Handler, instead of Events.Data, serves a connection in blocking code. The
	// Server calls it on a goroutine when there is something to read. It reads
	// and answers, for example one request, and returns. If there is more to read
	// the Server calls it again, otherwise the connection has no goroutine until
	// there is. So a Handler that reads nothing and returns nil is called again and
	// again. See Session for what a program may keep between the calls.
	//
	// An error closes the connection, as Conn.Close does. The Server logs the
	// error unless it is io.EOF or a timeout, or means that the peer has gone. The
	// end of the stream ends the connection, too: the last call may read io.EOF,
	// and is the last even if it returns nil. With a Handler, the callbacks of
	// Events that have a Conn must be nil.
	Handler func(s *Session) error
	// Begin is called before the first call of Handler, as soon as the connection
	// was accepted, and may block, too: it may greet the client. An error ends the
	// session. Finish is called after the last call, before the Socket is closed.
	// The error says why the session ends: io.EOF when the peer has ended the
	// stream, ErrClosed when the server ends, net.ErrClosed if the program has
	// closed the Socket, a *TimeoutError, or what Begin or Handler has returned.
	Begin  func(s *Session) error
	Finish func(s *Session, err error)

	// TLS, if it is not nil, makes the connections that the listeners accept TLS
	// connections, by crypto/tls: see the package's documentation. The config must not
	// be changed afterwards. It does not hold for Attach, nor for a Service, which has
	// a TLS of its own. AttachTLS, AttachTLSClient and DialTLS have a config as an
	// argument.
	TLS *tls.Config

	// Control is called with the descriptor of each connection that a listener has
	// accepted, before anything else, to set options of it. An error closes the
	// connection, and is logged. It is called on a loop and must not block.
	Control func(fd int) error
	// ProxyProtocol makes the listeners expect a header of the PROXY protocol. Nil means
	// none.
	ProxyProtocol *ProxyProtocol
	// ServiceOf returns the Service of a listener that ListenOn or Inherit serves
	// at a local address. If ServiceOf is nil or returns nil, the Server's own
	// Events or Handler serve the listener.
	ServiceOf func(local socket.Addr) *Service

	// Group has the loops to serve on. The caller closes it, after the Server.
	// If it is nil the Server makes a group of its own with as many loops as
	// Loops says; 0 means GOMAXPROCS. A Group of the program's has the program's
	// loop.Options: with BusyPoll: loop.NoBusyPoll its loops do not poll before they
	// sleep.
	Group *loop.Group
	Loops int
	// LockThread keeps each of the Server's own loops on a thread of its own,
	// which blocks in epoll_wait(2).
	LockThread bool
	// Policy chooses the loop of each new connection among the Server's own
	// loops. Nil is loop.RoundRobin. A Group has its own Policy.
	Policy loop.Policy
	// ReusePort gives each loop listeners of its own, among which the kernel
	// spreads the connections (SO_REUSEPORT). No Policy is used for them.
	ReusePort bool

	// MaxConns is how many connections may be open at the same time. Further ones
	// wait in the backlog. 0 means no limit but that of descriptors.
	MaxConns int
	// MaxConnsPerIP is how many connections may be open at the same time from one IPv4
	// address, or from one IPv6 network of 64 bits. The server closes a further one
	// right after it has accepted it, and counts it in Stats.Refused. Only connections
	// of listeners count. 0 means no limit.
	MaxConnsPerIP int
	// MaxHandlers is how many calls of Begin and Handler may run at the same time, on
	// as many goroutines. Further ones wait until a call returns, first come, first
	// served; meanwhile FirstByte and Idle do not end them. 0 means no limit.
	MaxHandlers int
	// Backlog is how many connections may wait at each listener to be accepted:
	// listen(2). 0 means as many as the system allows.
	Backlog int
	// Device is the name of a network interface. Listeners that Listen opens, other than
	// unix ones, then get only what arrives at that interface: SO_BINDTODEVICE in
	// socket(7). Old kernels need CAP_NET_RAW for it.
	Device string
	// KeepPath leaves the paths of unix listeners when the Server ends. Otherwise
	// it removes those that Listen has made, unless another process has replaced
	// them. ReplacePath has Listen replace the path of a unix socket that refuses
	// connects: that of a server which was killed.
	KeepPath, ReplacePath bool
	// Chunk is how many bytes the Server reads from one connection, and about how many
	// it sends to it, before it serves the others on the loop. It goes on in a later
	// turn. If Data takes more than half a millisecond for so many bytes, it gets fewer
	// at a time, 4 KiB at least. 0 means 64 KiB.
	Chunk int
	// MaxInput is how many bytes Data may leave unread while it waits for more.
	// With more, the connection ends with ErrInputFull. 0 means 1 MiB.
	MaxInput int
	// While more than HighWater bytes are queued for a peer, the Server reads
	// nothing from it. When at most LowWater are left it reads again, after it has
	// presented once more what Data had left: so Data may stop when Conn.Queued is
	// above HighWater. 0 means 64 KiB, and half of HighWater.
	HighWater, LowWater int
	// MaxOutput is how many bytes may be queued for a peer. A write of more
	// returns ErrOutputFull. 0 means 16 MiB. The queue occupies at most twice the
	// queued bytes, plus 64 bytes for each WriteAsync whose completion was not
	// called yet, plus 16 KiB, or 56 KiB with TLS. There may be one such WriteAsync for each 64 bytes
	// of MaxOutput.
	MaxOutput int

	// MaxMemory is how many bytes all connections together may hold: the input that
	// Data has left unread, and the queued output with 64 bytes for each piece. A piece
	// counts once for each connection that has queued it. With TLS it counts parts of
	// records that have arrived, and ciphertext, too. MemoryPolicy says what
	// happens when little is left. At the bound the server reads nothing, and a write
	// returns ErrMemoryFull if it has more than 64 KiB or output is queued already. The
	// count is exact to 64 KiB for each loop of each Service. Writes of several loops at the
	// same moment may find the same room: until the policy has acted, they exceed the bound.
	// The count leaves out what the program itself keeps, such as a Handler does. At
	// least a mebibyte; 0 means a quarter of the memory that the process may use: of the
	// machine's, of the limit of its control group, or of GOMEMLIMIT, whichever is least.
	MaxMemory    int64
	MemoryPolicy MemoryPolicy

	// Timeouts apply to each connection unless a Service or Conn.SetTimeouts
	// gives it others.
	Timeouts Timeouts

	// Rates limit how fast the Server accepts connections and transfers bytes.
	Rates Rates

	// TCP connections have TCP_NODELAY set unless Delay is true. The kernel probes
	// an idle TCP connection after KeepAlive; 0 means 15 seconds, a negative value
	// never. RecvBuffer and SendBuffer are SO_RCVBUF and SO_SNDBUF in bytes; 0
	// leaves them to the kernel.
	Delay                  bool
	KeepAlive              time.Duration
	RecvBuffer, SendBuffer int

	// StallAfter is how long a callback may hold up a loop. If one takes longer, a
	// watchdog logs its stack and counts it in Stats. The time for which the process was
	// stopped does not count. 0 means no watchdog.
	StallAfter time.Duration

	// Log gets what the Server reports neither by an error nor by a callback: panics,
	// stalls, refused or failed accepts, and the errors of handlers. Nil is
	// slog.Default(). Records with the same level and message are of one kind. The Server
	// writes the first ten records of a kind at once. Then it writes the last one every
	// 10 seconds, with the number of those that it has left out as the attribute "times".
	// When the Server starts it replaces Log by a Logger that does so.
	Log *slog.Logger

	mu           sync.Mutex // guards the fields down to ended
	state        serverState
	engines      []*engine // one for each loop; they call the Server's own callbacks
	allEngines   []*engine // engines, and those of all services
	services     map[*Service][]*engine
	listeners    []*listener
	packets      []*PacketConn
	ownGroup     bool
	failure      error         // why Boot has refused to start the server
	booter       uint64        // the goroutine that calls Boot
	booted       chan struct{} // closed when Boot has returned
	panicReports []func()      // each function stops the reports of one loop's panics
	hurried      bool          // hurry is closed
	handed       bool          // a successor has the listeners, too
	ended        chan struct{} // closed when the server has ended

	group    *loop.Group
	waiting  atomic.Bool   // listeners wait for room under MaxConns
	hurry    chan struct{} // closed by Close, for a Shutdown in progress
	idle     chan struct{} // gets a value when the last connection has gone
	conns    atomic.Int64  // open connections
	freed    atomic.Uint64 // connections whose descriptors were closed
	resting  atomic.Int64  // listeners that do not accept because accept(2) fails
	retiring atomic.Bool   // the server is ending: each session ends when it becomes idle
	aborting atomic.Bool   // the server is closing: a session that begins now ends at once
	watchdog *watchdog
	memory   memory
	sources  sources
	stopLog  func() // writes what Log has left out
	handlers handlers
	counters counters
}

// mostRecords is how many records of one kind the server logs in loglimit.Every.
const mostRecords = 10

type serverState int

const (
	fresh serverState = iota
	booting
	serving
	draining // nothing more is accepted
	closed
)

// start makes the engines in its first successful call. After Boot has failed it
// always returns Boot's error, and after the end of the server ErrClosed.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.state == booting {
		if s.booter == goroutine() {
			return errors.New("server: Server.Events.Boot calls a method that needs the server to have started")
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
		return ErrClosed
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
	own := s.ownService()
	for _, l := range s.group.Loops() {
		s.engines = append(s.engines, newEngine(s, l, &own))
		s.reportPanics(l)
	}
	s.allEngines = s.engines
	if s.Name != "" {
		s.Log = s.Log.With("server", s.Name)
	}
	s.Log, s.stopLog = loglimit.New(s.Log, mostRecords, loglimit.Every)
	s.state = serving
	s.relabel()
	s.startTicks()
	if s.StallAfter > 0 {
		s.watchdog = watch(s)
	}
	return nil
}

// boot calls Boot without the lock, so that Boot may call Close.
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
		return ErrClosed
	}
	s.state = fresh
	if err != nil {
		s.failure = fmt.Errorf("server: boot: %w", err)
	}
	return s.failure
}

// ListenAndServe calls Listen, and then Wait. It returns Listen's error, or
// ErrClosed when the server has ended.
func (s *Server) ListenAndServe(network, address string) error {
	if _, err := s.Listen(network, address); err != nil {
		return err
	}
	return s.Wait()
}

// Wait waits until the server has ended, by Shutdown or Close, and returns
// ErrClosed. If the server cannot start, it returns why.
func (s *Server) Wait() error {
	if err := s.start(); err != nil && err != ErrClosed {
		return err
	}
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	<-ended
	return ErrClosed
}

// Stats are what a Server counts.
type Stats struct {
	Accepted uint64 // connections that were accepted so far
	Dialed   uint64 // connections of Dial
	Attached uint64 // connections of Attach
	Refused  uint64 // connections that were accepted, and closed because of MaxConnsPerIP, or because Control has refused them
	Full     uint64 // times that a listener began to wait because MaxConns connections were open
	Conns    int    // open connections; for a moment also one that a listener is about to accept
	Pauses   uint64 // times that accepting or receiving began to pause because system calls fail repeatedly
	Stalls   uint64 // times that the watchdog found a loop held up: see Server.Stalls
	Panics   uint64 // panics of callbacks, handlers, and tasks and timers on the server's loops
	Handlers int    // goroutines that run Begin or Handler; Close does not wait for them
	Waiting  int    // sessions that wait because of MaxHandlers
	Memory   int64  // bytes that count for MaxMemory
	Ended    uint64 // connections that MaxMemory has ended

	// LongestStall is how long the longest turn of a loop has lasted that the watchdog
	// has seen; within a quarter of StallAfter. It is 0 without StallAfter.
	LongestStall time.Duration

	// What was received, and what the kernel has taken: of the connections that Events
	// serve, and of datagrams. The bytes of a Session count when it ends, as the kernel
	// has counted them; those of a unix Session do not count.
	BytesIn, BytesOut     uint64
	PacketsIn, PacketsOut uint64 // datagrams

	// Times that Rates has made a listener wait, the reading from a connection, and the
	// sending to one.
	AcceptDelays, ReadDelays, WriteDelays uint64
	ProxyRefusals                         uint64 // connections that ProxyProtocol has refused
}

type counters struct {
	accepted, dialed, attached, refused, full, ended atomic.Uint64
	pauses, stalls, panics                           atomic.Uint64
	acceptDelays, readDelays, writeDelays            atomic.Uint64
	proxyRefusals                                    atomic.Uint64
}

// Stats returns what the Server has counted so far.
func (s *Server) Stats() Stats {
	n := Stats{
		Accepted: s.counters.accepted.Load(),
		Dialed:   s.counters.dialed.Load(),
		Attached: s.counters.attached.Load(),
		Refused:  s.counters.refused.Load(),
		Full:     s.counters.full.Load(),
		Conns:    int(s.conns.Load()),
		Pauses:   s.counters.pauses.Load(),
		Stalls:   s.counters.stalls.Load(),
		Panics:   s.counters.panics.Load(),
		Handlers: s.inHandlers(),
		Waiting:  int(s.handlers.waiting.Load()),
		Memory:   s.held(),
		Ended:    s.counters.ended.Load(),

		AcceptDelays:  s.counters.acceptDelays.Load(),
		ReadDelays:    s.counters.readDelays.Load(),
		WriteDelays:   s.counters.writeDelays.Load(),
		ProxyRefusals: s.counters.proxyRefusals.Load(),

		LongestStall: s.longestStall(),
	}
	s.addTraffic(&n)
	return n
}
