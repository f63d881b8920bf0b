package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// The load generator: one thread, one epoll loop, no goroutine per connection, so that it
// takes less time than any server it measures. Each connection has one message in flight, and
// every byte that comes back is compared: a server that loses or mixes up data is an error,
// not a fast server.

type loadOrder struct {
	Addr      string // of the server
	ServerPID int    // whose processor time is taken over the window
	Conns     int
	Size      int           // of a message
	WarmUp    time.Duration // not counted
	Window    time.Duration // counted
	Patience  time.Duration // with answers that are still out when the window ends
}

type loadResult struct {
	Requests  int64         // that came back within the window
	Elapsed   time.Duration // the window's true length
	ServerCPU time.Duration
	LoadCPU   time.Duration
	Queued    time.Duration // what other processes took: of the two, the one that lost more
	P50, P99  time.Duration
}

// spareFiles are the descriptors that a process needs beside its connections.
const spareFiles = 64

// loadEcho is the role of the generator.
func loadEcho(order loadOrder, answer answerFunc) error {
	if err := raiseFileLimit(); err != nil {
		return err
	}
	g, err := newGenerator(order)
	if err != nil {
		return err
	}
	defer g.close()
	result, err := g.run()
	if err != nil {
		return err
	}
	return answer(result)
}

type generator struct {
	order   loadOrder
	epoll   int
	conns   []loadConn
	message []byte // what is sent; its first bytes are stamped for every message
	in      []byte // one byte longer than a message, to see that there is no more
	events  []unix.EpollEvent

	began     time.Time
	now       time.Duration // since began, as last read from the clock
	stopping  bool          // no new messages
	inFlight  int
	latencies *hdrhistogram.Histogram // nanoseconds
}

type loadConn struct {
	fd      int
	index   int
	seq     uint32        // of the message in flight
	sent    int           // bytes of it
	got     int           // bytes of it that came back
	started time.Duration // when it was sent
}

func newGenerator(order loadOrder) (*generator, error) {
	g := &generator{
		order:     order,
		conns:     make([]loadConn, order.Conns),
		message:   make([]byte, order.Size),
		in:        make([]byte, order.Size+1),
		events:    make([]unix.EpollEvent, 512),
		began:     time.Now(),
		latencies: hdrhistogram.New(1, int64(time.Minute), 3),
	}
	for i := range g.message {
		g.message[i] = byte(i*7 + i>>8)
	}
	var err error
	if g.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	addr, err := netip.ParseAddrPort(order.Addr)
	if err != nil {
		return nil, err
	}
	for i := range g.conns {
		c := &g.conns[i]
		c.index = i
		if c.fd, err = g.connect(addr, i); err != nil {
			return nil, fmt.Errorf("connection %d of %d: %w", i+1, order.Conns, err)
		}
	}
	return g, nil
}

func (g *generator) connect(addr netip.AddrPort, index int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	// A send timeout bounds connect as well; a closed connection must not linger in TIME_WAIT,
	// or a few rounds of many connections would use up the ports.
	patience := unix.NsecToTimeval(int64(g.order.Patience))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience); err != nil {
		return fd, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return fd, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fd, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		return fd, os.NewSyscallError("connect", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return fd, os.NewSyscallError("fcntl", err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLET, Fd: int32(index)}
	return fd, os.NewSyscallError("epoll_ctl", unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, fd, &event))
}

func (g *generator) close() {
	for i := range g.conns {
		unix.Close(g.conns[i].fd) //nolint:errcheck // the process ends anyway
	}
	unix.Close(g.epoll) //nolint:errcheck // as above
}

// run warms up, measures, and waits for the last answers.
func (g *generator) run() (loadResult, error) {
	g.readClock()
	for i := range g.conns {
		if err := g.begin(&g.conns[i]); err != nil {
			return loadResult{}, err
		}
	}
	if err := g.serveUntil(g.now + g.order.WarmUp); err != nil {
		return loadResult{}, err
	}
	result, err := g.window()
	if err != nil {
		return loadResult{}, err
	}
	return result, g.drain()
}

func (g *generator) window() (loadResult, error) {
	g.latencies.Reset()
	start, err := g.account()
	if err != nil {
		return loadResult{}, err
	}
	if err := g.serveUntil(start.at + g.order.Window); err != nil {
		return loadResult{}, err
	}
	end, err := g.account()
	if err != nil {
		return loadResult{}, err
	}
	return loadResult{
		Requests:  g.latencies.TotalCount(),
		Elapsed:   end.at - start.at,
		ServerCPU: end.server - start.server,
		LoadCPU:   end.load - start.load,
		Queued:    max(end.serverQueued-start.serverQueued, end.loadQueued-start.loadQueued),
		P50:       time.Duration(g.latencies.ValueAtPercentile(50)),
		P99:       time.Duration(g.latencies.ValueAtPercentile(99)),
	}, nil
}

// An account is taken at both ends of the window.
type account struct {
	at                       time.Duration
	server, load             time.Duration // processor time
	serverQueued, loadQueued time.Duration // time without a processor
}

func (g *generator) account() (a account, err error) {
	if a.server, err = cpuTime(g.order.ServerPID); err != nil {
		return a, err
	}
	if a.load, err = cpuTime(os.Getpid()); err != nil {
		return a, err
	}
	a.serverQueued, a.loadQueued = queueTime(g.order.ServerPID), queueTime(os.Getpid())
	g.readClock()
	a.at = g.now
	return a, nil
}

// drain sends nothing new and waits for what is in flight: a connection that was forgotten by
// the server shows here, however busy the others were.
func (g *generator) drain() error {
	g.stopping = true
	for end := g.now + g.order.Patience; g.inFlight > 0 && g.now < end; {
		if err := g.turn(end); err != nil {
			return err
		}
	}
	if g.inFlight > 0 {
		return fmt.Errorf("%d of %d connections got no answer within %v", g.inFlight, len(g.conns), g.order.Patience)
	}
	if g.latencies.TotalCount() == 0 {
		return fmt.Errorf("no message came back within the %v measured: give -dur more", g.order.Window)
	}
	return nil
}

func (g *generator) serveUntil(end time.Duration) error {
	for g.now < end {
		if err := g.turn(end); err != nil {
			return err
		}
	}
	return nil
}

// turn waits for events, until end at the latest, and serves them.
func (g *generator) turn(end time.Duration) error {
	wait := (end - g.now + time.Millisecond - 1) / time.Millisecond
	n, errno := rawEpollWait(g.epoll, g.events, int(wait))
	if errno != 0 && errno != unix.EINTR {
		return os.NewSyscallError("epoll_pwait", errno)
	}
	if errno != 0 || n == 0 {
		g.readClock()
		return nil
	}
	for i := range n {
		c := &g.conns[g.events[i].Fd]
		if err := g.ready(c); err != nil {
			return fmt.Errorf("connection %d, message %d: %w", c.index, c.seq, err)
		}
	}
	return nil
}

// begin sends a new message. The time is that of the last look at the clock, which was after
// the answer before this came in: one look serves both.
func (g *generator) begin(c *loadConn) error {
	c.seq++
	c.sent, c.got, c.started = 0, 0, g.now
	g.inFlight++
	return g.send(c)
}

// send writes what the kernel takes of the message; the rest follows on the next OUT edge.
func (g *generator) send(c *loadConn) error {
	g.stamp(c)
	for {
		n, errno := rawWrite(c.fd, g.message[c.sent:])
		switch errno {
		case 0:
			c.sent += n
			return nil
		case unix.EINTR:
		case unix.EAGAIN:
			return nil
		default:
			return os.NewSyscallError("write", errno)
		}
	}
}

// ready goes on with a connection that is readable or writable. One read is enough: in is
// longer than what is outstanding, so a right answer never fills it, and what comes later
// raises a new edge.
func (g *generator) ready(c *loadConn) error {
	if c.sent < len(g.message) {
		if err := g.send(c); err != nil {
			return err
		}
	}
	n, errno := rawRead(c.fd, g.in)
	switch {
	case errno == unix.EINTR:
		return g.ready(c)
	case errno == unix.EAGAIN:
		return nil
	case errno != 0:
		return os.NewSyscallError("read", errno)
	case n == 0:
		return fmt.Errorf("the server closed the connection")
	}
	if err := g.verify(c, g.in[:n]); err != nil {
		return err
	}
	c.got += n
	if c.got < len(g.message) {
		return nil
	}
	g.readClock()
	g.inFlight--
	if err := g.latencies.RecordValue(int64(g.now - c.started)); err != nil {
		return err
	}
	if g.stopping {
		return nil
	}
	return g.begin(c)
}

func (g *generator) verify(c *loadConn, p []byte) error {
	if c.got+len(p) > c.sent {
		return fmt.Errorf("%d bytes came back of %d that were sent", c.got+len(p), c.sent)
	}
	g.stamp(c)
	want := g.message[c.got:][:len(p)]
	if bytes.Equal(p, want) {
		return nil
	}
	for i := range p {
		if p[i] != want[i] {
			return fmt.Errorf("byte %d was sent as %#02x and came back as %#02x", c.got+i, want[i], p[i])
		}
	}
	return nil
}

// stamp makes the message that of this connection and number, or as much of it as a short
// message holds: an answer to another one is seen.
func (g *generator) stamp(c *loadConn) {
	var stamp [8]byte
	binary.LittleEndian.PutUint64(stamp[:], uint64(c.index)<<32|uint64(c.seq))
	copy(g.message, stamp[:])
}

func (g *generator) readClock() { g.now = time.Since(g.began) }
