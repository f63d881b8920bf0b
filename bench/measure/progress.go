package measure

import (
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A Progress is a bar on a terminal, and nothing elsewhere. It draws between measurements only,
// because drawing takes processor time.
type Progress struct {
	bar *progressbar.ProgressBar // nil: the output is no terminal
}

// NewProgress makes a bar of so many steps.
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

// doing shows what is measured now.
func (p *Progress) doing(what string) {
	if p.bar != nil {
		p.bar.Describe(what)
	}
}

// step counts a finished step. An error of drawing is ignored: the measurement goes on.
func (p *Progress) step() {
	if p.bar != nil {
		_ = p.bar.Add(1)
	}
}

// Close removes the bar.
func (p *Progress) Close() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
