package server

import (
	"cmp"
	"fmt"
	"runtime/debug"

	"github.com/seed-2334f180/weir/loop"
)

// guard calls a callback of a connection and returns its panic as an error. It
// does not use loop.Protect, which would cost an allocation for each callback.
func (e *engine) guard(c *Conn, f func(*Conn) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = e.srv.panicked(v)
		}
	}()
	return f(c)
}

// guard calls f and returns its panic as an error.
func (s *Server) guard(f func() error) (err error) {
	var panicked error
	loop.Protect(func(v any, stack []byte) { panicked = s.panickedAt(v, stack) }, func() { err = f() })
	return cmp.Or(panicked, err)
}

// panicked counts and logs the panic of a callback. It is called by the deferred
// function that has recovered, because it takes the stack from there.
func (s *Server) panicked(v any) error { return s.panickedAt(v, debug.Stack()) }

func (s *Server) panickedAt(v any, stack []byte) error {
	s.logPanic("server: a callback panicked", v, stack)
	return fmt.Errorf("server: a callback panicked: %v", v)
}

func (s *Server) logPanic(message string, v any, stack []byte) {
	s.counters.panics.Add(1)
	s.Log.Error(message, "panic", v, "stack", frames(stack))
}

// reportPanics has the panics of tasks and timers of a loop logged and counted,
// until the server ends. Whoever posts them, they run beside the server's
// callbacks.
func (s *Server) reportPanics(l *loop.Loop) {
	s.panicReports = append(s.panicReports, l.OnPanic(func(v any, stack []byte) {
		s.logPanic("server: a task or timer on a loop panicked", v, stack)
	}))
}
