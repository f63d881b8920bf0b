package main

import (
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A progress is a bar on a terminal, and nothing elsewhere. It redraws only between
// measurements: drawing during one would take time from the machine that is being measured.
type progress struct {
	bar *progressbar.ProgressBar // nil: nobody watches
}

func newProgress(out *os.File, steps int) *progress {
	if !term.IsTerminal(int(out.Fd())) {
		return &progress{}
	}
	return &progress{bar: progressbar.NewOptions(steps,
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetWidth(24),
		progressbar.OptionSetPredictTime(true),
	)}
}

// A bar that cannot be drawn does not matter: its errors are dropped.

// doing says what begins now.
func (p *progress) doing(what string) {
	if p.bar != nil {
		p.bar.Describe(what)
	}
}

// step says that a step is done.
func (p *progress) step() {
	if p.bar != nil {
		_ = p.bar.Add(1)
	}
}

func (p *progress) close() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
