// Package scripts runs interpreters: the same Lua script on Weir, by way of gopher-lua, and on
// LuaSocket in C; and calls of the Lisp's socket class beside the same calls in Go. Each runs in
// a child process.
package scripts

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
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

const LuaProgram = "lua5.4"

// interpreters lists the subjects of the Lua tables. The field subject is the subject of bench
// (-subjects) that chooses an interpreter.
var interpreters = []struct {
	name, subject string
	run           func(script string) error
}{
	{"weir-lua", "weir", runGopherLuaInContext},
	{"weir-lua, no context", "weir", runGopherLua},
	{LuaProgram, "kernel", runC},
}

// For lists the interpreters of the chosen subjects that this machine has. The notes say what it
// lacks.
func For(chosen []string) (names, notes []string) {
	for _, i := range interpreters {
		if !slices.Contains(chosen, i.subject) {
			continue
		}
		if i.name == LuaProgram {
			if err := FindLua(); err != nil {
				notes = append(notes, "There is no peer: "+err.Error()+".")
				continue
			}
		}
		names = append(names, i.name)
	}
	return names, notes
}

// FindLua looks for Lua with LuaSocket in C.
func FindLua() error {
	path, err := exec.LookPath(LuaProgram)
	if err != nil {
		return err
	}
	if out, err := exec.Command(path, "-e", `require "socket"`).CombinedOutput(); err != nil {
		first, _, _ := strings.Cut(string(out), "\n")
		return errors.New(first)
	}
	return nil
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

func runGopherLua(script string) error {
	L := lua.NewState()
	defer L.Close()
	return runIn(L, script)
}

func runGopherLuaInContext(script string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	L := lua.NewState()
	defer L.Close()
	L.SetContext(ctx)
	return runIn(L, script)
}

func runIn(L *lua.LState, script string) error {
	if err := weirlua.Preload(L); err != nil {
		return err
	}
	chunk, err := weirlua.Load(L, strings.NewReader(script), "script")
	if err != nil {
		return err
	}
	L.Push(chunk)
	return L.PCall(0, 0, nil)
}

// runC replaces this process by the interpreter. The process keeps its core, and its id, by
// which the parent reads the processor time.
func runC(script string) error {
	path, err := exec.LookPath(LuaProgram)
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
	// Without the space, a script that begins with a comment ("--") would be an option.
	return unix.Exec(path, []string{LuaProgram, "-e", " " + script}, os.Environ())
}

// Roles has the processes that run scripts.
var Roles = map[string]child.Role{
	"lua-select": child.Ordered(runLuaSelect),
	"lua-server": child.Ordered(runLuaServer),
	"lisp-calls": child.Ordered(measureLisp),
}
