package measure

import (
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A Progress is a bar on a terminal, and nothing elsewhere. It redraws only between
// measurements: drawing during one would take time from the machine that is being measured.
type Progress struct {
	bar *progressbar.ProgressBar // nil: nobody watches
}

func NewProgress(out *os.File, steps int) *Progress {
	if !term.IsTerminal(int(out.Fd())) {
		return &Progress{}
	}
	return &Progress{bar: progressbar.NewOptions(steps,
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetWidth(24),
		progressbar.OptionSetPredictTime(true),
	)}
}

// A bar that cannot be drawn does not matter: its errors are dropped.

// doing says what begins now.
func (p *Progress) doing(what string) {
	if p.bar != nil {
		p.bar.Describe(what)
	}
}

// step says that a step is done.
func (p *Progress) step() {
	if p.bar != nil {
		_ = p.bar.Add(1)
	}
}

func (p *Progress) Close() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
