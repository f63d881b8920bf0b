// Package together measures a server and its clients in one process, as programs are that talk
// to themselves, or serve and ask at once: they share the processors of Go's scheduler, its
// timers and its garbage collector. The roles run in child processes.
package together

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/subjects"
)

// Roles are the processes that are server and clients at once.
var Roles = map[string]child.Role{"together": child.Ordered(run)}

// An Order names two subjects, and says how many clients ask for how long.
type Order struct {
	Server, Client string
	Conns          int // each with a goroutine
	Size           int // of a message, in bytes
	WarmUp, Window time.Duration
	Patience       time.Duration // with a client that gets no answer
}

// The phases of a run. Clients count what they begin and end in the window.
const (
	warmUp = iota
	window
	over
)

type process struct {
	order Order
	dial  func(addr string) (io.ReadWriteCloser, error)
	phase atomic.Int32
}

func run(order Order, answer child.Answer) error {
	server, err := subjects.Find(order.Server)
	if err != nil {
		return err
	}
	clients, err := subjects.Find(order.Client)
	if err != nil {
		return err
	}
	if server.ServeOrdinary == nil || clients.Dial == nil {
		return fmt.Errorf("%s has no ordinary server, or %s cannot dial", order.Server, order.Client)
	}
	if err := machine.RaiseFileLimit(); err != nil {
		return err
	}
	addr, failed := make(chan string, 1), make(chan error, 1)
	go func() {
		failed <- server.ServeOrdinary(subjects.Task{Size: order.Size}, func(at string) error { addr <- at; return nil })
	}()
	startTimers()
	startGarbage()
	select {
	case err := <-failed:
		return err
	case at := <-addr:
		p := &process{order: order, dial: clients.Dial}
		result, err := p.measure(at)
		if err != nil {
			return err
		}
		return answer(result)
	}
}

// measure opens the connections, warms up, and measures a window.
func (p *process) measure(addr string) (load.Result, error) {
	clients := make([]*client, p.order.Conns)
	defer func() {
		for _, c := range clients {
			if c != nil {
				c.conn.Close() //nolint:errcheck // it is measured already
			}
		}
	}()
	for i := range clients {
		conn, err := p.dial(addr)
		if err != nil {
			return load.Result{}, fmt.Errorf("connection %d of %d: %w", i+1, len(clients), err)
		}
		clients[i] = newClient(p, conn, i)
		if err := clients[i].exchange(); err != nil { // opened one by one: no backlog overflows
			return load.Result{}, err
		}
	}
	failures := make([]error, len(clients))
	var running sync.WaitGroup
	for i, c := range clients {
		running.Go(func() { failures[i] = c.run() })
	}
	epoch := time.Now()
	time.Sleep(p.order.WarmUp)
	begin, err := machine.Read(os.Getpid(), epoch)
	if err != nil {
		return load.Result{}, err
	}
	p.phase.Store(window)
	time.Sleep(p.order.Window)
	end, err := machine.Read(os.Getpid(), epoch)
	if err != nil {
		return load.Result{}, err
	}
	p.phase.Store(over)
	if err := waitFor(&running, p.order.Patience); err != nil {
		return load.Result{}, err
	}
	if err := errors.Join(failures...); err != nil {
		return load.Result{}, err
	}
	return sum(clients, begin.Until(end))
}

func waitFor(running *sync.WaitGroup, patience time.Duration) error {
	done := make(chan struct{})
	go func() { running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("some clients got no answer within %v", patience)
	}
}

func sum(clients []*client, usage machine.Usage) (load.Result, error) {
	all := newLatencies()
	for _, c := range clients {
		all.Merge(c.latencies)
	}
	if all.TotalCount() == 0 {
		return load.Result{}, fmt.Errorf("no message came back within %v", usage.Elapsed)
	}
	at := func(percent float64) time.Duration { return time.Duration(all.ValueAtPercentile(percent)) }
	return load.Result{
		Requests: all.TotalCount(),
		Usage:    usage,
		P50:      at(50), P99: at(99), P999: at(99.9),
	}, nil
}

// longest is the greatest latency that a client tells apart from greater ones.
const longest = 10 * time.Second

// newLatencies makes a histogram that is small enough for each client to have one.
func newLatencies() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(longest), 2) }

// A client sends a message, waits for all of it to come back, and sends the next.
type client struct {
	*process
	conn      io.ReadWriteCloser
	number    int
	send, got []byte
	latencies *hdrhistogram.Histogram // nanoseconds, of the window
}

func newClient(p *process, conn io.ReadWriteCloser, number int) *client {
	c := &client{process: p, conn: conn, number: number, send: make([]byte, p.order.Size), got: make([]byte, p.order.Size), latencies: newLatencies()}
	for i := range c.send {
		c.send[i] = byte(i*7 + number)
	}
	return c
}

func (c *client) run() error {
	for {
		phase := c.phase.Load()
		if phase == over {
			return nil
		}
		start := time.Now()
		if err := c.exchange(); err != nil {
			return err
		}
		if phase != window || c.phase.Load() != window {
			continue
		}
		if err := c.latencies.RecordValue(int64(min(time.Since(start), longest))); err != nil {
			return err
		}
	}
}

func (c *client) exchange() error {
	c.send[0]++ // no answer is the same as the last
	_, err := c.conn.Write(c.send)
	if err == nil {
		_, err = io.ReadFull(c.conn, c.got)
	}
	if err == nil && !bytes.Equal(c.send, c.got) {
		err = errors.New("another message came back")
	}
	if err != nil {
		return fmt.Errorf("client %d: %w", c.number, err)
	}
	return nil
}
