package server

import (
	"context"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Labels say in a CPU profile for which server, loop and listener a goroutine works
// (pprof -tags, -tagfocus). A loop's goroutine gets them when a listener begins. A
// goroutine of a Handler gets them when it begins to run a session, which costs some
// nanoseconds. A callback gets none of its own, because that would cost each event as
// much.

// An engineLabels has the labels of the goroutines that work for an engine.
type engineLabels struct {
	handler atomic.Pointer[context.Context] // while a session runs
	loop    atomic.Pointer[context.Context] // at other times
}

var unlabelled = context.Background()

// relabel gives new labels to the goroutines of the server. The caller has the lock.
func (s *Server) relabel() {
	all := s.addressesOf(nil)
	for i, e := range s.allEngines {
		n := i % len(s.engines) // each service has one engine for each loop
		handler := s.labels(n, s.addressesOf(e.service))
		e.labels.handler.Store(&handler)
		if !s.ownGroup {
			continue // the loops may work for others, too
		}
		own := s.labels(n, all)
		e.labels.loop.Store(&own)
		if i < len(s.engines) {
			_ = e.post(func() { pprof.SetGoroutineLabels(own) }) // a closed loop needs none
		}
	}
}

// labels returns a context with the labels server, if the server has a name, loop and
// listener.
func (s *Server) labels(loop int, listeners []string) context.Context {
	list := []string{"loop", strconv.Itoa(loop), "listener", strings.Join(listeners, ",")}
	if s.Name != "" {
		list = append(list, "server", s.Name)
	}
	return pprof.WithLabels(context.Background(), pprof.Labels(list...))
}

// addressesOf returns the addresses of the listeners of a service; with nil of all.
func (s *Server) addressesOf(v *Service) (list []string) {
	for _, l := range s.listeners {
		if a := l.addr.String(); (v == nil || l.eng.service == v) && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

// labelled calls f with the labels of the session's engine on the goroutine.
func (x *Session) labelled(f func(*Session)) {
	e := x.engine()
	pprof.SetGoroutineLabels(labelsOf(&e.labels.handler))
	f(x)
	pprof.SetGoroutineLabels(labelsOf(&e.labels.loop))
}

func labelsOf(p *atomic.Pointer[context.Context]) context.Context {
	if c := p.Load(); c != nil {
		return *c
	}
	return unlabelled
}

// The names of what the server writes to an execution trace: a region for each call of a
// function of the program, and a task for each call of a Handler, with its peer. The
// loop writes a region for each turn.
const (
	callRegion  = "weir.call"
	handlerTask = "weir.handler"
)

// traceCall begins a region. Without an execution trace it costs a load.
func traceCall() (end func()) {
	if !trace.IsEnabled() {
		return nil
	}
	return trace.StartRegion(context.Background(), callRegion).End
}

// traceHandler begins a task for a call of the session's Handler.
func (x *Session) traceHandler() (end func()) {
	if !trace.IsEnabled() {
		return nil
	}
	ctx, task := trace.NewTask(context.Background(), handlerTask)
	trace.Log(ctx, "peer", x.RemoteAddr().String())
	return task.End
}
