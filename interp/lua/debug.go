package lua

import (
	"context"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// This file has the functions of the debug library that must handle pcall's
// coroutines, or that gopher-lua lacks.

func installDebug(L *glua.LState, p *protection) {
	library, ok := L.GetGlobal("debug").(*glua.LTable)
	if !ok || p == nil {
		return
	}
	d := &debugging{protection: p}
	if f, ok := library.RawGetString("traceback").(*glua.LFunction); ok && f.IsG {
		d.stackTrace = f.GFunction
		library.RawSetString("traceback", L.NewFunction(d.traceback))
	}
	if f, ok := library.RawGetString("getinfo").(*glua.LFunction); ok && f.IsG {
		library.RawSetString("getinfo", L.NewFunction(d.getInfo))
	}
	library.RawSetString("getmetatable", L.NewFunction(getMetatable))
	library.RawSetString("setmetatable", L.NewFunction(setMetatable))
	library.RawSetString("sethook", L.NewFunction(d.setHook))
	library.RawSetString("gethook", L.NewFunction(d.getHook))
}

type debugging struct {
	*protection
	stackTrace glua.LGFunction // gopher-lua's traceback
}

// getMetatable is debug.getmetatable. It returns the metatable itself, where
// gopher-lua's function returns the field __metatable, as the global getmetatable does.
func getMetatable(L *glua.LState) int {
	switch v := L.CheckAny(1).(type) {
	case *glua.LTable:
		L.Push(v.Metatable)
	case *glua.LUserData:
		L.Push(v.Metatable)
	default:
		L.Push(L.GetMetatable(v))
	}
	return 1
}

// setMetatable is debug.setmetatable. It returns true.
func setMetatable(L *glua.LState) int {
	L.CheckTypes(2, glua.LTNil, glua.LTTable)
	L.SetMetatable(L.Get(1), L.Get(2))
	L.Push(glua.LTrue)
	return 1
}

// threadArgument returns the coroutine that the first argument gives, and args 1. If
// the first argument is no coroutine, it returns the running coroutine and args 0.
func threadArgument(L *glua.LState) (th *glua.LState, args int) {
	if th, ok := L.Get(1).(*glua.LState); ok {
		return th, 1
	}
	return L, 0
}

// traceback is traceback([thread,] [message [, level]]).
func (d *debugging) traceback(L *glua.LState) int {
	th, n := threadArgument(L)
	message := L.Get(n + 1)
	if message != glua.LNil && !glua.LVCanConvToString(message) {
		L.Push(message)
		return 1
	}
	level := 0
	if th == L {
		level = 1 // the caller
	}
	level = int(optNumber(L, n+2, glua.LNumber(level)))
	var lines []string
	if message != glua.LNil {
		lines = append(lines, message.String())
	}
	lines = append(lines, "stack traceback:")
	lines = append(lines, d.trace(L, th, level)...)
	L.SetTop(0)
	L.Push(glua.LString(strings.Join(lines, "\n")))
	return 1
}

// trace returns a line for each active function of th, beginning at a level. If th is
// a coroutine of pcall, the lines of the coroutine that called pcall follow.
func (d *debugging) trace(L, th *glua.LState, level int) (lines []string) {
	for {
		L.SetTop(0)
		if th == L {
			L.Push(glua.LNil)
		} else {
			L.Push(th)
		}
		L.Push(glua.LNumber(level))
		d.stackTrace(L)
		text := strings.Split(L.Get(-1).String(), "\n")
		part := text[1:max(len(text)-1, 1)] // drop the heading and "[G]: ?"
		ours := d.ours(th)
		if ours && len(part) > 0 {
			part = part[:len(part)-1] // its main function
		}
		for _, line := range part {
			switch {
			case !strings.HasPrefix(line, "\t"+protectChunk+":"):
				if th != L.G.MainThread {
					line = coroutineName.Replace(line)
				}
				lines = append(lines, line)
			case len(lines) > 0: // pcall, in place of the function in Go that it has called
				_, name, _ := strings.Cut(line, " in ")
				lines[len(lines)-1] = "\t[G]: in " + name
			}
		}
		if !ours || th.Parent == nil {
			return lines
		}
		th, level = th.Parent, 0
	}
}

// coroutineName corrects gopher-lua's words for the main function of a coroutine.
var coroutineName = strings.NewReplacer("in main chunk", "in coroutine", "in corountine", "in coroutine")

// getInfo is getinfo([thread,] function or level [, what]). A level counts the
// functions of a coroutine, and behind pcall those of its caller.
func (d *debugging) getInfo(L *glua.LState) int {
	th, n := threadArgument(L)
	what := optString(L, n+2, "nSluf")
	info := &glua.Debug{}
	subject := L.Get(n + 1)
	if f, ok := subject.(*glua.LFunction); ok {
		what, subject = ">"+what, f
	} else {
		at, ok := d.frame(th, int(checkNumber(L, n+1)))
		if !ok {
			L.Push(glua.LNil)
			return 1
		}
		info, subject = at, glua.LNil
	}
	f, err := L.GetInfo(what, info, subject)
	if err != nil {
		L.ArgError(n+2, "invalid option")
	}
	fields := L.CreateTable(0, 10)
	for name, value := range map[string]int{
		"currentline": info.CurrentLine, "nups": info.NUpvalues,
		"linedefined": info.LineDefined, "lastlinedefined": info.LastLineDefined,
	} {
		fields.RawSetString(name, glua.LNumber(value))
	}
	source, kind := "@"+info.Source, info.What
	if kind == "G" || info.Source == protectChunk {
		source, kind = "=[G]", "C" // programs look for C
	}
	fields.RawSetString("source", glua.LString(source))
	fields.RawSetString("short_src", glua.LString(source[1:]))
	fields.RawSetString("what", glua.LString(kind))
	fields.RawSetString("namewhat", glua.LString(""))
	if info.Name != "" {
		fields.RawSetString("name", glua.LString(info.Name))
	}
	fields.RawSetString("func", f)
	L.Push(fields)
	return 1
}

// A hook is the context of a state that has one. gopher-lua asks a context for
// its channel before each instruction, so that Done can call the hook.
type hook struct {
	context.Context // of the state without the hook
	g               *glua.Global
	f               *glua.LFunction // nil: the hook was removed
	mask            string
	lines           bool
	count           int          // instructions between two calls of f; 0: no such calls
	left            int          // instructions before the next call
	line            int          // the line of the last instruction,
	function        glua.LValue  // its function,
	thread          *glua.LState // and its coroutine
	busy            bool
}

// setHook is sethook([thread,] hook, mask [, count]). The hook gets the events of
// lines and counts, but not those of calls and returns.
func (d *debugging) setHook(L *glua.LState) int {
	th, n := threadArgument(L)
	inner := th.Context()
	if h, ok := inner.(*hook); ok {
		inner = h.Context
	}
	if inner == nil {
		inner = context.Background()
	}
	h := &hook{Context: inner, g: L.G}
	if f, ok := L.Get(n + 1).(*glua.LFunction); ok {
		h.f, h.mask, h.count = f, L.CheckString(n+2), int(optNumber(L, n+3, 0))
		if strings.ContainsAny(h.mask, "cr") {
			L.RaiseError("sethook: a hook for calls or returns is not supported")
		}
		h.lines = strings.Contains(h.mask, "l")
		h.left = h.count
	}
	// Set the context even if the hook is removed: the running instruction needs
	// one. Set it in the callers of pcall, too: the program sees one coroutine.
	for th.SetContext(h); th.Parent != nil && d.ours(th); {
		th = th.Parent
		th.SetContext(h)
	}
	return 0
}

// getHook returns the hook, its mask and its count.
func (d *debugging) getHook(L *glua.LState) int {
	th, _ := threadArgument(L)
	h, ok := th.Context().(*hook)
	if !ok || h.f == nil {
		L.Push(glua.LNil)
		return 1
	}
	L.Push(h.f)
	L.Push(glua.LString(h.mask))
	L.Push(glua.LNumber(h.count))
	return 3
}

// Done calls the hook when a line or count is due. gopher-lua calls Done on the
// state's goroutine.
func (h *hook) Done() <-chan struct{} {
	if h.f != nil && !h.busy {
		h.step(h.g.CurrentThread)
	}
	return h.Context.Done()
}

func (h *hook) step(L *glua.LState) {
	if h.count > 0 {
		if h.left--; h.left <= 0 {
			h.left = h.count
			h.call(L, "count", glua.LNil)
		}
	}
	if !h.lines {
		return
	}
	at, ok := L.GetStack(0)
	if !ok {
		return
	}
	f, err := L.GetInfo("fl", at, glua.LNil)
	if err != nil || at.CurrentLine == h.line && f == h.function && L == h.thread {
		return
	}
	h.line, h.function, h.thread = at.CurrentLine, f, L
	h.call(L, "line", glua.LNumber(at.CurrentLine))
}

func (h *hook) call(L *glua.LState, event string, line glua.LValue) {
	h.busy = true
	defer func() { h.busy = false }() // the hook may raise an error
	L.Push(h.f)
	L.Push(glua.LString(event))
	L.Push(line)
	L.Call(2, 0)
}
