package rate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// In every interval of t seconds, a user that keeps to Allow takes no more than the burst
// and t times the rate. A user that always wants more gets all but a portion of it.
func TestBucketKeepsItsRate(t *testing.T) {
	for _, c := range []struct{ rate, burst int }{{1, 0}, {7, 3}, {1000, 0}, {100_000, 1}, {1 << 20, 4 << 20}, {Most, Most}} {
		random := rand.New(rand.NewPCG(uint64(c.rate), uint64(c.burst)))
		b := NewBucket(c.rate, c.burst)
		burst := int(b.burst)
		type taken struct {
			at  time.Duration
			sum int
		}
		var now time.Duration
		sum := 0
		log := []taken{{0, 0}}
		for range 1000 {
			n, at := b.Allow(now, Most)
			if at != 0 {
				require.Zero(t, n)
				require.Greater(t, at, now)
				now = at
				continue
			}
			n = 1 + random.IntN(n)
			b.Take(now, n)
			sum += n
			log = append(log, taken{now, sum})
		}
		for i, from := range log {
			for _, to := range log[i:] {
				most := float64(burst) + float64(c.rate)*(to.at-from.at).Seconds()
				if got := float64(to.sum - from.sum); got > most*(1+1e-6) {
					t.Fatalf("rate %d, burst %d: %v from %v to %v", c.rate, burst, got, from.at, to.at)
				}
			}
		}
		least := float64(c.rate)*now.Seconds() - float64(b.Portion(Most))
		require.GreaterOrEqual(t, float64(sum), least-1e-6*least)
	}
}

func TestBucketOfNothingHasNoLimit(t *testing.T) {
	var b Bucket
	n, at := b.Allow(5, 10)
	require.Equal(t, 10, n)
	require.Zero(t, at)
	b.Take(5, 10)
	require.Equal(t, math.MaxInt, b.Tokens(5))
	require.Zero(t, b.Time(10))
	require.False(t, b.Limits())
}

// A bucket from which more was taken than it had refuses everything until its debt is
// paid.
func TestBucketPaysItsDebt(t *testing.T) {
	b := NewBucket(10, 5)
	b.Take(time.Second, 15)
	require.Equal(t, -10, b.Tokens(time.Second))
	n, at := b.Allow(time.Second, 1)
	require.Zero(t, n)
	require.Equal(t, 2100*time.Millisecond, at)
	n, at0 := b.Allow(time.Second, 0)
	require.Zero(t, n)
	require.Zero(t, at0, "a user that wants nothing waits for nothing")
	n, _ = b.Allow(at, 1)
	require.Equal(t, 1, n)
	require.Equal(t, 500*time.Millisecond, b.Time(5))
}

// The defaults, and what is rounded: tokens down, and times up.
func TestBucketNumbers(t *testing.T) {
	b := NewBucket(1000, 0)
	require.Equal(t, 100, b.Tokens(0), "a tenth of a second")
	require.Equal(t, 50, b.Portion(Most), "a twentieth of a second")
	b = NewBucket(7, 0)
	require.Equal(t, 1, b.Tokens(0), "at least one")
	require.Equal(t, time.Duration(857142858), b.Time(6)) // 6 s / 7 and a part of a nanosecond
	b = NewBucket(1, 5)
	require.True(t, b.Limits())
	b.Take(0, 1)
	require.Equal(t, 4, b.Tokens(time.Second-1))
	require.Equal(t, 5, b.Tokens(time.Second))
}

// A Pair tells once that a direction begins to wait, and how long it waits.
func TestPairTellsWhenItDelays(t *testing.T) {
	var now time.Duration
	var delays []bool
	p := NewPair(NewBucket(10, 2), NewBucket(10, 1), func() time.Duration { return now }, func(write bool) { delays = append(delays, write) })
	require.Equal(t, 2, p.Allow(false, 2))
	require.Zero(t, p.Wait(false), "it got what it wanted")
	require.Equal(t, 2, p.Allow(false, 5))
	require.Empty(t, delays)
	p.Took(false, 2, 2)
	require.Equal(t, 100*time.Millisecond, p.Wait(false))
	require.Zero(t, p.Allow(false, 0)) // it wants nothing, and does not wait
	require.Empty(t, delays)
	for range 3 {
		require.Zero(t, p.Allow(false, 1))
	}
	require.Equal(t, []bool{false}, delays)
	require.Equal(t, 100*time.Millisecond, p.Wait(false))
	require.Equal(t, 1, p.Allow(true, 5), "the directions are separate")
	now = 100 * time.Millisecond
	require.Equal(t, 1, p.Allow(false, 5))
	require.EqualValues(t, 1, p.Wait(false), "it may go on at once")
	p.Took(false, 1, 1)
	require.Equal(t, 100*time.Millisecond, p.Wait(false))
	now = 200 * time.Millisecond
	require.Equal(t, 1, p.Allow(false, 5))
	p.Took(false, 0, 1)
	require.Zero(t, p.Wait(false), "the stream had nothing")

	var none *Pair
	none.Took(true, 1, 1)
	require.Equal(t, 3, none.Allow(true, 3))
	require.Zero(t, none.Wait(true))
}
