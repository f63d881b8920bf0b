package lua

import (
	"fmt"

	glua "github.com/yuin/gopher-lua"
)

// This file replaces the functions of the coroutine library that must handle the
// coroutines of pcall, or contexts.

// ours reports whether pcall made a coroutine. pcall marks its coroutines with the
// option SkipOpenLibs, which has no effect in a coroutine. The mark makes the common
// case fast: schedulers often ask which coroutine runs, and pcall made few of them.
// The mark alone is not enough, because other coroutines may inherit the option.
func (p *protection) ours(th *glua.LState) bool {
	if th.Dead || !th.Options.SkipOpenLibs {
		return false
	}
	const bottom = -1
	at, ok := th.GetStack(bottom)
	if !ok {
		return false
	}
	main, err := th.GetInfo("f", at, nil)
	return err == nil && (main == p.once || main == p.armed)
}

// outside returns the coroutine that the program sees. For a coroutine of pcall this
// is the coroutine that called pcall; any other coroutine stands for itself.
func (p *protection) outside(th *glua.LState) *glua.LState {
	for th.Parent != nil && p.ours(th) {
		th = th.Parent
	}
	return th
}

// frame finds the active function of a level. A level counts the functions of a
// coroutine, and behind pcall those of its caller. p may be nil.
func (p *protection) frame(th *glua.LState, level int) (*glua.Debug, bool) {
	if level < 0 {
		return nil, false
	}
	for {
		if at, ok := th.GetStack(level); ok {
			return at, true
		}
		if p == nil || !p.ours(th) || th.Parent == nil {
			return nil, false
		}
		depth := 0
		for ok := true; ok; depth++ {
			_, ok = th.GetStack(depth + 1)
		}
		// The main function of th stands for pcall. In its parent come pcall's
		// function in Go, pcall, and then the caller.
		th, level = th.Parent, level-depth+2
	}
}

// raise is error(value [, level]). The value may be missing. gopher-lua's function takes
// level 2 as level 1.
func (p *protection) raise(L *glua.LState) int {
	value := L.Get(1)
	if level := int(optNumber(L, 2, 1)); level > 0 && glua.LVCanConvToString(value) {
		value = glua.LString(p.position(L, level) + textOf(L, value).String())
	}
	L.Error(value, 0)
	return 0
}

// position returns "file:line: " for the active function of a level, or "" if that is a
// function in Go.
func (p *protection) position(L *glua.LState, level int) string {
	at, ok := p.frame(L, level)
	if !ok {
		return ""
	}
	if _, err := L.GetInfo("Sl", at, glua.LNil); err != nil || at.What == "G" || at.Source == protectChunk {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", at.Source, at.CurrentLine)
}

// active reports whether a coroutine runs, or waits for a coroutine that it resumed.
func active(L, th *glua.LState) bool {
	for ; L != nil; L = L.Parent {
		if L == th {
			return true
		}
	}
	return false
}

// newThread makes a coroutine that shares its creator's context. gopher-lua's
// NewThread derives a new context instead. The derived context ends when the creator
// ends, and the parent context holds it in memory until the coroutine has ended.
func newThread(L *glua.LState) *glua.LState {
	ctx := L.Context()
	if ctx == nil {
		th, _ := L.NewThread()
		return th
	}
	L.RemoveContext()
	th, _ := L.NewThread()
	L.SetContext(ctx)
	th.SetContext(ctx)
	return th
}

// shareContext gives th the context of L.
func shareContext(L, th *glua.LState) {
	switch ctx := L.Context(); {
	case ctx != nil:
		th.SetContext(ctx)
	case th.Context() != nil:
		th.RemoveContext()
	}
}

func (p *protection) coCreate(L *glua.LState) int {
	main := L.CheckFunction(1)
	if main.IsG {
		L.Push(p.lua)
		L.Push(main)
		L.Call(1, 1)
		L.Replace(1, L.Get(-1))
		L.SetTop(1)
	}
	ctx := L.Context()
	if ctx != nil {
		L.RemoveContext() // see newThread
	}
	n := p.create(L)
	th := L.CheckThread(-1)
	th.Options.SkipOpenLibs = false
	if ctx != nil {
		L.SetContext(ctx)
		th.SetContext(ctx)
	}
	return n
}

func (p *protection) coResume(L *glua.LState) int {
	th := L.CheckThread(1)
	problem := ""
	switch {
	case active(L, th):
		problem = "cannot resume non-suspended coroutine"
	case th.Dead:
		problem = "cannot resume dead coroutine"
	case p.nesting >= mostNested:
		problem = stackOverflow
	default:
		p.nesting++
		n := p.resume(L)
		p.nesting--
		if th.Dead && glua.LVAsBool(L.Get(-n)) {
			release(th)
		}
		return n
	}
	L.Push(glua.LFalse)
	L.Push(glua.LString(problem))
	return 2
}

// release drops the stacks of a coroutine that has returned. gopher-lua's tables
// keep the keys of deleted entries, and programs use coroutines as keys. A coroutine
// that has failed keeps its stacks, because debug.traceback reads them.
func release(th *glua.LState) {
	*th = glua.LState{G: th.G, Env: th.Env, Options: th.Options, Dead: true}
}

// coWrap returns a function that resumes the coroutine. The function raises an error
// of the coroutine again.
func (p *protection) coWrap(L *glua.LState) int {
	p.coCreate(L)
	th := L.CheckThread(-1)
	L.Push(L.NewFunction(func(L *glua.LState) int {
		L.Insert(th, 1)
		n := p.coResume(L)
		if !glua.LVAsBool(L.Get(-n)) {
			L.Error(L.Get(-1), 0)
		}
		return n - 1
	}))
	return 1
}

func (p *protection) coYield(L *glua.LState) int {
	if p.outside(L) == L.G.MainThread {
		L.RaiseError("attempt to yield from outside a coroutine")
	}
	p.yielded = L.GetTop()
	return -1
}

func (p *protection) coRunning(L *glua.LState) int {
	if th := p.outside(L); th != L.G.MainThread {
		L.Push(th)
	} else {
		L.Push(glua.LNil)
	}
	return 1
}

func (p *protection) coStatus(L *glua.LState) int {
	th := L.CheckThread(1)
	status := "suspended"
	switch {
	case th == p.outside(L):
		status = "running"
	case active(L, th):
		status = "normal"
	case th.Dead:
		status = "dead"
	}
	L.Push(glua.LString(status))
	return 1
}
