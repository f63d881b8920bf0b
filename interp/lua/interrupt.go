package lua

import (
	"context"
	"sync/atomic"

	glua "github.com/yuin/gopher-lua"
)

// Interruptible returns a context for LState.SetContext, and a function that
// ends it: whatever a state with this context runs or waits in ends with an
// error. Any goroutine may call interrupt, and more than once.
//
// gopher-lua asks a state's context for its channel before each instruction. One
// of context.WithCancel costs a script of many calls half its speed; this one
// costs a quarter. It is for SetContext only: Done returns nil until interrupt
// is called.
func Interruptible() (ctx context.Context, interrupt func()) {
	waits, cancel := context.WithCancel(context.Background())
	c := &interruptible{Context: waits}
	return c, func() {
		c.ended.Store(true) // first: an error that ends a wait must not be caught and the script go on
		cancel()
	}
}

type interruptible struct {
	context.Context // of the calls that wait
	ended           atomic.Bool
}

func (c *interruptible) Done() <-chan struct{} {
	if c.ended.Load() {
		return c.Context.Done()
	}
	return nil // gopher-lua does not look into it then
}

// waitContext returns the context that ends the waits of a state, or nil.
func waitContext(L *glua.LState) context.Context {
	ctx := L.Context()
	if h, ok := ctx.(*hook); ok {
		ctx = h.Context
	}
	if c, ok := ctx.(*interruptible); ok {
		return c.Context
	}
	return ctx
}

// background returns that, or a context that does not end.
func background(L *glua.LState) context.Context {
	if ctx := waitContext(L); ctx != nil {
		return ctx
	}
	return context.Background()
}

// over raises an error if the context of the state has ended.
func over(L *glua.LState) {
	if ctx := L.Context(); ctx != nil && ctx.Err() != nil {
		L.RaiseError("%s", ctx.Err().Error())
	}
}
