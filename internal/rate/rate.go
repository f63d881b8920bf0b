// Package rate limits how fast bytes or connections come and go.
package rate

import (
	"math"
	"time"
)

// A Bucket is a token bucket: it holds up to a burst of tokens, and gets new ones at a
// rate. The zero Bucket has no limit. Its user tells it the time, on any clock that does
// not go backwards. A Bucket must not be used by two goroutines at the same time.
type Bucket struct {
	rate  int64         // tokens a second; 0: no limit
	burst int64         // the most tokens
	full  time.Duration // when the bucket is full if nothing is taken until then
}

// Most is the greatest rate and burst.
const Most = math.MaxInt32

// NewBucket returns a full bucket. The burst 0 stands for what comes in a tenth of a
// second, and 1 at least.
func NewBucket(rate, burst int) Bucket {
	if burst == 0 {
		burst = max(rate/10, 1)
	}
	return Bucket{rate: int64(rate), burst: int64(burst), full: math.MinInt64}
}

// Limits reports whether the bucket has a limit.
func (b *Bucket) Limits() bool { return b.rate > 0 }

// Tokens returns how many tokens there are now. It is negative if more were taken than
// there were.
func (b *Bucket) Tokens(now time.Duration) int {
	if b.rate == 0 {
		return math.MaxInt
	}
	if b.full <= now {
		return int(b.burst)
	}
	const second = int64(time.Second)
	whole, part := int64(b.full-now)/second, int64(b.full-now)%second
	missing := whole*b.rate + (part*b.rate+second-1)/second
	return int(b.burst - missing)
}

// Take takes n tokens.
func (b *Bucket) Take(now time.Duration, n int) {
	if b.rate > 0 && n > 0 {
		b.full = max(b.full, now) + b.time(int64(n))
	}
}

// When returns when there are n tokens, which must not be more than the burst.
func (b *Bucket) When(n int) time.Duration { return b.full - b.time(b.burst-int64(n)) }

// time returns how long n tokens take to come, rounded up.
func (b *Bucket) time(n int64) time.Duration {
	whole, part := n/b.rate, n%b.rate
	return time.Duration(whole)*time.Second + time.Duration((part*int64(time.Second)+b.rate-1)/b.rate)
}

// Time returns how long n tokens take to come, or 0 without a limit.
func (b *Bucket) Time(n int) time.Duration {
	if b.rate == 0 {
		return 0
	}
	return b.time(int64(n))
}

// Portion returns how many tokens a waiter for n of them waits for: what comes in a
// twentieth of a second, or less if n or the burst is less. So it neither wakes for every
// byte nor waits for long.
func (b *Bucket) Portion(n int) int {
	return int(min(max(b.rate/20, 1), b.burst, int64(n)))
}

// Allow returns how many of n tokens may be taken now. If that is 0, the user has to wait
// until the time at.
func (b *Bucket) Allow(now time.Duration, n int) (most int, at time.Duration) {
	if b.rate == 0 || n <= 0 {
		return n, 0
	}
	portion := b.Portion(n)
	if have := b.Tokens(now); have >= portion {
		return min(n, have), 0
	}
	return 0, max(b.When(portion), now+1)
}
