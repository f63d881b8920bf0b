package rate

import (
	"sync"
	"time"
)

// A Pair limits the two directions of a stream. Any goroutine may use it, but only one at
// a time for the same direction. A nil Pair has no limit.
type Pair struct {
	mu      sync.Mutex
	reads   direction
	writes  direction
	clock   func() time.Duration
	delayed func(write bool)
}

type direction struct {
	bucket Bucket
	cut    bool // the limit, and not the stream, was why the last transfer was less than its user wanted
	waits  bool // the last Allow has allowed nothing
}

// NewPair returns a Pair. The clock tells the time. delayed is called when a direction
// begins to wait.
func NewPair(read, write Bucket, clock func() time.Duration, delayed func(write bool)) *Pair {
	return &Pair{reads: direction{bucket: read}, writes: direction{bucket: write}, clock: clock, delayed: delayed}
}

func (p *Pair) direction(write bool) *direction {
	if write {
		return &p.writes
	}
	return &p.reads
}

// Allow returns how many of n bytes may be transferred now.
func (p *Pair) Allow(write bool, n int) int {
	if p == nil {
		return n
	}
	p.mu.Lock()
	d := p.direction(write)
	most, _ := d.bucket.Allow(p.clock(), n)
	d.cut = most < n
	begins := most == 0 && n > 0 && !d.waits
	d.waits = most == 0 && n > 0
	p.mu.Unlock()
	if begins {
		p.delayed(write)
	}
	return most
}

// Took counts n bytes that were transferred of the most that Allow has returned.
func (p *Pair) Took(write bool, n, most int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.direction(write)
	d.bucket.Take(p.clock(), n)
	if n < most {
		d.cut = false
	}
}

// Wait returns how long a direction has to wait for its limit, or 0 if the stream was why
// the last transfer was less than its user wanted.
func (p *Pair) Wait(write bool) time.Duration {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.direction(write)
	if !d.cut {
		return 0
	}
	now := p.clock()
	_, at := d.bucket.Allow(now, Most)
	return max(at-now, 1)
}
