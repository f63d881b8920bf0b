package finders

import (
	"fmt"
	"runtime"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// wakeDelay is the time from the start of a wait to the write that ends it. A thread falls
// asleep sooner than that.
const wakeDelay = 500 * time.Microsecond

// An Order names the finders to measure, and the state of the sockets that they look at.
type Order struct {
	Names   []string
	Mode    string
	Sockets int
	Window  time.Duration // for each finder
}

// A Result has the median nanoseconds of a call, in the order of the names.
type Result struct{ Nanoseconds []float64 }

// measureFinds is a role: the process opens many sockets and times the finders. It changes the
// finder every few calls, so that a disturbance of the machine affects all of them alike.
func measureFinds(order Order, answer child.Answer) error {
	if err := machine.RaiseFileLimit(); err != nil {
		return err
	}
	sockets, err := Connected(order.Sockets)
	if err != nil {
		return err
	}
	middle := len(sockets) / 2 &^ 1
	bed := &bed{mode: order.Mode, sockets: sockets, hot: sockets[middle], peer: sockets[middle+1]}
	open := make([]finder, len(order.Names))
	for i, name := range order.Names {
		for _, f := range finders {
			if f.name == name {
				if open[i], err = f.open(sockets); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				defer open[i].close()
			}
		}
	}
	if err := bed.prepare(); err != nil {
		return err
	}
	times := make([][]float64, len(open))
	for end := time.Now().Add(order.Window * time.Duration(len(open))); len(times[0]) < 5 || time.Now().Before(end); {
		for i := range open {
			took, err := bed.measure(open[i].find)
			if err != nil {
				return fmt.Errorf("%s: %w", order.Names[i], err)
			}
			times[i] = append(times[i], took...)
		}
	}
	result := Result{make([]float64, len(open))}
	for i, all := range times {
		result.Nanoseconds[i] = measure.SpreadOf(all).Median
	}
	return answer(result)
}

// Connected opens n sockets, an even number: both ends of n/2 connections.
func Connected(n int) ([]*socket.Socket, error) {
	l, err := socket.Config{Address: "127.0.0.1"}.New(socket.Inet, socket.Stream, 0)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if err := l.Listen(64); err != nil {
		return nil, err
	}
	var sockets []*socket.Socket
	for len(sockets) < n {
		a, err := socket.New(socket.Inet, socket.Stream, 0)
		if err != nil {
			return nil, err
		}
		if err := a.ConnectAddr(l.LocalAddr()); err != nil {
			return nil, err
		}
		b, err := l.Accept()
		if err != nil {
			return nil, err
		}
		sockets = append(sockets, a, b)
	}
	return sockets, nil
}

// A bed has the sockets, in the state that the mode asks for.
type bed struct {
	mode      string
	sockets   []*socket.Socket
	hot, peer *socket.Socket // the one that is or becomes ready, and its other end
	wake      chan int       // descriptors to write to, wakeDelay later
	written   time.Time      // time of that write; read after the wait
}

func (b *bed) prepare() error {
	// The first Select, with nothing ready, makes the loops watch all sockets and take in their
	// first events.
	if _, err := weir.Select(b.sockets, nil, nil, 20*time.Millisecond); err != nil {
		return err
	}
	if b.mode == Woken {
		b.wake = make(chan int)
		go func() {
			runtime.LockOSThread()
			for fd := range b.wake {
				for start := time.Now(); time.Since(start) < wakeDelay; {
				}
				b.written = time.Now()
				unix.Write(fd, []byte{1})
			}
		}()
		return nil
	}
	if _, err := b.peer.Send([]byte{1}, 0); err != nil {
		return err
	}
	time.Sleep(20 * time.Millisecond)
	return nil
}

// measure times some calls.
func (b *bed) measure(find func() (int, error)) (took []float64, err error) {
	switch b.mode {
	case One:
		// Each finder gets the same time, because each begins with the cold caches that the
		// one before it left.
		calls := 0
		start := time.Now()
		for ; calls%16 != 0 || time.Since(start) < 2*time.Millisecond; calls++ {
			if err := one(find()); err != nil {
				return nil, err
			}
		}
		return []float64{float64(time.Since(start)) / float64(calls)}, nil
	case Doubtful:
		for range 4 {
			for _, s := range b.sockets {
				s.Registration().Doubt()
			}
			start := time.Now()
			if err := one(find()); err != nil {
				return nil, err
			}
			took = append(took, float64(time.Since(start)))
		}
		return took, nil
	}
	var buf [1]byte
	for range 4 {
		b.wake <- b.peer.Fd()
		err := one(find())
		end := time.Now()
		if err != nil {
			return nil, err
		}
		if _, err := b.hot.Recv(buf[:], 0); err != nil {
			return nil, err
		}
		took = append(took, float64(end.Sub(b.written)))
	}
	return took, nil
}

func one(n int, err error) error {
	if err == nil && n != 1 {
		err = fmt.Errorf("%d are ready and not 1", n)
	}
	return err
}
