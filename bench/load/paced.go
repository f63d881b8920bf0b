package load

import (
	"math"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// A pace sends requests when they are due, whether or not earlier ones have been answered. The
// requests are due at equal distances and go to the connections in turn. A connection has one
// request in flight: what is due meanwhile waits for the answer, and then leaves at once. A
// latency counts from when the request was due, so it contains that wait. A generator that only
// follows answers would not see it.
type pace struct {
	*streams
	interval float64       // nanoseconds between two requests
	base     time.Duration // when request 0 was due
	number   int64         // of the next request that becomes due
	behind   int64         // requests that were due and have not left
	late     *hdrhistogram.Histogram
}

// openPaced opens the connections as openStreams does, and sets their pace.
func openPaced(g *generator) (traffic, error) {
	t, err := openStreams(g)
	if err != nil {
		return nil, err
	}
	s := t.(*streams)
	for i := range s.conns {
		s.conns[i].request = int64(i)
	}
	g.pace = &pace{
		streams:  s,
		interval: float64(time.Second) / g.order.Rate,
		late:     hdrhistogram.New(1, int64(longest), 3),
	}
	// The kernel lets a sleep end up to 50 µs late, unless the thread asks for less.
	runtime.LockOSThread()
	return s, unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

func (p *pace) start() { p.base = p.now }

// at returns when a request is due.
func (p *pace) at(number int64) time.Duration {
	return p.base + time.Duration(math.Round(float64(number)*p.interval))
}

// sendDue sends what is due, and returns when the next request is due.
func (p *pace) sendDue() (next time.Duration, err error) {
	for p.at(p.number) <= p.now {
		c := &p.conns[p.number%int64(len(p.conns))]
		if c.busy {
			c.behind++
			p.behind++
		} else {
			if err := p.late.RecordValue(int64(min(p.now-p.at(p.number), longest))); err != nil {
				return 0, err
			}
			if err := p.begin(c); err != nil {
				return 0, err
			}
		}
		p.number++
	}
	return p.at(p.number), nil
}

// due takes the connection's next request, which leaves now, and returns when it was due.
func (p *pace) due(c *stream) time.Duration {
	at := p.at(c.request)
	c.request += int64(len(p.conns))
	c.busy = true
	return at
}

// next tells, after an answer, whether the connection's next request is due already.
func (p *pace) next(c *stream) bool {
	c.busy = false
	if c.behind == 0 {
		return false
	}
	c.behind--
	p.behind--
	return true
}
