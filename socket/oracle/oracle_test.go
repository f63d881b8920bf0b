package oracle

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/loop"
)

var (
	lanes = flag.Int("oracle.lanes", 8, "how many scenarios run at once")
	late  = flag.Duration("oracle.late", time.Second, "how much longer than the kernel's a call may take")
	show  = flag.Bool("oracle.show", false, "print what every scenario gave")
)

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", fmt.Sprint(*lanes))
	machine.Main(tests{m})
}

type tests struct{ *testing.M }

// Run runs the tests and closes the default group of loops.
func (t tests) Run() int {
	code := t.M.Run()
	fmt.Println(&total)
	if group, err := loop.Default(); err == nil {
		group.Close()
	}
	return code
}

// A scenario is a script with the outcomes of the kernel.
type scenario struct {
	name  string
	row   string // the row of KERNEL.md that the scenario covers
	on    []fixture
	steps []step
	want  string // the kernel's outcomes, separated by "; "

	// deviates is the reason for a deviation of Weir. instead is the outcome of Weir.
	deviates string
	instead  string
}

// A trace has the outcomes of a run, one for each step.
type trace []outcome

// String returns the outcomes that the test compares.
func (tr trace) String() string {
	var texts []string
	for _, o := range tr {
		if o.text != "" {
			texts = append(texts, o.text)
		}
	}
	return strings.Join(texts, "; ")
}

// play runs a script on a backend.
func play(t *testing.T, b backend, f fixture, steps []step) (tr trace) {
	w := newWorld(t, b, f)
	defer func() {
		w.close()
		for _, c := range w.calls {
			w.wait(c, "at the end")
		}
	}()
	for _, st := range steps {
		tr = append(tr, w.step(st))
	}
	return tr
}

func (w *world) step(st step) outcome {
	name := st.sock
	if name == "" {
		name = "s"
	}
	s := w.sock(name)
	switch {
	case s == nil && st.end == nil:
		// On a busy machine an accept may time out, and then there is no socket for the next steps.
		return outcome{text: "no socket " + name}
	case st.call != nil:
		c := w.backend.run(func() outcome { return st.call(w, s) })
		return w.wait(c, st.name)
	case st.act != nil:
		return outcome{text: st.act(w, s)}
	default:
		return w.wait(st.end(w), st.name)
	}
}

func (w *world) wait(c *call, what string) outcome {
	select {
	case o := <-c.done:
		return o
	case <-time.After(2 * patience):
		w.t.Errorf("%s: %s hangs", w.backend.name(), what)
		return outcome{text: "hangs"}
	}
}

// jiffy is the kernel's tick. The time of a run may differ from the kernel's timeout by
// that much.
const jiffy = 4 * time.Millisecond

// disagreement says how a run of Weir differs from a run of the kernel. It is empty if
// the runs agree.
func disagreement(steps []step, k, w trace) string {
	var b strings.Builder
	for i, st := range steps {
		ko, wo := k[i], w[i]
		if ko.text == wo.text && ko.rest != wo.rest {
			fmt.Fprintf(&b, "step %d, %s: the kernel gave\n%sand weir\n%s", i+1, st.name, ko.rest, wo.rest)
		}
		if ko.text != wo.text {
			fmt.Fprintf(&b, "step %d, %s: the kernel gave %q, weir %q\n", i+1, st.name, ko.text, wo.text)
		}
		if ko.limit > 0 && ko.text == wo.text && ko.took >= ko.limit-jiffy && wo.took < wo.limit {
			fmt.Fprintf(&b, "step %d, %s: weir was early: %v of %v (the kernel took %v)\n", i+1, st.name, wo.took, wo.limit, ko.took)
		}
		if ko.text == wo.text && wo.took > ko.took+*late {
			fmt.Fprintf(&b, "step %d, %s: weir was late: %v (the kernel took %v)\n", i+1, st.name, wo.took, ko.took)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	fmt.Fprintf(&b, "the script, the kernel's outcomes and Weir's:\n")
	for i, st := range steps {
		fmt.Fprintf(&b, "  %2d %-32s %-28s %s\n", i+1, st.name, k[i], w[i])
	}
	return b.String()
}

func (o outcome) String() string {
	if o.took == 0 {
		return o.text
	}
	return fmt.Sprintf("%s (%v)", o.text, o.took.Round(100*time.Microsecond))
}

// A tally counts the results of the scenarios.
type tally struct {
	sync.Mutex
	run, agree, deviate, skipped int

	deviations map[string][]string // each deviation, and the sockets that have it
}

// String returns the text of the summary.
func (c *tally) String() string {
	return fmt.Sprintf("oracle: %d scenarios: %d agree, %d deviate as declared, %d skipped", c.run, c.agree, c.deviate, c.skipped)
}

// total is the tally of all scenarios in the tables.
var total = tally{deviations: map[string][]string{}}

// TestScenarios runs all tables. With -v it lists the deviations.
func TestScenarios(t *testing.T) {
	t.Run("all", func(t *testing.T) {
		for _, table := range tables {
			for _, sc := range table {
				for _, f := range sc.on {
					t.Run(strings.ReplaceAll(sc.name, " ", "_")+"/"+f.name, func(t *testing.T) {
						t.Parallel()
						sc.run(t, f)
					})
				}
			}
		}
	})
	t.Log(&total)
	for _, d := range slices.Sorted(maps.Keys(total.deviations)) {
		slices.Sort(total.deviations[d])
		t.Logf("deviation: %s [%s]", d, strings.Join(total.deviations[d], " "))
	}
}

// run plays the scenario until its outcomes are right. On a busy machine a step may come
// after a timeout that it should precede. So run counts wrong outcomes only if this
// process got the processor in time.
func (sc *scenario) run(t *testing.T, f fixture) {
	defer total.count(t, sc, f)
	for begun := time.Now(); ; {
		stalled := machine.Stalls(t)
		defer stalled() // for a test that skips
		k := play(t, kernel{}, f, sc.steps)
		w := play(t, weir{}, f, sc.steps)
		busy := stalled() > 10*time.Millisecond
		if *show {
			t.Logf("kernel: %v", k)
			t.Logf("weir:   %v", w)
		}
		wrong := sc.wrong(k, w)
		if len(wrong) == 0 {
			return
		}
		if !busy || time.Since(begun) > 2*time.Minute {
			t.Error(strings.Join(wrong, "\n"))
			return
		}
	}
}

// wrong describes an error in the outcomes of the kernel and of Weir.
func (sc *scenario) wrong(k, w trace) (all []string) {
	instead := sc.want
	if sc.deviates != "" {
		instead = sc.instead
	}
	if k.String() != sc.want {
		all = append(all, fmt.Sprintf("the kernel does not do what the scenario says:\n got %s\nwant %s", k, sc.want))
	}
	if w.String() != instead {
		all = append(all, fmt.Sprintf("weir does not do what the scenario says:\n got %s\nwant %s", w, instead))
	}
	if d := disagreement(sc.steps, k, w); d != "" && sc.deviates == "" {
		all = append(all, "weir and the kernel disagree:\n"+d)
	}
	return all
}

func (c *tally) count(t *testing.T, sc *scenario, f fixture) {
	c.Lock()
	defer c.Unlock()
	c.run++
	switch {
	case t.Failed():
	case t.Skipped():
		c.skipped++
	case sc.deviates != "":
		c.deviate++
		what := sc.name + ": " + sc.deviates
		c.deviations[what] = append(c.deviations[what], f.name)
	default:
		c.agree++
	}
}
