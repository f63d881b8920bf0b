//go:build linux

package chaos

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Faults say what a Bridge does to packets. The probabilities are from 0 to 1. A segment of
// TCP is lost, corrupted or cut off once at most: see memory.
type Faults struct {
	Lose, Duplicate, Corrupt, Reorder float64
	Delay, Jitter                     time.Duration // of each packet, and at random up to so much more
	// Once in each CutEvery nothing passes for CutFor, which is shorter.
	CutEvery, CutFor time.Duration
}

// Counts are what a Bridge has done. Packets counts those that came.
type Counts struct{ Packets, Lost, Duplicated, Corrupted, Reordered, Cut, Overflowed int64 }

// String describes the counts.
func (c Counts) String() string {
	return fmt.Sprintf("%d packets: %d lost, %d duplicated, %d corrupted, %d reordered, %d cut off, %d too many",
		c.Packets, c.Lost, c.Duplicated, c.Corrupted, c.Reordered, c.Cut, c.Overflowed)
}

// mostDelayed is how many packets a Bridge holds. More are lost, as in a router.
const mostDelayed = 1000

// A Bridge connects two namespaces by a bad line. What it does to the packets depends on a
// seed and on their order, which the kernel chooses.
type Bridge struct {
	// A and B are the ends, and AddrA and AddrB their addresses.
	A, B         *Namespace
	AddrA, AddrB netip.Addr

	seed    uint64
	faults  Faults
	start   time.Time
	severed atomic.Bool
	delayed atomic.Int64
	tuns    [2]*os.File
	ends    sync.WaitGroup

	mu     sync.Mutex
	counts Counts
}

// NewBridge makes two namespaces and the line between them. The error says what the
// machine lacks.
func NewBridge(seed uint64, faults Faults) (*Bridge, error) {
	b := &Bridge{
		AddrA: netip.MustParseAddr("10.90.0.1"), AddrB: netip.MustParseAddr("10.90.0.2"),
		seed: seed, faults: faults, start: time.Now(),
	}
	if err := b.open(); err != nil {
		b.Close()
		return nil, err
	}
	for i := range b.tuns {
		b.ends.Go(func() { b.pump(b.tuns[i], b.tuns[1-i], rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	return b, nil
}

func (b *Bridge) open() (err error) {
	if b.A, err = NewNamespace(); err != nil {
		return err
	}
	if b.B, err = NewNamespace(); err != nil {
		return err
	}
	if b.tuns[0], err = b.A.device(b.AddrA); err != nil {
		return err
	}
	b.tuns[1], err = b.B.device(b.AddrB)
	return err
}

// Close removes the line and the namespaces.
func (b *Bridge) Close() {
	for _, f := range b.tuns {
		if f != nil {
			f.Close()
		}
	}
	b.ends.Wait()
	for _, n := range [...]*Namespace{b.A, b.B} {
		if n != nil {
			n.Close()
		}
	}
}

// Sever cuts the line for good.
func (b *Bridge) Sever() { b.severed.Store(true) }

// Counts returns what the bridge has done so far.
func (b *Bridge) Counts() Counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts
}

// count adds one to one of the counts.
func (b *Bridge) count(which *int64) {
	b.mu.Lock()
	*which++
	b.mu.Unlock()
}

// pump carries the packets of one direction until a device is closed.
func (b *Bridge) pump(from, to *os.File, r *rand.Rand) {
	buf := make([]byte, mtu)
	var harmed memory
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		b.count(&b.counts.Packets)
		f := &b.faults
		switch {
		case b.severed.Load(), b.cut(time.Since(b.start)) && harmed.first(buf[:n]):
			b.count(&b.counts.Cut)
			continue
		case r.Float64() < f.Lose && harmed.first(buf[:n]):
			b.count(&b.counts.Lost)
			continue
		}
		packet := append([]byte(nil), buf[:n]...)
		copies := 1
		if r.Float64() < f.Duplicate {
			b.count(&b.counts.Duplicated)
			copies = 2
		}
		if r.Float64() < f.Corrupt && harmed.first(packet) {
			// The checksums of IP and TCP find each change of one byte.
			b.count(&b.counts.Corrupted)
			packet[r.IntN(n)] ^= byte(1 + r.IntN(255))
		}
		delay := f.Delay
		if f.Jitter > 0 {
			delay += time.Duration(r.Int64N(int64(f.Jitter)))
		}
		if r.Float64() < f.Reorder { // the next ones overtake it
			b.count(&b.counts.Reordered)
			delay += 5 * time.Millisecond
		}
		for range copies {
			b.send(to, packet, delay)
		}
	}
}

// cut reports whether the line is cut at a time. Each period of CutEvery has one cut, at a
// place of its own.
func (b *Bridge) cut(at time.Duration) bool {
	f := &b.faults
	if f.CutEvery <= 0 {
		return false
	}
	period := uint64(at / f.CutEvery)
	begin := time.Duration(word(b.seed, period) % uint64(f.CutEvery-f.CutFor))
	return at%f.CutEvery >= begin && at%f.CutEvery < begin+f.CutFor
}

// send writes a packet after the delay.
func (b *Bridge) send(to *os.File, packet []byte, delay time.Duration) {
	if delay == 0 {
		to.Write(packet)
		return
	}
	if b.delayed.Add(1) > mostDelayed {
		b.delayed.Add(-1)
		b.count(&b.counts.Overflowed)
		return
	}
	time.AfterFunc(delay, func() {
		to.Write(packet)
		b.delayed.Add(-1)
	})
}
