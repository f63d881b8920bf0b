package suites

import (
	"fmt"
	"time"

	"github.com/seed-2334f180/weir/bench/report"
)

// The neighbours suite: the ordinary one beside busy programs, and with less processor time
// than there are cores.
var neighboursSuite = Suite{
	Name:  "neighbours",
	About: "the ordinary suite beside busy programs, and in a container's quota of processor time",
	Settings: Settings{
		Procs:  []int{1, 2},
		Pins:   []string{PinShared},
		Beside: Besides(),
		Works:  []time.Duration{0, 10 * time.Microsecond},
		Conns:  []int{8, 64},
		Sizes:  []int{128},
	},
	Brief: Settings{
		Procs:  []int{2},
		Beside: []string{"busy2", "quota0.5"},
	},
	most:     ordinaryMost,
	tables:   neighboursTables,
	criteria: ordinaryCriteria,
}

func neighboursTables(e env) ([]report.Table, error) {
	names := ordinaryNames(e)
	steps := stepsFor(e.Works)
	var tables []report.Table
	for _, name := range e.Beside {
		for _, b := range besides {
			if b.name != name {
				continue
			}
			if err := b.possible(); err != nil {
				e.note("suite neighbours: %s: %v: left out", name, err)
				continue
			}
			for _, procs := range e.Procs {
				for _, pin := range e.Pins {
					c := cell{procs: procs, pin: pin, beside: b, open: e.Open}
					title := fmt.Sprintf("neighbours: %s, GOMAXPROCS=%d, cores %s", b.words, procs, pin)
					tables = append(tables, workTable(e, c, title, names, steps))
				}
			}
		}
	}
	own := append(openLegend(e),
		"A busy program computes without end in one thread, on any core. A quota lets the server alone use so much time in each tenth of a second, and then stops it until the next. A window with a quota has half a second or more.")
	return explained(tables, cellLegend(e, own...)), nil
}
