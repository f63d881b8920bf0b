package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// The timeouts suite: how exactly a receive with SO_RCVTIMEO ends, and what a timeout costs
// the receives that never need it.
var timeoutsSuite = suite{
	name:  "timeouts",
	about: "how late a receive times out, and what a timeout costs a receive that finds data",
	sizes: []int{128},
	most:  filled,
	tables: func(e env) []table {
		return []table{waitTable(e), receiveTable(e)}
	},
}

// Lateness

const (
	lateP50    = "late_p50_us"
	lateP99    = "late_p99_us"
	lateMin    = "late_min_us"
	earlyCount = "early"
	waitCount  = "waits"
)

// sleepers wait at the same time, begun a fraction of the timeout apart: more samples in the
// same time, and still few enough that no two of them compete for a core.
const sleepers = 4

func waitTable(e env) table {
	names := able(e.subjects, func(s subject) bool { return s.newWaiter != nil })
	t := table{
		title:   fmt.Sprintf("timeouts: lateness of a receive that finds nothing, %s of %v", counted(e.reps, "round"), e.dur),
		rowHead: "timeout",
		metrics: []metric{
			{lateP50, "late p50 µs", decimals(0), inTable, inTable},
			{lateP99, "late p99 µs", decimals(0), inTable, inJSON},
			{lateMin, "least µs", decimals(0), inTable, nowhere},
			{earlyCount, "early", whole, inTable, nowhere},
			{waitCount, "waits a round", whole, inTable, nowhere},
		},
		pairs: pairsWith(names, "kernel", "net"),
		legend: []string{
			fmt.Sprintf("late: the time the receive took, less its timeout; %d sockets wait at the same time, each in its own goroutine, not pinned.", sleepers),
			"p99 of fewer than 100 waits is the latest of the round. early: waits that ended before their timeout; there must be none.",
			"kernel: a blocking read on a thread of its own; it is as late as the kernel's tick is coarse. net: SetReadDeadline before each Read.",
			"vs: this row's p50 divided by the peer's in the same round: median (least–greatest). Below 1 is less late.",
		},
		review: reviewWaits,
	}
	for _, timeout := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond} {
		t.trials = append(t.trials, trial{
			name:     fmt.Sprintf("timeout=%v", timeout),
			label:    timeout.String(),
			subjects: names,
			measure: inTurn(func(ctx context.Context, name string) (sample, error) {
				result, err := ask[waitResult](ctx, place{core: anywhere}, "wait", waitOrder{name, timeout, e.dur})
				return result.sample(), err
			}),
		})
	}
	return t
}

// reviewWaits does not let anybody be early.
func reviewWaits(outcomes []outcome) (_ []string, err error) {
	for _, o := range outcomes {
		for _, name := range o.trial.subjects {
			if o.figure(name, earlyCount).max > 0 {
				err = errors.Join(err, fmt.Errorf("%s ended a receive before its timeout of %s", name, o.trial.label))
			}
		}
	}
	return nil, err
}

type waitOrder struct {
	Subject string
	Timeout time.Duration
	Window  time.Duration
}

type waitResult struct {
	Waits, Early  int
	Min, P50, P99 time.Duration // of the lateness
}

func (r waitResult) sample() sample {
	return sample{
		lateP50:    microseconds(r.P50),
		lateP99:    microseconds(r.P99),
		lateMin:    microseconds(r.Min),
		earlyCount: float64(r.Early),
		waitCount:  float64(r.Waits),
	}
}

// measureWaits is the role of a process that waits for nothing.
func measureWaits(order waitOrder, answer answerFunc) error {
	s, err := findSubject(order.Subject)
	if err != nil {
		return err
	}
	lateness := make([][]time.Duration, sleepers)
	failures := make([]error, sleepers)
	var running sync.WaitGroup
	for i := range sleepers {
		running.Go(func() {
			lateness[i], failures[i] = sleeper(s, order, order.Timeout*time.Duration(i)/sleepers)
		})
	}
	running.Wait()
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	all := slices.Sorted(slices.Values(slices.Concat(lateness...)))
	early, _ := slices.BinarySearch(all, 0)
	return answer(waitResult{
		Waits: len(all),
		Early: early,
		Min:   all[0],
		P50:   percentile(all, 50),
		P99:   percentile(all, 99),
	})
}

// sleeper waits over and over, and tells how late each wait ended. The first is not counted:
// it finds cold caches and starts threads.
func sleeper(s subject, order waitOrder, delay time.Duration) ([]time.Duration, error) {
	const least = 3
	w, err := s.newWaiter(order.Timeout)
	if err != nil {
		return nil, err
	}
	defer w.close()
	time.Sleep(delay)
	if err := w.wait(); err != nil && err != errInterrupted {
		return nil, err
	}
	var lateness []time.Duration
	for end := time.Now().Add(order.Window); len(lateness) < least || time.Now().Before(end); {
		start := time.Now()
		err := w.wait()
		took := time.Since(start)
		if err == errInterrupted {
			continue
		}
		if err != nil {
			return nil, err
		}
		lateness = append(lateness, took-order.Timeout)
	}
	return lateness, nil
}

// percentile is the nearest rank: the least value that p in 100 do not exceed.
func percentile[T any](sorted []T, p float64) T {
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// Cost

const (
	nsPerReceive = "ns_per_recv"
	withTimeout  = "-timeout" // a subject's name with this: the same, with a timeout set

	longTimeout  = 30 * time.Second // never reached
	filled       = 64 << 10         // bytes that are in the socket before they are timed
	costIsNoneAt = 1.03             // weir with a timeout, to weir without
)

func receiveTable(e env) table {
	var names []string
	var pairs []pair
	for _, name := range able(e.subjects, func(s subject) bool { return s.newInlet != nil }) {
		names = append(names, name, name+withTimeout)
		pairs = append(pairs, pair{name + withTimeout, name, "vs without timeout"})
	}
	for _, p := range pairsWith(names, "net", "kernel") {
		if strings.HasSuffix(p.subject, withTimeout) { // like with like
			p.peer += withTimeout
		}
		if p.subject != p.peer {
			pairs = append(pairs, p)
		}
	}
	t := table{
		title:   fmt.Sprintf("timeouts: a receive of %s that are already there, %s", eachSize(e.sizes), counted(e.reps, "round")),
		rowHead: "size",
		metrics: []metric{{nsPerReceive, "ns/receive", decimals(0), inTable, inTable}},
		pairs:   pairs,
		legend: []string{
			fmt.Sprintf("One goroutine fills a unix stream socket with %s and receives them in pieces of the size; only the receives are timed.", bytesOf(filled)),
			fmt.Sprintf("-timeout: with a timeout of %v that never ends a receive. weir, kernel: set once. net: SetReadDeadline before each Read.", longTimeout),
			"vs: this row divided by the peer in the same round, timeout beside timeout: median (least–greatest). Below 1 is cheaper.",
		},
		review: reviewReceives,
	}
	for _, size := range e.sizes {
		t.trials = append(t.trials, trial{
			name:     fmt.Sprintf("receive,size=%d", size),
			label:    bytesOf(size),
			subjects: names,
			measure: func(ctx context.Context, order []string, turnTo func(string)) (round, error) {
				turnTo("all in turn")
				return measureCost(ctx, e, size, order)
			},
		})
	}
	return t
}

func reviewReceives(outcomes []outcome) (notes []string, _ error) {
	for _, o := range outcomes {
		if !slices.Contains(o.trial.subjects, "weir") {
			continue
		}
		if r := o.ratio(pair{subject: "weir" + withTimeout, peer: "weir"}, nsPerReceive); r.median > costIsNoneAt {
			notes = append(notes, fmt.Sprintf("weir's receive costs %.3f with a timeout of what it costs without; %.2f is the most it should.", r.median, costIsNoneAt))
		}
	}
	return notes, nil
}

func measureCost(ctx context.Context, e env, size int, order []string) (round, error) {
	got, err := ask[receiveResult](ctx, place{e.cores.server, 1}, "receive", receiveOrder{order, size, e.dur})
	if err != nil {
		return nil, err
	}
	r := make(round, len(order))
	for i, name := range order {
		r[name] = sample{nsPerReceive: got.Nanoseconds[i]}
	}
	return r, nil
}

type receiveOrder struct {
	Names  []string // of subjects, some of them with a timeout
	Size   int
	Window time.Duration // for each of them
}

type receiveResult struct{ Nanoseconds []float64 } // as the names

// measureReceives is the role of a process that receives what is there. It goes from one name
// to the next after every socketful, some ten thousandths of a second: a difference of three
// in a hundred would drown in the drift between longer turns, let alone between processes.
func measureReceives(order receiveOrder, answer answerFunc) error {
	inlets := make([]*inlet, len(order.Names))
	for i, name := range order.Names {
		in, err := openInlet(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer in.close()
		inlets[i] = in
	}
	perReceive := make([][]float64, len(inlets))
	data := make([]byte, filled/order.Size*order.Size)
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
	result := receiveResult{make([]float64, len(inlets))}
	for i, all := range perReceive {
		result.Nanoseconds[i] = spreadOf(all).median
	}
	return answer(result)
}

func openInlet(name string) (*inlet, error) {
	timeout := time.Duration(0)
	name, long := strings.CutSuffix(name, withTimeout)
	if long {
		timeout = longTimeout
	}
	s, err := findSubject(name)
	if err != nil {
		return nil, err
	}
	return s.newInlet(timeout)
}

// empty fills the socket with data and tells how long it took to receive all of it.
func (in *inlet) empty(data, buf []byte) (time.Duration, error) {
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
