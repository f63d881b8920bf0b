package suites

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed-2334f180/weir/bench/wire"
)

// Options are what the user chose.
type Options struct {
	Suites   []string
	Subjects []string
	Settings Settings      // what is empty is left to each suite
	Open     int           // per cent of net's greatest rate to offer (ordinary, neighbours); 0: as fast as answers come
	Brief    bool          // the suites go through fewer settings
	Dur      time.Duration // of one measured window
	Reps     int           // rounds
	JSON     string        // file, "" for none
	HTML     string        // the same
	Markdown string        // the same
	SVG      string        // the same
	Command  string        // the command line, for the page
}

// Settings are the lists that a suite goes through, in all combinations. Where a list is empty,
// the suite has no use for it.
type Settings struct {
	Conns  []int           // connections
	Sizes  []int           // bytes of a message, or of an answer (http)
	Procs  []int           // GOMAXPROCS of the server
	Pins   []string        // PinApart, PinShared
	Works  []time.Duration // computation for each request
	Beside []string        // what else runs: see besides
	Rates  []int           // requests per second
	Web    []string        // kinds of HTTP: see webKinds
	Floods []string        // floods of the fairness suite: see floods
}

// or returns the settings with what is empty filled in from own.
func (s Settings) or(own Settings) Settings {
	return Settings{
		Conns:  either(s.Conns, own.Conns),
		Sizes:  either(s.Sizes, own.Sizes),
		Procs:  either(s.Procs, own.Procs),
		Pins:   either(s.Pins, own.Pins),
		Works:  either(s.Works, own.Works),
		Beside: either(s.Beside, own.Beside),
		Rates:  either(s.Rates, own.Rates),
		Web:    either(s.Web, own.Web),
		Floods: either(s.Floods, own.Floods),
	}
}

func either[T any](list, other []T) []T {
	if len(list) > 0 {
		return list
	}
	return slices.Clone(other)
}

// What a flag may say.
const (
	MaxConns = 1 << 20
	MaxSize  = wire.MaxFrame
	MaxDur   = time.Hour
	MaxReps  = 10000
	MaxProcs = 1024
	MaxWork  = time.Second
	MaxRate  = 10_000_000
	MaxOpen  = 200 // per cent
)

// Within returns an error that names the flag and the value when the value is out of bounds.
func Within[T int | time.Duration](flag string, value, least, most T) error {
	if value < least || value > most {
		return fmt.Errorf("-%s %v: want %v to %v", flag, value, least, most)
	}
	return nil
}
