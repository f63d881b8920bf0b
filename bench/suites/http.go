package suites

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/seed-2334f180/weir/bench/web"
)

// The http suite: Go's net/http on the listeners of Weir and of net.
var httpSuite = Suite{
	Name:  "http",
	About: "net/http on Weir's listener and on net's, plain and over TLS, driven by wrk where it is installed",
	Settings: Settings{
		Procs: []int{2},
		Web:   WebKinds(),
		Conns: []int{1, 10, 100, 1000},
		Sizes: []int{128, 64 << 10},
	},
	Brief: Settings{
		Web:   []string{"plain", "tls"},
		Conns: []int{1, 100, 1000},
		Sizes: []int{128},
	},
	tables:   httpTables,
	criteria: httpCriteria,
}

func httpCriteria(env) []report.Criterion {
	return []report.Criterion{
		{Metric: reqPerSec, Subjects: weirNames, Peer: ordinaryPeer, Limit: 1, Heading: "fewer requests than net"},
		{Metric: reqPerSec, Subjects: weirNames, Peer: ordinaryPeer, Limit: 1.15, Heading: "requests below 1.15 of net", Counted: true},
		{Metric: cpuPerReq, Subjects: weirNames, Peer: ordinaryPeer, Limit: 1, AtMost: true, Heading: "more CPU per request than net"},
		{Metric: latencyP99, Subjects: weirNames, Peer: ordinaryPeer, Limit: 1.1, AtMost: true, Heading: "p99 above 1.1 of net"},
	}
}

// A webKind is a way to speak HTTP.
type webKind struct {
	name      string // for Settings.Web
	tls       bool
	keepAlive bool // else each request has a connection of its own
}

var webKinds = []webKind{
	{"plain", false, true},
	{"plain-close", false, false},
	{"tls", true, true},
	{"tls-close", true, false},
}

// WebKinds lists what Settings.Web may contain.
func WebKinds() (names []string) {
	for _, k := range webKinds {
		names = append(names, k.name)
	}
	return names
}

func httpTables(e env) ([]report.Table, error) {
	names := subjects.Able(e.Subjects, func(s subjects.Subject) bool { return s.Listen != nil })
	wrk, err := web.FindWrk()
	client := []string{
		"The client is wrk, with one thread, for whole seconds, and some more for handshakes. Its time contains that of opening the connections.",
		"p50, p99, p99.9: from the request to the whole answer.",
	}
	if err != nil {
		client = []string{
			"The client is bench's own, which takes more processor time than wrk would: wrk is not installed.",
			"p50, p99, p99.9: from the request to the whole answer; with -close, from connect.",
		}
	}
	var tables []report.Table
	for _, procs := range e.Procs {
		for _, kind := range webKinds {
			if !slices.Contains(e.Web, kind.name) {
				continue
			}
			t := cellTable(fmt.Sprintf("http: net/http, %s, GOMAXPROCS=%d, on all cores", kind.name, procs), "answer × connections", names)
			for _, size := range e.Sizes {
				for _, conns := range e.Conns {
					v := visit{kind: kind, procs: procs, conns: conns, size: size, wrk: wrk}
					t.Trials = append(t.Trials, v.trial(e, names))
				}
			}
			tables = append(tables, t)
		}
	}
	return explained(tables, append(client,
		"plain, tls: a connection has one request after the other. -close: each request has a connection of its own, and with tls a handshake.",
		"CPU µs/req: the server's processor time for one request, user and system.",
		"vs: this row's figure divided by the peer's in the same round: median (least–greatest). More req/s is better; less CPU, p99 is better.",
		fmt.Sprintf("%s of %v for each subject; figures without brackets are medians.", report.Counted(e.Reps, "round"), e.Dur),
	)), nil
}

// A visit is one setting of an HTTP server and its client.
type visit struct {
	kind  webKind
	procs int
	conns int
	size  int    // bytes of an answer
	wrk   string // its path; "" is the built-in client
}

func (v visit) trial(e env, names []string) measure.Trial {
	return measure.Trial{
		Name:     fmt.Sprintf("%s,procs=%d,conns=%d,size=%d", v.kind.name, v.procs, v.conns, v.size),
		Label:    fmt.Sprintf("%s × %d", report.Bytes(v.size), v.conns),
		Subjects: names,
		Measure: measure.InTurn(func(ctx context.Context, name string) (measure.Sample, error) {
			got, err := v.measure(ctx, e, name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return sampleOf(got), nil
		}),
	}
}

func (v visit) measure(ctx context.Context, e env, name string) (load.Result, error) {
	server, err := child.Start(ctx, child.Place{Threads: v.procs}, "http-server",
		web.Order{Subject: name, TLS: v.kind.tls, Size: v.size})
	if err != nil {
		return load.Result{}, err
	}
	defer server.Stop() //nolint:errcheck // it is measured already: how it ends does not matter
	var at subjects.Listening
	if err := server.Answer(&at); err != nil {
		return load.Result{}, err
	}
	order := web.Visit{
		Addr:      at.Addr,
		ServerPID: server.Pid(),
		TLS:       v.kind.tls,
		KeepAlive: v.kind.keepAlive,
		Size:      v.size,
		Conns:     v.conns,
		WarmUp:    e.Dur / 5,
		Window:    e.Dur,
		Patience:  patience,
	}
	if v.wrk != "" {
		return web.Wrk(ctx, v.wrk, order)
	}
	return child.Ask[load.Result](ctx, child.Place{Threads: 1}, "http-load", order)
}
