package load

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/seed-2334f180/weir/bench/machine"
)

// A Session leads clients that have a goroutine each through a warm-up and a window. What ends
// within the window counts.
type Session struct {
	clients []*Client
	phase   atomic.Int32
	counted chan struct{} // has an element when something both began and ended within the window
}

// The phases of a session.
const (
	warmUp = iota
	window
	over
)

// NewSession makes a session without clients.
func NewSession() *Session { return &Session{counted: make(chan struct{}, 1)} }

// A Client counts the exchanges of one goroutine. Its histogram is less exact than a generator's,
// so that each of many clients can have one.
type Client struct {
	*Session
	latencies *hdrhistogram.Histogram // nanoseconds
	whole     bool                    // an exchange both began and ended within the window
}

// Add adds a client. All clients are added before the first one runs.
func (s *Session) Add() *Client {
	c := &Client{Session: s, latencies: hdrhistogram.New(1, int64(longest), 2)}
	s.clients = append(s.clients, c)
	return c
}

// Run calls exchange again and again until the session is over, or exchange fails.
func (c *Client) Run(exchange func() error) error {
	for {
		began := c.phase.Load()
		if began == over {
			return nil
		}
		start := time.Now()
		if err := exchange(); err != nil {
			return err
		}
		if c.phase.Load() != window {
			continue
		}
		if err := c.latencies.RecordValue(int64(min(time.Since(start), longest))); err != nil {
			return err
		}
		if began == window && !c.whole {
			c.whole = true
			select {
			case c.counted <- struct{}{}:
			default: // another client was first
			}
		}
	}
}

// A Member is a client of a session with what it does: Exchange again and again, and in the end
// Close.
type Member struct {
	*Client
	Exchange func() error
	Close    func()
}

// Lead runs each member in a goroutine. When all have exchanged once, or failed, the session
// begins, with the times of Measure.
func (s *Session) Lead(members []Member, server int, wait, length, patience time.Duration) (Result, error) {
	failures := make([]error, len(members))
	var opened, running sync.WaitGroup
	opened.Add(len(members))
	for i, m := range members {
		running.Go(func() {
			defer m.Close()
			err := m.Exchange()
			opened.Done()
			if err == nil {
				err = m.Run(m.Exchange)
			}
			failures[i] = err
		})
	}
	opened.Wait()
	usage, err := s.Measure(server, wait, length, patience)
	if err != nil {
		return Result{}, err
	}
	running.Wait()
	if err := errors.Join(failures...); err != nil {
		return Result{}, err
	}
	return s.Finish(usage)
}

// Measure takes the clients through the session, and ends it. A window lasts until an exchange
// both began and ended in it, but no longer than patience beyond its time. The processor time is that of a server.
// Finish makes the result when the goroutines of the clients have ended.
func (s *Session) Measure(server int, wait, length, patience time.Duration) (machine.Usage, error) {
	epoch := time.Now()
	time.Sleep(wait)
	begin, err := machine.Read(server, epoch)
	if err != nil {
		return machine.Usage{}, err
	}
	s.phase.Store(window)
	defer s.phase.Store(over)
	time.Sleep(length)
	select {
	case <-s.counted:
	case <-time.After(patience):
	}
	end, err := machine.Read(server, epoch)
	return begin.Until(end), err
}

// Finish makes the result of a session whose clients have ended.
func (s *Session) Finish(usage machine.Usage) (Result, error) {
	all := hdrhistogram.New(1, int64(longest), 2)
	for _, c := range s.clients {
		all.Merge(c.latencies)
	}
	if all.TotalCount() == 0 {
		return Result{}, fmt.Errorf("no answer came within %v", usage.Elapsed)
	}
	at := func(percent float64) time.Duration { return time.Duration(all.ValueAtPercentile(percent)) }
	return Result{Requests: all.TotalCount(), Usage: usage, P50: at(50), P99: at(99), P999: at(99.9)}, nil
}
