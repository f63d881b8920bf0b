package server

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// After any series of calls, the queue returns its bytes in order.
func TestOutputAgainstAModel(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 1))
		var o output
		var model []byte // the queued bytes
		var asked, done int
		ends := []int{} // for each piece: how many bytes the peer must take before it is done
		taken := 0
		content := func() []byte {
			p := make([]byte, random.IntN(1<<random.IntN(16)))
			for i := range p {
				p[i] = byte(random.Int())
			}
			return p
		}
		for range 200 {
			switch random.IntN(6) {
			case 0, 1:
				p := content()
				o.append(p)
				model = append(model, p...)
				clear(p) // the queue has a copy
			case 2:
				p := content()
				o.appendPiece(p, func(error) { done++ })
				model = append(model, p...)
				asked++
				ends = append(ends, taken+len(model))
			case 3:
				if o.empty() {
					p := append(content(), 1)
					o.prepend(p)
					model = append(bytes.Clone(p), model...)
					clear(p)
				}
			case 4:
				p := content()
				lent := o.pieces.n == 0 && o.size == 0
				if lent && len(p) > 0 {
					o.appendPiece(p, nil)
					o.own(1)
					model = append(model, p...)
					clear(p)
				}
			default:
				var room [100][]byte
				bufs := o.next(room[:0:1+random.IntN(99)], 1+random.IntN(1<<20))
				got := bytes.Join(bufs, nil)
				require.Equal(t, string(model[:len(got)]), string(got), "seed %d", seed)
				if len(model) > 0 {
					require.NotEmpty(t, got)
				}
				n := random.IntN(len(got) + 1)
				if random.IntN(2) == 0 {
					n = len(got)
				}
				o.take(n)
				taken += n
				model = model[n:]
			}
			require.Equal(t, len(model), o.size, "seed %d", seed)
			require.LessOrEqual(t, o.copied, o.size)
			for o.finished.n > 0 {
				o.finished.pop()(nil)
			}
			for len(ends) > 0 && ends[0] < taken {
				ends = ends[1:]
				require.NotEqual(t, asked, len(ends))
			}
			require.GreaterOrEqual(t, done, asked-len(ends), "all that was passed is done, seed %d", seed)
		}
		for o.size > 0 {
			o.take(len(bytes.Join(o.next(make([][]byte, 0, 10), 1000), nil)))
		}
		o.take(0)
		for o.finished.n > 0 {
			o.finished.pop()(nil)
		}
		require.Equal(t, asked, done)
		require.True(t, o.empty())
		require.Nil(t, o.chunks)
		require.Nil(t, o.pieces.head)
	}
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the second collection drops what the pools keep
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A queue occupies at most twice its bytes, 64 bytes for each piece, and a chunk.
func TestOutputMemoryIsBounded(t *testing.T) {
	done := func(error) {}
	for _, test := range []struct{ write, async, times int }{
		{10, 10, 1}, {10, 10, 20_000}, {12, 100, 20_000}, {1, 0, 100_000}, {1, 1, 100_000}, {1, -1, 300_000},
		{0, 0, 100_000}, {0, 20, 100_000}, {5000, -1, 500}, {5000, 3, 500}, {100_000, 1, 20}, {300, -1, 1}, {20_000, -1, 1},
	} {
		copied, lent := make([]byte, test.write), make([]byte, max(test.async, 0))
		before := heapInUse()
		o := new(output)
		pieces := 0
		for range test.times {
			o.append(copied)
			if test.async >= 0 {
				o.appendPiece(lent, done)
				pieces++
			}
		}
		grown := heapInUse() - before
		require.LessOrEqual(t, grown, int64(2*o.size+64*pieces+bigChunk+2048), "%+v", test)
		// When the peer takes some output, the queue gives memory back.
		rest := o.size / 10
		for o.size > rest {
			o.take(min(1000, o.size))
			for o.finished.n > 0 {
				o.finished.pop()
			}
		}
		require.LessOrEqual(t, heapInUse()-before, int64(2*o.size+64*o.pieces.n+2*bigChunk+mostInBlock*pieceCost), "%+v, drained", test)
		runtime.KeepAlive(o)
		runtime.KeepAlive(copied)
	}
}

// This would take minutes if the queue moved its rest after each system call.
func TestOutputIsDrainedInLinearTime(t *testing.T) {
	const pieces = 800_000
	p := make([]byte, 20)
	begin := time.Now()
	o, done := new(output), func(error) {}
	for range pieces {
		o.appendPiece(p, done)
	}
	var bufs [64][]byte
	for o.size > 0 {
		n := 0
		for _, p := range o.next(bufs[:0], 1<<20) {
			n += len(p)
		}
		o.take(n)
	}
	require.Equal(t, pieces, o.finished.n)
	for o.finished.n > 0 {
		o.finished.pop()
	}
	require.Less(t, time.Since(begin), 30*time.Second)
}
