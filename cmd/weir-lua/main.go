// Weir-lua runs Lua scripts that were written for LuaSocket.
//
//	weir-lua [-e CODE]... [FILE [ARGS...]]
//
// FILE "-" is the standard input. require finds the modules socket, socket.core,
// socket.unix and mime.core in the program, and looks for others along LUA_PATH.
// The table arg has the script's name at 0 and its arguments from 1. The
// language is Lua 5.1, as gopher-lua implements it.
//
// The environment variable GOGC limits the garbage, in percent of the memory in use.
// Beyond the limit the collector runs. The default is 400.
//
// The exit code is 0; 1 after an error in the script, which is printed on the
// standard error with a traceback; 2 for a wrong command line; 130 when SIGINT has
// ended the script; or the number that the script gives to os.exit. SIGINT raises an
// error in the function that the script runs or waits in, which the script can catch
// as any error. A second SIGINT ends the process.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/seed-2334f180/weir/interp/builtins"
	weirlua "github.com/seed-2334f180/weir/interp/lua"
	lua "github.com/yuin/gopher-lua"
)

const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, as in shells
)

const usage = `usage: weir-lua [-e CODE]... [FILE [ARGS...]]

Weir-lua runs Lua 5.1 scripts that were written for LuaSocket: require "socket",
"socket.core", "socket.unix" and "mime.core" work; other modules are looked for
along LUA_PATH.

    weir-lua -e 'print(require "socket".dns.toip("localhost"))'
    weir-lua server.lua 7007

  -e CODE    run CODE, before FILE if there is one
  FILE       run a script; "-" is the standard input
  ARGS...    the script's arguments, in the table arg
  -h, -help  show this

Exit codes: 0, 1 after an error in the script, 2 for a wrong command line,
130 after SIGINT, or what the script gives to os.exit.
`

func main() { os.Exit(run(os.Args)) }

func run(argv []string) int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(weirlua.GarbagePercent)
	}
	order, err := parse(argv[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "weir-lua: %v (-help shows the usage)\n", err)
		return exitUsage
	}
	if order.help {
		fmt.Print(usage)
		return 0
	}
	ctx, interrupt := weirlua.Interruptible()
	defer interrupt()
	defer builtins.OnSignal(func(os.Signal) { interrupt() }, os.Interrupt)()

	err = order.execute(ctx, argv[0])
	if err == nil {
		return 0
	}
	code, text := exitFailed, err.Error()
	if ctx.Err() != nil {
		code, text = exitInterrupted, "interrupted"
	}
	fmt.Fprintln(os.Stderr, "weir-lua:", strings.TrimSpace(text))
	var f *failure
	if errors.As(err, &f) && f.trace != "" {
		fmt.Fprintln(os.Stderr, f.trace)
	}
	return code
}

// An order is a parsed command line.
type order struct {
	code []string // of -e
	file string   // "" for none
	args []string
	help bool
}

func parse(argv []string) (o order, err error) {
	for len(argv) > 0 {
		word := argv[0]
		switch {
		case word == "-e":
			if len(argv) < 2 {
				return o, errors.New("-e: there is no code behind it")
			}
			o.code = append(o.code, argv[1])
			argv = argv[2:]
			continue
		case word == "-h" || word == "-help" || word == "--help":
			o.help = true
			return o, nil
		case word == "--":
			argv = argv[1:]
		case word != "-" && strings.HasPrefix(word, "-"):
			return o, fmt.Errorf("%q: no such option", word)
		}
		if len(argv) > 0 {
			o.file, o.args = argv[0], argv[1:]
		}
		break
	}
	if o.file == "" && len(o.code) == 0 {
		return o, errors.New("there is nothing to run")
	}
	return o, nil
}

// execute runs an order in one Lua state.
func (o order) execute(ctx context.Context, program string) error {
	L, err := weirlua.NewState()
	if err != nil {
		return err
	}
	defer L.Close()
	L.SetContext(ctx)
	checkExit(L)
	o.setArg(L, program)
	if err := o.runAll(L); err != nil {
		return describe(L, err)
	}
	return nil
}

// checkExit replaces os.exit by a function that checks its argument first.
// gopher-lua's os.exit closes the state before it does, and then cannot raise the
// error.
func checkExit(L *lua.LState) {
	library := L.GetGlobal("os").(*lua.LTable)
	exit := library.RawGetString("exit")
	library.RawSetString("exit", L.NewFunction(func(L *lua.LState) int {
		code := L.OptInt(1, 0)
		L.Push(exit)
		L.Push(lua.LNumber(code))
		L.Call(1, 0)
		return 0
	}))
}

func (o order) runAll(L *lua.LState) error {
	for _, code := range o.code {
		chunk, err := weirlua.Load(L, strings.NewReader(code), "(command line)")
		if err != nil {
			return err
		}
		if err := call(L, chunk); err != nil {
			return err
		}
	}
	if o.file == "" {
		return nil
	}
	chunk, err := load(L, o.file)
	if err != nil {
		return err
	}
	args := make([]lua.LValue, len(o.args))
	for i, a := range o.args {
		args[i] = lua.LString(a)
	}
	return call(L, chunk, args...)
}

func load(L *lua.LState, file string) (*lua.LFunction, error) {
	if file == "-" {
		return weirlua.Load(L, os.Stdin, "stdin")
	}
	return weirlua.LoadFile(L, file)
}

func call(L *lua.LState, chunk *lua.LFunction, args ...lua.LValue) error {
	return L.CallByParam(lua.P{Fn: chunk, Protect: true}, args...)
}

// setArg makes the table arg: the script at 0, its arguments from 1, the program at
// -1.
func (o order) setArg(L *lua.LState, program string) {
	arg := L.NewTable()
	if o.file != "" {
		arg.RawSetInt(-1, lua.LString(program))
		arg.RawSetInt(0, lua.LString(o.file))
	} else {
		arg.RawSetInt(0, lua.LString(program))
	}
	for i, a := range o.args {
		arg.RawSetInt(i+1, lua.LString(a))
	}
	L.SetGlobal("arg", arg)
}

// A failure is an error that ended a script, in words.
type failure struct{ text, trace string }

func (f *failure) Error() string { return f.text }

// describe returns the text of an error. It needs the open state, because the
// script may have given its error object a __tostring.
func describe(L *lua.LState, err error) error {
	var raised *lua.ApiError
	if !errors.As(err, &raised) {
		return err
	}
	f := &failure{err.Error(), raised.StackTrace}
	switch v := raised.Object.(type) {
	case nil, *lua.LNilType:
	case *lua.LTable, *lua.LUserData:
		f.text = fmt.Sprintf("(error object is a %s value)", v.Type())
		L.RemoveContext()
		method := L.GetMetaField(v, "__tostring")
		if method != lua.LNil && L.CallByParam(lua.P{Fn: method, NRet: 1, Protect: true}, v) == nil {
			f.text = L.Get(-1).String()
		}
	default:
		f.text = v.String()
	}
	return f
}
