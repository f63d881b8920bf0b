package loop

import "runtime/debug"

// Protect calls f. If f panics, Protect calls report with the panic's value and
// the stack of the panic, and returns true. It is the one place where Weir
// recovers: a loop calls tasks and timers by it, and whoever calls a program's
// callbacks elsewhere should, too. A panic of report is not recovered. A
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

// OnPanic has f called with the value and the stack of each panic of a task or
// a timer of this loop, whoever has posted it. f is called on the loop's
// goroutine and must not block. Any number of functions may be set: all are
// called, and nothing is logged. stop removes f; a call of f that has begun may
// still be running then.
func (l *Loop) OnPanic(f func(value any, stack []byte)) (stop func()) {
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

// reported counts a panic and tells those who want to know. It is called on the
// loop's goroutine without a lock.
func (l *Loop) reported(value any, stack []byte) {
	l.panics.Add(1)
	l.mu.Lock()
	reports := l.reports
	l.mu.Unlock()
	if len(reports) == 0 {
		l.options.report(value, stack)
	}
	for _, f := range reports {
		Protect(logPanic, func() { (*f)(value, stack) })
	}
}
