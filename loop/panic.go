package loop

import (
	"log/slog"
	"runtime/debug"
)

// Protect calls f. If f panics, Protect calls report with the panic's value and
// the stack of the panic, and returns true. Protect does not recover from a panic
// of report. If f calls runtime.Goexit, the goroutine ends, and Protect reports
// nothing. A loop calls tasks and timers by Protect, and package server calls a
// program's callbacks by it. The two functions do not escape: closures cost no
// allocation.
func Protect(report func(value any, stack []byte), f func()) (panicked bool) {
	defer func() {
		if v := recover(); v != nil {
			panicked = true
			report(v, debug.Stack())
		}
	}()
	f()
	return false
}

// OnPanic makes the loop call f with the value and the stack of each panic of its
// tasks, timers and handlers. f runs on the loop's goroutine and must not block.
// Any number of functions may be set: the loop calls all of them, after
// Options.PanicReport, and logs nothing. stop removes f, but does not wait for a
// call of f in progress. With Options.Crash the loop calls none.
//
// A server reports the panics on its loops in this way, also when the program has
// made the loops.
func (l *Loop) OnPanic(f func(value any, stack []byte)) (stop func()) {
	if f == nil {
		return func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := new(panicReport)
	*key = f
	l.reports = append(l.reports[:len(l.reports):len(l.reports)], key) // reported may be reading the old slice
	return func() { l.removeReport(key) }
}

type panicReport func(value any, stack []byte)

func (l *Loop) removeReport(key *panicReport) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var left []*panicReport
	for _, f := range l.reports {
		if f != key {
			left = append(left, f)
		}
	}
	l.reports = left
}

// protect calls f and survives its panic, unless the options say otherwise.
func (l *Loop) protect(f func()) {
	begun := l.callBegins()
	if l.options.Crash {
		f()
	} else {
		Protect(l.reported, f)
	}
	l.callEnds(begun)
}

// reported counts a panic and calls the functions of Options.PanicReport and OnPanic,
// or logs it if there are none. It runs on the loop's goroutine, without a lock.
func (l *Loop) reported(value any, stack []byte) {
	l.panics.Add(1)
	l.mu.Lock()
	reports := l.reports
	l.mu.Unlock()
	if f := l.options.PanicReport; f != nil {
		tell(f, value, stack)
	} else if len(reports) == 0 {
		logPanic(value, stack)
	}
	for _, f := range reports {
		tell(*f, value, stack)
	}
}

// tell calls a report. A report that panics itself must not end the loop.
func tell(report func(any, []byte), value any, stack []byte) {
	Protect(logPanic, func() { report(value, stack) })
}

func logPanic(value any, stack []byte) {
	slog.Error("weir: a task, timer or handler of an event loop panicked", "panic", value, "stack", string(stack))
}

// survive is Protect for a defer around several calls of handlers, which then need
// none each. It recovers only from a panic of a handler: other code that panics there
// may hold a lock.
func (l *Loop) survive() {
	if !l.calling || l.options.Crash {
		return
	}
	if v := recover(); v != nil {
		l.calling = false
		l.reported(v, debug.Stack())
	}
}
