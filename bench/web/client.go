package web

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/machine"
)

// A Visit tells a client what to ask for, and for how long.
type Visit struct {
	Addr      string
	ServerPID int // whose processor time is taken over the window
	TLS       bool
	KeepAlive bool // else each request has a connection of its own
	Size      int  // bytes of an answer
	Conns     int
	WarmUp    time.Duration // wrk has none
	Window    time.Duration
	Patience  time.Duration // with an answer that is still out
}

// The phases of a visit. What begins and ends in the window counts.
const (
	warmUp = iota
	window
	over
)

// longest is the greatest latency that a client tells apart from greater ones.
const longest = 10 * time.Second

// ask is the role of the built-in client: a goroutine for each connection, on Go's net.
func ask(visit Visit, answer child.Answer) error {
	if err := machine.RaiseFileLimit(); err != nil {
		return err
	}
	v := &visitor{Visit: visit, request: visit.request(), last: time.Now().Add(visit.WarmUp + visit.Window + 2*visit.Patience)}
	result, err := v.run()
	if err != nil {
		return err
	}
	return answer(result)
}

type visitor struct {
	Visit
	request []byte
	last    time.Time // no connection lives longer
	phase   atomic.Int32
}

func (v Visit) request() []byte {
	close := ""
	if !v.KeepAlive {
		close = "Connection: close\r\n"
	}
	return []byte("GET / HTTP/1.1\r\nHost: " + v.Addr + "\r\n" + close + "\r\n")
}

func (v *visitor) run() (load.Result, error) {
	var running sync.WaitGroup
	failures := make([]error, v.Conns)
	latencies := make([]*hdrhistogram.Histogram, v.Conns)
	answered := make(chan struct{}, v.Conns) // each connection's first
	for i := range v.Conns {
		latencies[i] = newLatencies()
		running.Go(func() {
			if failures[i] = v.visit(latencies[i], answered); failures[i] != nil {
				answered <- struct{}{}
			}
		})
	}
	for range v.Conns {
		<-answered
	}
	epoch := time.Now()
	time.Sleep(v.WarmUp)
	begin, err := machine.Read(v.ServerPID, epoch)
	if err != nil {
		return load.Result{}, err
	}
	v.phase.Store(window)
	time.Sleep(v.Window)
	end, err := machine.Read(v.ServerPID, epoch)
	if err != nil {
		return load.Result{}, err
	}
	v.phase.Store(over)
	running.Wait() // no connection outlives v.last
	if err := errors.Join(failures...); err != nil {
		return load.Result{}, err
	}
	all := newLatencies()
	for _, l := range latencies {
		all.Merge(l)
	}
	if all.TotalCount() == 0 {
		return load.Result{}, fmt.Errorf("no answer came within %v", v.Window)
	}
	at := func(percent float64) time.Duration { return time.Duration(all.ValueAtPercentile(percent)) }
	return load.Result{Requests: all.TotalCount(), Usage: begin.Until(end), P50: at(50), P99: at(99), P999: at(99.9)}, nil
}

func newLatencies() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(longest), 2) }

// visit asks again and again, on one connection or on one after the other.
func (v *visitor) visit(latencies *hdrhistogram.Histogram, answered chan<- struct{}) error {
	var conn net.Conn
	var reader *bufio.Reader
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for first := true; ; first = false {
		phase := v.phase.Load()
		if phase == over {
			return nil
		}
		start := time.Now()
		if conn == nil {
			var err error
			if conn, err = v.dial(); err != nil {
				return err
			}
			reader = bufio.NewReaderSize(conn, 16<<10)
		}
		if err := v.exchange(conn, reader); err != nil {
			return err
		}
		if !v.KeepAlive {
			conn.Close()
			conn = nil
		}
		if first {
			answered <- struct{}{}
		}
		if phase == window && v.phase.Load() == window {
			if err := latencies.RecordValue(int64(min(time.Since(start), longest))); err != nil {
				return err
			}
		}
	}
}

func (v *visitor) dial() (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", v.Addr, v.Patience)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(v.last); err != nil {
		conn.Close()
		return nil, err
	}
	if v.TLS {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // the server made its own certificate
	}
	return conn, nil
}

func (v *visitor) exchange(conn net.Conn, reader *bufio.Reader) error {
	if _, err := conn.Write(v.request); err != nil {
		return err
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("the server said %s", response.Status)
	case n != int64(v.Size):
		return fmt.Errorf("an answer had %d bytes, not %d", n, v.Size)
	}
	return response.Body.Close()
}
