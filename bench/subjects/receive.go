package subjects

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/measure"
)

const (
	WithTimeout = "-timeout" // a subject's name with this: the same, with a timeout set

	LongTimeout = 30 * time.Second // never reached
	Filled      = 64 << 10         // bytes that are in the socket before they are timed
)

type ReceiveOrder struct {
	Names  []string // of subjects, some of them with a timeout
	Size   int
	Window time.Duration // for each of them
}

type ReceiveResult struct{ Nanoseconds []float64 } // as the names

// measureReceives is the role of a process that receives what is there. It goes from one name
// to the next after every socketful, some ten thousandths of a second: a difference of three
// in a hundred would drown in the drift between longer turns, let alone between processes.
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

// empty fills the socket with data and tells how long it took to receive all of it.
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
