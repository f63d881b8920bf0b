package lua

import (
	"context"
	"sync/atomic"

	glua "github.com/yuin/gopher-lua"
)

// Interruptible returns a context for LState.SetContext, and a function that ends
// it. A state with this context then raises an error in the function that it runs or
// waits in. The function is concurrency-safe, and may be called more than once.
//
// gopher-lua calls Done of a state's context before each instruction. A context of
// context.WithCancel costs a script of many calls half its speed; this context costs
// a quarter. Use it only for SetContext: Done returns nil until interrupt is called.
func Interruptible() (ctx context.Context, interrupt func()) {
	waits, cancel := context.WithCancel(context.Background())
	c := &interruptible{Context: waits}
	return c, func() {
		c.ended.Store(true) // before cancel: a script that catches the error of its wait must not go on
		cancel()
	}
}

type interruptible struct {
	context.Context // ends the calls that wait
	ended           atomic.Bool
}

func (c *interruptible) Done() <-chan struct{} {
	if c.ended.Load() {
		return c.Context.Done()
	}
	return nil // gopher-lua does not read from a nil channel
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

// background returns the context of waitContext, or a context that does not end.
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
