package debug

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
)

// keep is how many samples are kept: five minutes.
const keep = 300

// A point is one sample of a series: four numbers, whose meaning the series knows.
type point [4]float32

// A series keeps the last samples.
type series struct{ points []point }

func (s *series) add(p point) {
	if len(s.points) >= 2*keep { // so moving costs little
		s.points = append(s.points[:0], s.points[len(s.points)-keep:]...)
	}
	s.points = append(s.points, p)
}

// last returns up to n of the last points, and no more than keep.
func (s *series) last(n int) []point {
	n = min(n, keep, len(s.points))
	return append(make([]point, 0, n), s.points[len(s.points)-n:]...)
}

// A watchedLoop is a loop on the page. Its points are the load (1 is all the time),
// turns a second, events a second, and the callbacks' 99th percentile in nanoseconds.
type watchedLoop struct {
	series
	name   string
	stats  loop.Stats
	at     time.Time
	held   time.Duration // for how long the loop's present turn has lasted; 0 if it is not known to be long
	wasSet bool          // stats is from an earlier sample
}

// A watchedServer is a server on the page. Its points are the open connections, begun
// connections a second, and bytes received and sent a second.
type watchedServer struct {
	series
	name   string
	server *server.Server
	stats  server.Stats
	at     time.Time
	wasSet bool
}

// sample adds a point to each series.
func (h *Handler) sample(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := 0
	next := func(name string, n int, stats loop.Stats) {
		if i == len(h.loops) {
			h.loops = append(h.loops, &watchedLoop{name: name + "/" + strconv.Itoa(n)})
		}
		// A server that starts late has its loops before those that were there.
		if full := name + "/" + strconv.Itoa(n); h.loops[i].name != full {
			h.loops = append(h.loops[:i], append([]*watchedLoop{{name: full}}, h.loops[i:]...)...)
		}
		h.loops[i].sample(stats, now)
		i++
	}
	for _, g := range h.groups {
		for n, l := range g.group.Loops() {
			next(g.name, n, l.Stats())
		}
	}
	for _, s := range h.servers {
		if s.server.Group == nil {
			for n, stats := range s.server.LoopStats() {
				next(s.name, n, stats)
			}
		}
		s.sample(s.server.Stats(), now)
	}
	h.samples++
}

// sample adds the point of the time since the last sample.
func (l *watchedLoop) sample(stats loop.Stats, now time.Time) {
	took := now.Sub(l.at).Seconds()
	if l.wasSet && took > 0 {
		calls := stats.Callbacks.Since(&l.stats.Callbacks)
		load := (stats.Busy - l.stats.Busy).Seconds() / took
		// Within one turn nothing is published: a turn that lasts longer than a sample
		// keeps the loop busy all the time.
		if stats.InTurn && l.stats.InTurn && stats.Turns == l.stats.Turns {
			l.held += now.Sub(l.at)
			load = 1
		} else {
			l.held = 0
		}
		l.add(point{float32(min(load, 1)), float32(float64(stats.Turns-l.stats.Turns) / took),
			float32(float64(stats.Events-l.stats.Events) / took), float32(calls.Quantile(0.99))})
	}
	l.stats, l.at, l.wasSet = stats, now, true
}

func (s *watchedServer) sample(stats server.Stats, now time.Time) {
	took := now.Sub(s.at).Seconds()
	if s.wasSet && took > 0 {
		begun := func(n server.Stats) uint64 { return n.Accepted + n.Dialed + n.Attached }
		s.add(point{float32(stats.Conns), float32(float64(begun(stats)-begun(s.stats)) / took),
			float32(float64(stats.BytesIn-s.stats.BytesIn) / took), float32(float64(stats.BytesOut-s.stats.BytesOut) / took)})
	}
	s.stats, s.at, s.wasSet = stats, now, true
}

// An overview is what the page shows besides connections. Times are in milliseconds,
// those of loops in nanoseconds.
type overview struct {
	Program string
	PID     int
	Go      string
	Uptime  float64
	Every   float64 // between two points
	Keep    int
	Samples uint64 // the number of the last point
	Loops   []loopView
	Servers []serverView
}

type loopView struct {
	Name                                string
	InTurn                              bool
	Held                                float64
	Registered, Timers, Queued, Backlog int
	Turns, Events, Woken, Panics        uint64
	Polls, VainPolls                    uint64
	CallP50, CallP99, CallMax           uint64
	LateP99, LateMax                    uint64
	Batch                               float64
	Points                              [][4]float64
}

type serverView struct {
	Name                          string
	Conns                         int
	Accepted, Dialed, Attached    uint64
	Refused, Full, Pauses, Panics uint64
	Stalls                        uint64
	LongestStall                  float64
	BytesIn, BytesOut             uint64
	PacketsIn, PacketsOut         uint64
	Watchdog, Sessions            bool
	Listeners                     []listenerView
	StallList                     []stallView
	Points                        [][4]float64
}

type listenerView struct {
	Addr              string
	Accepted, Refused uint64
	Resting           bool
}

type stallView struct {
	Loop  int
	Began float64 // since 1970
	For   float64
	Over  bool
	Stack string
}

// overview returns the state, with the points after the one of that number.
func (h *Handler) overview(since uint64) overview {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := overview{
		Program: filepath.Base(os.Args[0]), PID: os.Getpid(), Go: runtime.Version(), Uptime: millis(time.Since(h.started)),
		Every: millis(every), Keep: keep, Samples: h.samples,
	}
	news := keep
	if since <= h.samples {
		news = int(min(h.samples-since, keep))
	}
	for _, l := range h.loops {
		s := &l.stats
		o.Loops = append(o.Loops, loopView{
			Name: l.name, InTurn: s.InTurn, Held: millis(l.held),
			Registered: s.Registered, Timers: s.Timers, Queued: s.Queued, Backlog: s.Backlog,
			Turns: s.Turns, Events: s.Events, Woken: s.Woken, Panics: s.Panics, Polls: s.Polls, VainPolls: s.VainPolls,
			CallP50: s.Callbacks.Quantile(0.5), CallP99: s.Callbacks.Quantile(0.99), CallMax: s.Callbacks.Max,
			LateP99: s.Late.Quantile(0.99), LateMax: s.Late.Max, Batch: s.Batches.Mean(),
			Points: rounded(l.last(news)),
		})
	}
	for _, s := range h.servers {
		o.Servers = append(o.Servers, s.view(news))
	}
	return o
}

func (s *watchedServer) view(news int) serverView {
	n := s.server.Stats()
	v := serverView{
		Name: s.name, Conns: n.Conns, Accepted: n.Accepted, Dialed: n.Dialed, Attached: n.Attached,
		Refused: n.Refused, Full: n.Full, Pauses: n.Pauses, Panics: n.Panics,
		Stalls: n.Stalls, LongestStall: millis(n.LongestStall),
		BytesIn: n.BytesIn, BytesOut: n.BytesOut, PacketsIn: n.PacketsIn, PacketsOut: n.PacketsOut,
		Watchdog: s.server.StallAfter > 0, Sessions: s.server.Handler != nil, Points: rounded(s.last(news)),
	}
	for _, l := range s.server.ListenerStats() {
		v.Listeners = append(v.Listeners, listenerView{l.Addr.String(), l.Accepted, l.Refused, l.Resting})
	}
	for _, x := range s.server.Stalls() {
		v.StallList = append(v.StallList, stallView{x.Loop, float64(x.Began.UnixMilli()), millis(x.For), x.Over, x.Stack})
	}
	return v
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// rounded returns the points with as many digits as a chart needs.
func rounded(points []point) [][4]float64 {
	list := make([][4]float64, len(points))
	for i, p := range points {
		for j, v := range p {
			list[i][j] = round(float64(v))
		}
	}
	return list
}

// round returns v with four significant digits.
func round(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-3)
	return math.Round(v/unit) * unit
}
