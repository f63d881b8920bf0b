// Package scripts runs interpreters: the same Lua script on Weir, by way of gopher-lua, and on
// LuaSocket in C; and calls of the Lisp's socket class beside the same calls in Go. Each runs in
// a child process.
package scripts

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/subjects"
	weirlua "github.com/seed-2334f180/weir/interp/lua"
	"github.com/yuin/gopher-lua"
	"golang.org/x/sys/unix"
)

//go:embed select.lua
var selectScript string

//go:embed echo.lua
var echoScript string

// LuaProgram is the peer of the tables. The older one is here because gopher-lua has its
// language, and because it is slower or faster by turns.
const (
	LuaProgram      = "lua5.4"
	OlderLuaProgram = "lua5.1"
)

// interpreters lists the subjects of the Lua tables. The field subject is the subject of bench
// (-subjects) that chooses an interpreter.
var interpreters = []struct {
	name, subject string
	run           func(script string) error
}{
	{"weir-lua", "weir", runGopherLuaInContext},
	{"weir-lua, no context", "weir", runGopherLua},
	{LuaProgram, "kernel", func(script string) error { return runC(LuaProgram, script) }},
	{OlderLuaProgram, "kernel", func(script string) error { return runC(OlderLuaProgram, script) }},
}

// For lists the interpreters of the chosen subjects that this machine has. The notes say what it
// lacks.
func For(chosen []string) (names, notes []string) {
	for _, i := range interpreters {
		if !slices.Contains(chosen, i.subject) {
			continue
		}
		if i.subject == "kernel" {
			if err := FindLua(i.name); err != nil {
				notes = append(notes, fmt.Sprintf("%s is left out: %v.", i.name, err))
				continue
			}
		}
		names = append(names, i.name)
	}
	return names, notes
}

// FindLua looks for a Lua with LuaSocket in C, and with further modules.
func FindLua(program string, modules ...string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return err
	}
	cmd := exec.Command(path, "-e", `require "`+strings.Join(append([]string{"socket"}, modules...), `" require "`)+`"`)
	cmd.Env = environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		first, _, _ := strings.Cut(string(out), "\n")
		return errors.New(first)
	}
	return nil
}

// FindCopas looks for copas, for the scripts that run on Weir.
func FindCopas() error {
	directory, _, _ := strings.Cut(luaPath, "?")
	_, err := os.Stat(directory + "copas.lua")
	return err
}

// A SelectOrder tells a script how many sockets to select from.
type SelectOrder struct {
	Interpreter string
	Sockets     int
	Window      time.Duration
}

// A SelectResult has the nanoseconds of a call.
type SelectResult struct{ Nanoseconds float64 }

// runLuaSelect is a role: the script prints the answer itself.
func runLuaSelect(order SelectOrder, _ child.Answer) error {
	sizes := fmt.Sprintf("local SOCKETS, SECONDS = %d, %g ", order.Sockets, order.Window.Seconds())
	return runLua(order.Interpreter, sizes+selectScript)
}

// runLuaServer is a role: the script prints its address itself.
func runLuaServer(order subjects.Order, _ child.Answer) error {
	return runLua(order.Subject, echoScript)
}

func runLua(interpreter, script string) error {
	if err := machine.RaiseFileLimit(); err != nil {
		return err
	}
	for _, i := range interpreters {
		if i.name == interpreter {
			return i.run(script)
		}
	}
	return fmt.Errorf("%q: no such interpreter", interpreter)
}

func runGopherLua(script string) error { return runIn(script, func(*lua.LState) {}) }

// runGopherLuaInContext runs a script as the program weir-lua does.
func runGopherLuaInContext(script string) error {
	ctx, interrupt := weirlua.Interruptible()
	defer interrupt()
	return runIn(script, func(L *lua.LState) { L.SetContext(ctx) })
}

func runIn(script string, prepare func(*lua.LState)) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(weirlua.GarbagePercent)
	}
	L, err := weirlua.NewState()
	if err != nil {
		return err
	}
	defer L.Close()
	prepare(L)
	L.SetField(L.GetGlobal("package"), "path", lua.LString(luaPath))
	chunk, err := weirlua.Load(L, strings.NewReader(script), "script")
	if err != nil {
		return err
	}
	L.Push(chunk)
	return L.PCall(0, 0, nil)
}

// luaPath is where Debian installs modules for all versions of Lua that are written in Lua.
const luaPath = "/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua"

func environment() []string { return append(os.Environ(), "LUA_PATH="+luaPath) }

// runC replaces this process by an interpreter in C.
func runC(program, script string) error {
	// Without the space, a script that begins with a comment ("--") would be an option.
	return become(program, "-e", " "+script)
}

// become replaces this process by a program. The process keeps its core, and its id, by
// which the parent reads the processor time.
func become(program string, args ...string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return err
	}
	// The end of the standard input must end this process, as it ends every child. The script
	// does not read the input, so the kernel sends SIGIO, which ends the process.
	if _, err := unix.FcntlInt(0, unix.F_SETOWN, unix.Getpid()); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(0, unix.F_SETFL, unix.O_ASYNC); err != nil {
		return err
	}
	return unix.Exec(path, append([]string{program}, args...), environment())
}

// Roles has the processes that run scripts.
var Roles = map[string]child.Role{
	"lua-select": child.Ordered(runLuaSelect),
	"lua-server": child.Ordered(runLuaServer),
	"lisp-calls": child.Ordered(measureLisp),
	"lua-speed":  child.Ordered(runLuaSpeed),
	"lua-http":   child.Ordered(runLuaHTTP),
	"lisp-speed": child.Ordered(measureLispSpeed),
}
