//go:build linux

package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// To build the tests takes longer than most of them run. So one binary holds many
// changes, and the environment chooses one: a place in the code holds the text before
// and the text after each change, and asks which of them is to run.

// A form says how a place chooses.
type form int

const (
	nowhere    form = iota
	expression      // of a truth value
	statement       // that returns no values
	result          // a return of values
	entry           // the begin of a function, which notes that it runs, and chooses nothing
)

// A place is a piece of a file, in bytes, that can be replaced by a choice.
type place struct {
	start, end int
	form       form
}

// place notes that a node can be replaced by a choice.
func (f *finder) place(n ast.Node, as form) {
	if f.body > 0 { // a constant cannot choose
		f.places = append(f.places, place{f.tokens.Offset(n.Pos()), f.tokens.Offset(n.End()), as})
	}
}

// smallest returns the smallest place that holds the change.
func smallest(places []place, c change) (best place) {
	for _, p := range places {
		if p.start <= c.start && c.end <= p.end && (best.form == nowhere || p.end-p.start < best.end-best.start) {
			best = p
		}
	}
	return best
}

// A numbered change is number n of its binary. alone says that the binary only notes
// that its function runs: the change needs a binary of its own.
type numbered struct {
	change
	n     int
	alone bool
}

// where returns the place of a change in the binary.
func (c numbered) where() place {
	if c.alone || c.at.form == nowhere {
		return place{c.body, c.body, entry}
	}
	return c.at
}

// choices returns the source with choices between the text before and after each change.
func choices(source string, all []numbered) string {
	byPlace := map[place][]numbered{}
	for _, c := range all {
		if c.where().start > 0 {
			byPlace[c.where()] = append(byPlace[c.where()], c)
		}
	}
	var places []place
	for p := range byPlace {
		places = append(places, p)
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Or(a.start-b.start, b.end-a.end) })
	w := &writer{source: source, places: places, byPlace: byPlace}
	return w.write(0, len(source))
}

// A writer writes a file with choices. places are in the order of the source, and a
// place is before those that it holds.
type writer struct {
	source  string
	places  []place
	byPlace map[place][]numbered
}

// write returns the piece of the source with the choices in it.
func (w *writer) write(start, end int) string {
	var b strings.Builder
	for len(w.places) > 0 && w.places[0].start < end {
		p := w.places[0]
		w.places = w.places[1:]
		b.WriteString(w.source[start:p.start])
		b.WriteString(choose(p, w.source, w.write(p.start, p.end), w.byPlace[p]))
		start = p.end
	}
	b.WriteString(w.source[start:end])
	return b.String()
}

// choose returns the text of a place. before is its text with the choices in it.
func choose(p place, source, before string, all []numbered) string {
	var b strings.Builder
	if p.form == expression {
		b.WriteString("(")
	}
	var numbers []string
	for _, c := range all {
		after := source[p.start:min(c.start, p.end)]
		if p.form != entry {
			after += c.with + source[c.end:p.end]
		}
		switch p.form {
		case expression:
			fmt.Fprintf(&b, "mutantIs(%d) && (%s) || ", c.n, after)
		case statement:
			fmt.Fprintf(&b, "if mutantIs(%d) { %s } else ", c.n, after)
		case result:
			fmt.Fprintf(&b, "if mutantIs(%d) { %s }; ", c.n, after)
		case entry:
			fmt.Fprintf(&b, " mutantIs(%d); ", c.n)
		}
		numbers = append(numbers, fmt.Sprint(c.n))
	}
	switch p.form {
	case expression:
		fmt.Fprintf(&b, "!mutantAmong(%s) && (%s))", strings.Join(numbers, ", "), before)
	case statement:
		fmt.Fprintf(&b, "{ %s }", before)
	default:
		b.WriteString(before)
	}
	return b.String()
}

// chooser is a file of each package with choices. It opens the file for its report at
// once, and far from other descriptors: tests leave no descriptor free, and count them.
const chooser = `package %s

import (
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"
)

var (
	mutantChosen, _ = strconv.Atoi(os.Getenv("MUTANT"))
	mutantReport    = mutantOpen(os.Getenv("MUTANT_REPORT"))
	mutantsReached  [%d]atomic.Bool
)

func mutantOpen(name string) int {
	fd, err := syscall.Open(name, syscall.O_WRONLY|syscall.O_APPEND|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	far, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 900)
	if errno != 0 {
		return fd
	}
	syscall.Close(fd)
	return int(far)
}

func mutantIs(n int) bool {
	if mutantReport >= 0 && !mutantsReached[n].Swap(true) {
		record := uint32(n) // nothing is allocated: this may run on the scheduler's stack
		syscall.RawSyscall(syscall.SYS_WRITE, uintptr(mutantReport), uintptr(unsafe.Pointer(&record)), 4)
	}
	return n == mutantChosen
}

func mutantAmong(all ...int) bool {
	for _, n := range all {
		if n == mutantChosen {
			return true
		}
	}
	return false
}
`
