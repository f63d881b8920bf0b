package suites

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/machine"
)

// A beside is what a server has to live with.
type beside struct {
	name  string // for Settings.Beside
	words string // for a title
	busy  int    // programs that only compute
	quota float64
}

var besides = []beside{
	{name: "busy1", words: "beside one busy program", busy: 1},
	{name: "busy2", words: "beside two busy programs", busy: 2},
	{name: "quota0.5", words: "with a quota of half a core", quota: 0.5},
	{name: "quota1", words: "with a quota of one core", quota: 1},
}

// Besides lists what Settings.Beside may contain.
func Besides() (names []string) {
	for _, b := range besides {
		names = append(names, b.name)
	}
	return names
}

// quotaLeast is the shortest window with a quota: it contains several of the kernel's periods.
const quotaLeast = 500 * time.Millisecond

// busyMost bounds a busy program whose parent forgets it.
const busyMost = 2 * time.Minute

// begin makes it so for a round, and returns what undoes it.
func (b beside) begin(ctx context.Context) (_ *machine.Quota, end func() error, err error) {
	if b.quota > 0 {
		quota, err := machine.NewQuota(b.quota)
		if err != nil {
			return nil, nil, err
		}
		return quota, quota.Close, nil
	}
	var programs []*child.Process
	end = func() (err error) {
		for _, p := range programs {
			err = errors.Join(err, p.Stop())
		}
		return err
	}
	for range b.busy {
		p, err := child.Start(ctx, child.Place{}, "busy", load.BusyOrder{Most: busyMost})
		if err == nil {
			programs = append(programs, p)
			err = p.Answer(&struct{}{}) // it runs
		}
		if err != nil {
			return nil, nil, errors.Join(err, end())
		}
	}
	return nil, end, nil
}

// possible returns an error that says why this machine cannot do it.
func (b beside) possible() error {
	if b.quota == 0 {
		return nil
	}
	quota, err := machine.NewQuota(b.quota)
	if err != nil {
		return fmt.Errorf("no quota of processor time can be set: %w", err)
	}
	return quota.Close()
}
