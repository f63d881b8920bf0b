package suites

import (
	"fmt"
	"time"

	"github.com/seed-2334f180/weir/bench/wire"
)

type Options struct {
	Suites   []string
	Subjects []string
	Conns    []int         // none: each suite has its own
	Sizes    []int         // of messages, in bytes; none: each suite has its own
	Dur      time.Duration // of one measured window
	Reps     int           // rounds
	Json     string        // file, "" for none
}

const (
	MaxConns = 1 << 20
	MaxSize  = wire.MaxFrame
	MaxDur   = time.Hour
	MaxReps  = 10000
)

func Within[T int | time.Duration](name string, value, least, most T) error {
	if value < least || value > most {
		return fmt.Errorf("-%s %v: want %v to %v", name, value, least, most)
	}
	return nil
}
