package server

import (
	"fmt"

	"github.com/seed-2334f180/weir/loop"
)

// guard calls a function of the program with its argument and returns its panic as
// an error. The server calls every function of the program by guard.
func guard[T any](s *Server, arg T, f func(T) error) (err error) {
	if end := traceCall(); end != nil {
		defer end()
	}
	loop.Protect(func(v any, stack []byte) {
		s.logPanic("server: a callback panicked", v, stack)
		err = fmt.Errorf("server: a callback panicked: %v", v)
	}, func() { err = f(arg) })
	return err
}

// logPanic logs and counts a panic of the program's code.
func (s *Server) logPanic(message string, v any, stack []byte) {
	s.counters.panics.Add(1)
	s.Log.Error(message, "panic", v, "stack", frames(stack))
}

// reportPanics logs and counts the panics of all tasks and timers of a loop, until the
// server ends. The program may have posted them, or another package.
func (s *Server) reportPanics(l *loop.Loop) {
	s.panicReports = append(s.panicReports, l.OnPanic(func(v any, stack []byte) {
		s.logPanic("server: a task or timer on a loop panicked", v, stack)
	}))
}
