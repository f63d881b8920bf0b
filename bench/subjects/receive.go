package subjects

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/measure"
)

const (
	WithTimeout = "-timeout" // suffix of a subject's name: the same subject with a timeout

	LongTimeout = 30 * time.Second // never reached
	Filled      = 64 << 10         // bytes that a socket has before the receives are timed
)

// A ReceiveOrder names the subjects to compare.
type ReceiveOrder struct {
	Names  []string // of subjects, some of them with a timeout
	Size   int
	Window time.Duration // for each of them
}

// A ReceiveResult has the median nanoseconds of a receive, in the order of the names.
type ReceiveResult struct{ Nanoseconds []float64 }

// measureReceives is a role: the process receives what its sockets have already. It changes the
// subject after each full socket, about 0.1 ms. With longer turns, or with a process for each
// subject, the drift of the machine would hide a difference of 3 %.
func measureReceives(order ReceiveOrder, answer child.Answer) error {
	inlets := make([]*Inlet, len(order.Names))
	for i, name := range order.Names {
		in, err := openInlet(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer in.close()
		inlets[i] = in
	}
	perReceive := make([][]float64, len(inlets))
	data := make([]byte, Filled/order.Size*order.Size)
	buf := make([]byte, order.Size)
	for end := time.Now().Add(order.Window * time.Duration(len(inlets))); len(perReceive[0]) < 10 || time.Now().Before(end); {
		for i, in := range inlets {
			took, err := in.empty(data, buf)
			if err != nil {
				return fmt.Errorf("%s: %w", order.Names[i], err)
			}
			perReceive[i] = append(perReceive[i], float64(took)/float64(len(data)/len(buf)))
		}
	}
	result := ReceiveResult{make([]float64, len(inlets))}
	for i, all := range perReceive {
		result.Nanoseconds[i] = measure.SpreadOf(all).Median
	}
	return answer(result)
}

func openInlet(name string) (*Inlet, error) {
	timeout := time.Duration(0)
	name, long := strings.CutSuffix(name, WithTimeout)
	if long {
		timeout = LongTimeout
	}
	s, err := Find(name)
	if err != nil {
		return nil, err
	}
	return s.NewInlet(timeout)
}

// empty fills the socket with data, and returns how long it took to receive all of it.
func (in *Inlet) empty(data, buf []byte) (time.Duration, error) {
	if err := in.fill(data); err != nil {
		return 0, err
	}
	start := time.Now()
	for range len(data) / len(buf) {
		n, err := in.receive(buf)
		if err != nil {
			return 0, err
		}
		if n != len(buf) {
			return 0, fmt.Errorf("received %d bytes of %d that were there", n, len(buf))
		}
	}
	return time.Since(start), nil
}
