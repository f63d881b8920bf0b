// Package loglimit keeps a log from being flooded by records of one kind.
package loglimit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Every is the interval for which programs limit their logs.
const Every = 10 * time.Second

// mostKinds bounds the memory for kinds. A program has fewer: its messages are constant.
const mostKinds = 256

// New returns a logger that writes the first most records of each kind, and then, after
// each interval, the last one together with the number of those that it has left out, as
// the attribute "times". The kind is the level and the message. So a thousand clients that
// reset their connections do not cause a thousand lines. Records of level Debug are not
// limited. The function stop writes what was counted; the logger then limits nothing.
func New(to *slog.Logger, most int, every time.Duration) (limited *slog.Logger, stop func()) {
	l := &logLimit{most: most, every: every, kinds: make(map[logKind]*logCount)}
	return slog.New(&limitHandler{to.Handler(), l}), l.stop
}

type logKind struct {
	level   slog.Level
	message string
}

// A logLimit is shared by a limitHandler and those that WithAttrs and WithGroup make of
// it.
type logLimit struct {
	most  int
	every time.Duration

	mu      sync.Mutex
	kinds   map[logKind]*logCount // those of the current intervals
	stopped bool
}

// A logCount counts the records of one kind that were left out in an interval.
type logCount struct {
	wrote int // how many were written
	n     int
	last  slog.Record // the last of them
	to    slog.Handler
	timer *time.Timer // ends the interval
}

type limitHandler struct {
	slog.Handler
	limit *logLimit
}

// WithAttrs is that of the handler below, with the same limit.
func (h *limitHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &limitHandler{h.Handler.WithAttrs(attrs), h.limit}
}

// WithGroup is that of the handler below, with the same limit.
func (h *limitHandler) WithGroup(name string) slog.Handler {
	return &limitHandler{h.Handler.WithGroup(name), h.limit}
}

// Handle writes or counts a record.
func (h *limitHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.limit.leaveOut(h.Handler, r) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// leaveOut reports whether a record is only counted. The first one of a kind begins an
// interval.
func (l *logLimit) leaveOut(to slog.Handler, r slog.Record) bool {
	if r.Level < slog.LevelInfo {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	kind := logKind{r.Level, r.Message}
	c := l.kinds[kind]
	switch {
	case l.stopped:
		return false
	case c != nil && c.wrote < l.most:
		c.wrote++
	case c != nil:
		c.n++
		c.last, c.to = r.Clone(), to
		return true
	case len(l.kinds) < mostKinds:
		c = &logCount{wrote: 1}
		c.timer = time.AfterFunc(l.every, func() { l.tell(kind, c) })
		l.kinds[kind] = c
	}
	return false
}

// tell writes what was counted of a kind, and begins the next interval if there was
// something.
func (l *logLimit) tell(kind logKind, c *logCount) {
	l.mu.Lock()
	n, last, to := c.n, c.last, c.to
	c.n = 0
	switch {
	case l.stopped:
		n = 0 // stop has told it
	case n == 0:
		delete(l.kinds, kind)
	default:
		c.timer.Reset(l.every)
	}
	l.mu.Unlock()
	write(n, last, to)
}

// stop writes what was counted, and ends the limit.
func (l *logLimit) stop() {
	l.mu.Lock()
	l.stopped = true // from now on nothing changes the kinds
	l.mu.Unlock()
	for _, c := range l.kinds {
		c.timer.Stop()
		write(c.n, c.last, c.to)
	}
}

// write writes the last record of n that were left out.
func write(n int, last slog.Record, to slog.Handler) {
	if n == 0 {
		return
	}
	last.AddAttrs(slog.Int("times", n))
	_ = to.Handle(context.Background(), last) // the logger reports no errors, either
}
