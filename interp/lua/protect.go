package lua

import (
	_ "embed"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// gopher-lua has two faults in pcall. First, an error detaches the local variables of
// all active functions from the closures that share them, also those of pcall's
// caller. Second, a coroutine that yields within pcall breaks the state. Neither fault
// crosses the border of a coroutine. So pcall and xpcall here run each protected
// function in a coroutine of its own. coroutine.go hides these coroutines from
// programs.

//go:embed protect.lua
var protectLua string

// protectChunk is the name of protect.lua in the positions of errors.
const protectChunk = "[pcall]"

// A protection holds the data that pcall, xpcall and the coroutine library share in
// one state.
type protection struct {
	pcall       *glua.LFunction
	once, armed *glua.LFunction // the main functions of the coroutines
	lua         *glua.LFunction // makes a Lua function of a Go function

	main    glua.Options // of the coroutines for the main chunk's calls
	idle    [2][]*glua.LState
	nesting int           // number of coroutines that are being resumed
	args    []glua.LValue // of the calls that are being started

	// results holds the values that enter or again received. The Lua function that
	// called them fetches the values next.
	results []glua.LValue
	// handled is the coroutine whose handler ran last.
	handled *glua.LState
	// yielded is the number of values of the last coroutine.yield.
	yielded int

	create, resume glua.LGFunction // gopher-lua's
}

const (
	// mostIdle bounds each of the two pools of idle coroutines.
	mostIdle = 64
	// mostNested is the limit of PUC Lua (LUAI_MAXCCALLS): each level takes
	// memory for a coroutine, so endless recursion through pcall must end early.
	mostNested = 200
)

// The first size of a stack, of NewState and of a coroutine of pcall, and the least by which it
// grows, in values. The state's Options limit the size.
const (
	firstValues = 256
	valuesStep  = 1024
)

const stackOverflow = "stack overflow"

// unknownCount means that nothing counted the values: a function of the embedder has
// yielded.
const unknownCount = -1

// installProtection replaces pcall, xpcall and the coroutine library. It changes
// nothing, and returns nil, in a state that lacks one of these.
func installProtection(L *glua.LState) (*protection, error) {
	library, ok := L.GetGlobal("coroutine").(*glua.LTable)
	if !ok || L.GetGlobal("pcall") == glua.LNil || L.GetGlobal("xpcall") == glua.LNil {
		return nil, nil
	}
	create, hasCreate := library.RawGetString("create").(*glua.LFunction)
	resume, hasResume := library.RawGetString("resume").(*glua.LFunction)
	if !hasCreate || !hasResume || !create.IsG || !resume.IsG {
		return nil, nil
	}
	p := &protection{main: L.Options, create: create.GFunction, resume: resume.GFunction}
	L.SetFuncs(library, map[string]glua.LGFunction{
		"create":  p.coCreate,
		"resume":  p.coResume,
		"running": p.coRunning,
		"status":  p.coStatus,
		"wrap":    p.coWrap,
		"yield":   p.coYield,
	})
	chunk, err := Load(L, strings.NewReader(protectLua), protectChunk)
	if err != nil {
		return nil, err
	}
	if err := L.CallByParam(glua.P{Fn: chunk, NRet: 5, Protect: true},
		L.NewFunction(p.enter), L.NewFunction(p.enterx), L.NewFunction(p.again),
		L.NewFunction(p.pushResults), library.RawGetString("yield"), L.NewFunction(p.arm)); err != nil {
		return nil, err
	}
	p.pcall = L.CheckFunction(-5)
	L.SetGlobal("pcall", p.pcall)
	L.SetGlobal("xpcall", L.Get(-4))
	p.once, p.armed, p.lua = L.CheckFunction(-3), L.CheckFunction(-2), L.CheckFunction(-1)
	L.Pop(5)
	for _, main := range []*glua.LFunction{p.once, p.armed} {
		for i := range main.Proto.DbgCalls {
			main.Proto.DbgCalls[i].Name = "?" // errors show this name for the functions that main calls
		}
	}
	return p, nil
}

// enter starts pcall(f, ...). Its result is nil if the call has ended. If the call has
// yielded, its result is the coroutine. pushResults returns the values.
func (p *protection) enter(L *glua.LState) int {
	f := L.CheckAny(1)
	if problem := notCallable(L, f); problem != "" {
		return p.failed(L, glua.LString(problem))
	}
	return p.start(L, p.once, 2, f)
}

// enterx starts xpcall(f, handler, ...).
func (p *protection) enterx(L *glua.LState) int {
	f, handler := L.CheckAny(1), L.CheckAny(2)
	if problem := notCallable(L, f); problem != "" {
		return p.failed(L, glua.LString(problem))
	}
	return p.start(L, p.armed, 3, handler, f)
}

// start runs main in a coroutine. It passes args, and then the arguments of L from
// number first on.
func (p *protection) start(L *glua.LState, main *glua.LFunction, first int, args ...glua.LValue) int {
	if p.nesting >= mostNested {
		return p.failed(L, glua.LString(stackOverflow))
	}
	base := len(p.args)
	p.args = append(p.args, args...)
	for i := first; i <= L.GetTop(); i++ {
		p.args = append(p.args, L.Get(i))
	}
	used := len(p.args)
	th, pool := p.take(L)
	p.yielded = unknownCount
	p.nesting++
	state, err, values := L.Resume(th, main, p.args[base:used]...)
	p.nesting--
	clear(p.args[base:used])
	p.args = p.args[:base]
	switch state {
	case glua.ResumeOK:
		p.give(th, pool)
		p.results = values
	case glua.ResumeYield:
		if p.yielded == 0 {
			values = nil // Resume returns one nil if there are no values
		}
		p.results = values
		L.Push(th)
		return 1
	default:
		value := raisedValue(err)
		if main == p.armed && p.handled != th {
			L.Push(args[0]) // the handler: see arm
			L.Push(value)
			L.Call(1, 1)
			value = L.Get(-1)
		}
		p.handled = nil
		return p.failed(L, value)
	}
	L.Push(glua.LNil)
	return 1
}

// raisedValue returns the error value of a coroutine that has failed.
func raisedValue(err error) glua.LValue {
	raised, ok := err.(*glua.ApiError)
	switch {
	case !ok:
		return glua.LString(err.Error())
	case raised.Object == glua.LString("lua callstack overflow"):
		return glua.LString(stackOverflow) // gopher-lua panics with another text
	}
	return raised.Object
}

// again resumes a coroutine that has yielded. It has the same results as enter.
func (p *protection) again(L *glua.LState) int {
	th := L.CheckThread(1)
	p.nesting++
	count := p.resume(L)
	p.nesting--
	top := L.GetTop()
	ok := glua.LVAsBool(L.Get(top - count + 1))
	if !ok {
		return p.failed(L, L.Get(top))
	}
	p.results = make([]glua.LValue, 0, count-1)
	for i := top - count + 2; i <= top; i++ {
		p.results = append(p.results, L.Get(i))
	}
	if !th.Dead {
		L.Push(th)
		return 1
	}
	p.give(th, ofCoroutines) // only a coroutine's call can yield, so it is not the main chunk's pool
	L.Push(glua.LNil)
	return 1
}

// failed makes the call return false and an error value.
func (p *protection) failed(L *glua.LState, value glua.LValue) int {
	// An error of a Go function that pcall calls directly has a position in
	// protect.lua. On PUC Lua the caller is a C function, and the error has no position.
	if text, ok := value.(glua.LString); ok && strings.HasPrefix(string(text), protectChunk+":") {
		if _, rest, ok := strings.Cut(string(text), ": "); ok {
			value = glua.LString(rest)
		}
	}
	p.results = []glua.LValue{glua.LFalse, value}
	L.Push(glua.LNil)
	return 1
}

func (p *protection) pushResults(L *glua.LState) int {
	values := p.results
	p.results = nil
	for _, v := range values {
		L.Push(v)
	}
	return len(values)
}

// arm makes the coroutine that calls it run a handler when an error is raised. The
// functions that led to the error are still on the stack then. If the stack is full,
// or after a panic in Go, the handler does not run here; start calls it later.
func (p *protection) arm(L *glua.LState) int {
	handler := L.Get(1)
	L.Panic = func(L *glua.LState) {
		value := L.Get(-1)
		if text, ok := value.(glua.LString); ok && strings.HasSuffix(string(text), stackOverflow) {
			throw(L) // there is no room for the handler
		}
		L.Panic, p.handled = throw, L // an error in the handler is not handled
		L.Push(handler)
		L.Push(value)
		L.Call(1, 1)
		throw(L)
	}
	return 0
}

// throw raises the value on the top of the stack, as gopher-lua does in a
// coroutine.
func throw(L *glua.LState) {
	panic(&glua.ApiError{Type: glua.ApiErrorRun, Object: L.Get(-1)})
}

// notCallable returns the message for a value that cannot be called, or "".
func notCallable(L *glua.LState, f glua.LValue) string {
	if f.Type() == glua.LTFunction || L.GetMetaField(f, "__call").Type() == glua.LTFunction {
		return ""
	}
	return "attempt to call a " + f.Type().String() + " value"
}

// There are two pools. The coroutines for calls of the main chunk have the call stack
// size of the main chunk. The others have the call stack size of coroutines.

const (
	ofMain = iota
	ofCoroutines
)

// take returns a coroutine that has not started, and its pool.
func (p *protection) take(L *glua.LState) (th *glua.LState, pool int) {
	pool = ofCoroutines
	if p.outside(L) == L.G.MainThread {
		pool = ofMain
	}
	idle := p.idle[pool]
	if n := len(idle); n > 0 {
		th = idle[n-1]
		idle[n-1] = nil
		p.idle[pool] = idle[:n-1]
		shareContext(L, th)
		return th, pool
	}
	options := L.Options
	if pool == ofMain {
		L.Options = p.main
	}
	// A small stack saves memory: few calls need many values, and each error uses up
	// a coroutine.
	L.Options.RegistryMaxSize = max(L.Options.RegistryMaxSize, L.Options.RegistrySize)
	L.Options.RegistrySize = min(L.Options.RegistrySize, firstValues)
	L.Options.RegistryGrowStep = max(L.Options.RegistryGrowStep, valuesStep)
	th = newThread(L)
	L.Options, th.Options = options, options
	th.Options.SkipOpenLibs = true // see ours
	return th, pool
}

// give takes back a coroutine whose main function has returned.
func (p *protection) give(th *glua.LState, pool int) {
	if len(p.idle[pool]) < mostIdle {
		th.Dead = false // it may start again
		th.SetTop(0)    // it must not keep the values that it had
		p.idle[pool] = append(p.idle[pool], th)
	}
}
