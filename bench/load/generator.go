// Package load has the load generators. A generator is a process with one thread and one epoll
// loop, without a goroutine for each connection, so that it takes less time than any server that
// it measures. It compares each byte that comes back: a server that loses or mixes up data is an
// error, not a fast server.
package load

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/wire"
	"golang.org/x/sys/unix"
)

// An Order tells a generator what to send, to which server, and for how long.
type Order struct {
	Addr      string // of the server
	ServerPID int    // whose processor time is taken over the window
	Conns     int
	Size      int           // of a message
	Burst     int           // messages that a connection has in flight
	Framed    bool          // the messages are frames (package wire)
	WarmUp    time.Duration // not counted
	Window    time.Duration // counted
	Patience  time.Duration // longest wait for an answer
	Rate      float64       // requests per second to send (paced-load, bystander-load)
	Flood     *Flood        // what happens beside them (bystander-load); nil: nothing
}

// A Result is what a generator counted within the window.
type Result struct {
	Requests int64 // messages that were answered
	machine.Usage
	P50, P99, P999 time.Duration // of a burst, or a datagram
	Late           time.Duration // 99 of 100 requests left no later than this after they were due (paced-load)
	Behind         int64         // requests that were due when the window ended, and had not left (paced-load)
	Flooded        int64         // bytes or connections of the flood (bystander-load)
}

// longest is the greatest latency that a generator tells apart from greater ones.
const longest = time.Minute

// openGroup is the number of connections that a generator opens before it waits for an answer on
// each. It is smaller than the backlog of any server.
const openGroup = 512

// generating makes the role of a kind of traffic.
func generating(open func(g *generator) (traffic, error)) child.Role {
	return child.Ordered(func(order Order, answer child.Answer) error {
		if err := machine.RaiseFileLimit(); err != nil {
			return err
		}
		g, err := newGenerator(order)
		if err != nil {
			return err
		}
		if g.traffic, err = open(g); err != nil {
			return err
		}
		result, err := g.run()
		if err != nil {
			return err
		}
		return answer(result)
	})
}

// traffic is what a generator sends and receives.
type traffic interface {
	// start sends the first messages. The generator reads the clock before it calls start.
	start() error
	// ready continues with the descriptor that is watched under this number. It tells the generator
	// what was answered. It sends the next message, now or in flush, unless the generator is
	// stopping.
	ready(number int) error
	// The generator calls flush when it has called ready for each event of a batch. To receive from
	// all and then to send to all costs less than both in turn: the code stays in the processor's
	// cache.
	flush() error
	// finish checks what can be checked only after the last answer.
	finish() error
}

// A generator keeps the time, and counts.
type generator struct {
	traffic traffic
	order   Order
	epoll   int
	events  []unix.EpollEvent

	epoch     time.Time
	now       time.Duration           // since the epoch, as last read from the clock
	stopping  bool                    // no new messages
	inFlight  int                     // bursts, or datagrams
	requests  int64                   // messages that were answered
	latencies *hdrhistogram.Histogram // nanoseconds
	pace      *pace                   // nil: a request follows an answer
	flooded   func() int64            // what the flood has moved so far; nil: there is none
}

func newGenerator(order Order) (*generator, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	return &generator{
		order:     order,
		epoll:     epoll,
		events:    make([]unix.EpollEvent, 512),
		epoch:     time.Now(),
		latencies: hdrhistogram.New(1, int64(longest), 3),
	}, nil
}

// watch makes the generator call ready with the number when there is input and, if write is set,
// when there is room to write.
func (g *generator) watch(fd, number int, write bool) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(number)}
	if write {
		event.Events |= unix.EPOLLOUT
	}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, fd, &event))
}

// run warms up, measures, and waits for the last answers.
func (g *generator) run() (Result, error) {
	g.readClock()
	if err := g.traffic.start(); err != nil {
		return Result{}, err
	}
	if err := g.serveUntil(g.now + g.order.WarmUp); err != nil {
		return Result{}, err
	}
	result, err := g.window()
	if err != nil {
		return Result{}, err
	}
	if err := g.drain(); err != nil {
		return Result{}, err
	}
	if result.Requests == 0 {
		return Result{}, fmt.Errorf("no message came back within %v", g.order.Window+g.order.Patience)
	}
	return result, g.traffic.finish()
}

func (g *generator) window() (Result, error) {
	g.latencies.Reset()
	g.requests = 0
	if g.pace != nil {
		g.pace.late.Reset()
	}
	old, flooded := int64(g.inFlight), g.floodedSoFar()
	begin, err := machine.Read(g.order.ServerPID, g.epoch)
	if err != nil {
		return Result{}, err
	}
	g.now = begin.At
	if err := g.serveUntil(begin.At + g.order.Window); err != nil {
		return Result{}, err
	}
	// A window lasts until a message was both sent and answered in it. Otherwise its figures
	// would describe messages from before only.
	for last := g.now + g.order.Patience; g.latencies.TotalCount() <= old && g.now < last; {
		if err := g.turn(last); err != nil {
			return Result{}, err
		}
	}
	end, err := machine.Read(g.order.ServerPID, g.epoch)
	if err != nil {
		return Result{}, err
	}
	g.now = end.At
	result := Result{
		Requests: g.requests,
		Usage:    begin.Until(end),
		P50:      time.Duration(g.latencies.ValueAtPercentile(50)),
		P99:      time.Duration(g.latencies.ValueAtPercentile(99)),
		P999:     time.Duration(g.latencies.ValueAtPercentile(99.9)),
	}
	result.Flooded = g.floodedSoFar() - flooded
	if g.pace != nil {
		result.Late = time.Duration(g.pace.late.ValueAtPercentile(99))
		result.Behind = g.pace.behind
	}
	return result, nil
}

func (g *generator) floodedSoFar() int64 {
	if g.flooded == nil {
		return 0
	}
	return g.flooded()
}

// drain stops sending and waits for what is in flight. It notices a connection that the server
// forgot, however busy the others were.
func (g *generator) drain() error {
	g.stopping = true
	defer func() { g.stopping = false }()
	waiting := g.inFlight
	for end := g.now + g.order.Patience; g.inFlight > 0 && g.now < end; {
		if err := g.turn(end); err != nil {
			return err
		}
	}
	if g.inFlight > 0 {
		return fmt.Errorf("%d of %d got no answer within %v", g.inFlight, waiting, g.order.Patience)
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
	n, errno, err := g.wait(end)
	if err != nil {
		return err
	}
	if errno != 0 && errno != unix.EINTR {
		return os.NewSyscallError("epoll_pwait", errno)
	}
	if errno != 0 || n == 0 {
		g.readClock()
		return nil
	}
	for i := range n {
		if err := g.traffic.ready(int(g.events[i].Fd)); err != nil {
			return err
		}
	}
	return g.traffic.flush()
}

// wait waits for events until end, or until the next request is due.
func (g *generator) wait(end time.Duration) (int, unix.Errno, error) {
	if g.pace == nil || g.stopping {
		wait := (end - g.now + time.Millisecond - 1) / time.Millisecond
		n, errno := wire.EpollWait(g.epoll, g.events, int(wait))
		return n, errno, nil
	}
	g.readClock()
	next, err := g.pace.sendDue()
	if err != nil {
		return 0, 0, err
	}
	n, errno := wire.EpollWaitExact(g.epoll, g.events, max(0, min(end, next)-g.now))
	return n, errno, nil
}

// sent counts a burst. Its time of sending is when the clock was last read.
func (g *generator) sent() (at time.Duration) {
	g.inFlight++
	return g.now
}

// answered counts the messages of a burst that was sent at once. All of them came back.
func (g *generator) answered(sent time.Duration, messages int) error {
	g.readClock()
	g.inFlight--
	g.requests += int64(messages)
	return g.latencies.RecordValue(int64(min(g.now-sent, longest)))
}

func (g *generator) readClock() { g.now = time.Since(g.epoch) }

var errClosedByServer = errors.New("the server closed the connection")
