package loop

import (
	"log/slog"
	"runtime/debug"
)

// Protect calls f. If f panics, Protect calls report with the panic's value and
// the stack of the panic, and returns true. A loop calls tasks and timers by it.
// Code that calls a program's callbacks elsewhere should use it, too. A panic of report is not recovered. A
// runtime.Goexit of f ends the goroutine and is not reported.
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

// OnPanic has f called with the value and the stack of each panic of a task, a
// timer or a handler of this loop, from whichever package they are. f is
// called on the loop's goroutine and must not block. Any number of functions
// may be set: all are called, after Options.PanicReport, and nothing is logged.
// stop removes f; a call of f that has begun may still be running then. With
// Options.Crash nothing is called.
//
// A server that runs on the loops of a group which the program has made
// reports the panics there in this way.
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
	if l.options.Crash {
		f()
		return
	}
	Protect(l.reported, f)
}

// reported counts a panic and calls the reports. It is called on the loop's
// goroutine without a lock.
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

// survive is for a defer around several calls of handlers. It recovers from a
// panic of a handler alone: whatever else panics there may hold a lock.
func (l *Loop) survive() {
	if !l.calling || l.options.Crash {
		return
	}
	if v := recover(); v != nil {
		l.calling = false
		l.reported(v, debug.Stack())
	}
}
