// Package expvar publishes what loops and servers count by Go's package expvar, as JSON
// at /debug/vars. It needs nothing but the standard library and Weir.
//
//	expvar.PublishServer("weir", srv)
//	http.ListenAndServe("localhost:8080", nil)
//
// To import it registers the handler of Go's package, as that package does. Everyone who
// can reach the page can read the program's command line, so keep it behind
// authentication or on loopback.
package expvar

import (
	"expvar"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
)

// PublishServer publishes the Stats of a server, and those of its loops and listeners,
// under a name. Like expvar.Publish it ends the program if the name is used already.
func PublishServer(name string, s *server.Server) {
	expvar.Publish(name, expvar.Func(func() any { return OfServer(s) }))
}

// PublishGroup publishes the Stats of the loops of a group under a name. Like
// expvar.Publish it ends the program if the name is used already.
func PublishGroup(name string, g *loop.Group) {
	expvar.Publish(name, expvar.Func(func() any { return OfGroup(g) }))
}

// A Server is what PublishServer publishes.
type Server struct {
	server.Stats
	Listeners []Listener
	Loops     []Loop
}

// A Listener is a listener of a server.
type Listener struct {
	Addr              string
	Accepted, Refused uint64
	Resting           bool
}

// A Loop has the numbers of loop.Stats, and summaries in place of its histograms.
type Loop struct {
	Turns, Events, Wakes, Sleeps, Lingers, Polls, VainPolls, Tasks        uint64
	TimersArmed, TimersFired, Woken, Started, Panics, Alone, Roused, Naps uint64
	Registered, Timers, Queued, Backlog                                   int
	Busy                                                                  time.Duration // nanoseconds
	Batches                                                               Summary       // events
	Late, TurnTimes, Callbacks                                            Summary       // nanoseconds
}

// A Summary describes the values of a histogram. The quantiles are at most twice the
// exact values.
type Summary struct {
	Count         uint64
	Mean          float64
	P50, P99, Max uint64
}

// OfServer returns the present values of a server.
func OfServer(s *server.Server) Server {
	v := Server{Stats: s.Stats()}
	for _, l := range s.ListenerStats() {
		v.Listeners = append(v.Listeners, Listener{l.Addr.String(), l.Accepted, l.Refused, l.Resting})
	}
	for _, stats := range s.LoopStats() {
		v.Loops = append(v.Loops, ofLoop(&stats))
	}
	return v
}

// OfGroup returns the present values of the loops of a group.
func OfGroup(g *loop.Group) (list []Loop) {
	for _, l := range g.Loops() {
		stats := l.Stats()
		list = append(list, ofLoop(&stats))
	}
	return list
}

func ofLoop(s *loop.Stats) Loop {
	return Loop{
		Turns: s.Turns, Events: s.Events, Wakes: s.Wakes, Sleeps: s.Sleeps, Lingers: s.Lingers,
		Polls: s.Polls, VainPolls: s.VainPolls, Tasks: s.Tasks,
		TimersArmed: s.TimersArmed, TimersFired: s.TimersFired, Woken: s.Woken, Started: s.Started, Panics: s.Panics, Alone: s.Alone, Roused: s.Roused, Naps: s.Naps,
		Registered: s.Registered, Timers: s.Timers, Queued: s.Queued, Backlog: s.Backlog, Busy: s.Busy,
		Batches: summarise(&s.Batches), Late: summarise(&s.Late),
		TurnTimes: summarise(&s.TurnTimes), Callbacks: summarise(&s.Callbacks),
	}
}

func summarise(h *loop.Histogram) Summary {
	return Summary{h.Count(), h.Mean(), h.Quantile(0.5), h.Quantile(0.99), h.Max}
}
