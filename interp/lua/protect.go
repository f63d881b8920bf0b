package lua

import (
	_ "embed"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// gopher-lua has two faults in pcall. When an error is raised, it detaches the
// local variables of all active functions from the closures that share them,
// those of pcall's caller as well. And a coroutine that yields within pcall
// leaves a broken state behind. Both faults end at the border of a coroutine.
// So pcall and xpcall here run what they protect in a coroutine of their own.
// Programs do not see these coroutines: see coroutine.go.

//go:embed protect.lua
var protectLua string

// protectChunk is the name of the chunk protect.lua in positions.
const protectChunk = "[pcall]"

// A protection is what pcall, xpcall and the coroutine library share in one
// state.
type protection struct {
	pcall       *glua.LFunction
	once, armed *glua.LFunction // the main functions of the coroutines
	lua         *glua.LFunction // makes a Lua function of a Go function

	main    glua.Options // of the coroutines for the main chunk's calls
	idle    [2][]*glua.LState
	nesting int           // how many coroutines are being resumed
	args    []glua.LValue // of the calls that are being started

	// results holds what enter and again have received until the Lua function
	// that called them fetches it.
	results []glua.LValue
	// handled is the coroutine whose handler has run last.
	handled *glua.LState
	// yielded is how many values the last coroutine.yield had.
	yielded int

	create, resume glua.LGFunction // gopher-lua's
}

const (
	// mostIdle bounds the coroutines that wait for the next call, of each kind.
	mostIdle = 64
	// mostNested is the limit of PUC Lua (LUAI_MAXCCALLS): each level takes
	// memory for a coroutine, so endless recursion through pcall must end early.
	mostNested = 200
)

// The values that the stack of a coroutine of pcall has room for at first, and the
// least by which it grows, up to the size that the state's Options allow.
const (
	firstValues = 256
	valuesStep  = 1024
)

const stackOverflow = "stack overflow"

// unknownCount says that the values were not counted: an embedder's own
// function has yielded.
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
			main.Proto.DbgCalls[i].Name = "?" // the name of what they call, in errors
		}
	}
	return p, nil
}

// enter starts pcall(f, ...). Its result is nil when the call has ended, or else
// the coroutine, which has yielded. pushResults returns the values.
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

// start runs main in a coroutine, with some arguments and behind them those of L
// from the one numbered first.
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
			values = nil // Resume returns one nil for none
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
		return glua.LString(stackOverflow) // gopher-lua panics with its own words
	}
	return raised.Object
}

// again resumes a coroutine that has yielded. Its result is that of enter.
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
	p.give(th, ofCoroutines) // nothing yields in the main chunk
	L.Push(glua.LNil)
	return 1
}

// failed has the call return false and an error value.
func (p *protection) failed(L *glua.LState, value glua.LValue) int {
	// A function in Go that pcall calls directly names protect.lua as its
	// caller. The caller is a function in C on PUC Lua, which has no position.
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

// arm makes the coroutine that calls it run a handler when an error is raised:
// the functions that lead to the error are still on the stack then. It does not when
// the stack is full, and a panic does not come here; start calls the handler then.
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

// notCallable says why a value cannot be called, or "".
func notCallable(L *glua.LState, f glua.LValue) string {
	if f.Type() == glua.LTFunction || L.GetMetaField(f, "__call").Type() == glua.LTFunction {
		return ""
	}
	return "attempt to call a " + f.Type().String() + " value"
}

// The pools. A coroutine for a call of the main chunk has room for as many
// calls as the main chunk has; another's room is that of coroutines.

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
	// Few calls need many values, and each error costs a coroutine.
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
