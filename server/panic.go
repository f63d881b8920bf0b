package server

import (
	"fmt"
	"runtime/debug"

	"github.com/seed-2334f180/weir/loop"
)

// guard calls a function of the program with its argument and returns its panic as
// an error. Every call of the server into the program goes through it. It does not
// use loop.Protect, whose closure would cost an allocation for each callback.
func guard[T any](s *Server, arg T, f func(T) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = s.panicked(v)
		}
	}()
	return f(arg)
}

// panicked logs and counts a panic of the program's code, and returns it as an
// error. The deferred function that has recovered calls it, because the stack is
// still there.
func (s *Server) panicked(v any) error {
	s.logPanic("server: a callback panicked", v, debug.Stack())
	return fmt.Errorf("server: a callback panicked: %v", v)
}

func (s *Server) logPanic(message string, v any, stack []byte) {
	s.counters.panics.Add(1)
	s.Log.Error(message, "panic", v, "stack", frames(stack))
}

// reportPanics logs and counts the panics of tasks and timers of a loop until the
// server ends. Whoever posts them, they run beside the server's callbacks.
func (s *Server) reportPanics(l *loop.Loop) {
	s.panicReports = append(s.panicReports, l.OnPanic(func(v any, stack []byte) {
		s.logPanic("server: a task or timer on a loop panicked", v, stack)
	}))
}
