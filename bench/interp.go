package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	weirlua "github.com/seed-2334f180/weir/interp/lua"
	lua "github.com/yuin/gopher-lua"
	"golang.org/x/sys/unix"
)

// The interp suite: the same Lua script on Weir, by way of gopher-lua, and on
// LuaSocket in C. It compares two interpreters as much as two libraries.
var interpSuite = suite{
	name:   "interp",
	about:  "Lua scripts: select over many sockets, an echo server, beside LuaSocket in C; calls in Lisp",
	conns:  []int{100},
	sizes:  []int{128},
	tables: interpTables,
}

//go:embed interp_select.lua
var selectScript string

//go:embed interp_echo.lua
var echoScript string

const luaProgram = "lua5.4"

var luaSelectSizes = []int{10, 100, 1000} // beyond that, select(2) of LuaSocket ends

// interpreters are the subjects of this suite, by the program's subject that
// they belong to.
var interpreters = []struct {
	name, subject string
	run           func(script string) error
}{
	{"weir-lua", "weir", runGopherLuaInContext},
	{"weir-lua, no context", "weir", runGopherLua},
	{luaProgram, "kernel", runC},
}

// interpretersFor are those of the chosen subjects that this machine has.
func interpretersFor(chosen []string) (names, notes []string) {
	for _, i := range interpreters {
		if !slices.Contains(chosen, i.subject) {
			continue
		}
		if i.name == luaProgram {
			if err := findLua(); err != nil {
				notes = append(notes, "There is no peer: "+err.Error()+".")
				continue
			}
		}
		names = append(names, i.name)
	}
	return names, notes
}

// findLua looks for Lua with LuaSocket in C.
func findLua() error {
	path, err := exec.LookPath(luaProgram)
	if err != nil {
		return err
	}
	if out, err := exec.Command(path, "-e", `require "socket"`).CombinedOutput(); err != nil {
		first, _, _ := strings.Cut(string(out), "\n")
		return errors.New(first)
	}
	return nil
}

func interpTables(e env) []table {
	names, notes := interpretersFor(e.subjects)
	what := "weir-lua: gopher-lua with Weir's module for it. With a context, as the program weir-lua has it, gopher-lua asks that before each instruction. " +
		luaProgram + ": PUC Lua with LuaSocket, both in C."
	return []table{luaSelectTable(e, names, what, notes), luaEchoTable(e, names, what, notes), lispTable(e)}
}

func luaSelectTable(e env, names []string, what string, notes []string) table {
	t := table{
		title:   fmt.Sprintf("interp: socket.select with one socket ready, %s of %v", counted(e.reps, "round"), e.dur),
		rowHead: "sockets",
		metrics: []metric{{nsPerFind, "ns/call", decimals(0), inTable, inTable}},
		pairs:   pairsWith(names, luaProgram),
		legend: append([]string{
			what,
			"The sockets are both ends of TCP connections over loopback, all of one script; the calls are for reading.",
			"vs: this row divided by the peer in the same round: median (least–greatest). Below 1 is faster.",
		}, notes...),
	}
	for _, n := range luaSelectSizes {
		t.trials = append(t.trials, trial{
			name:     fmt.Sprintf("lua-select,n=%d", n),
			label:    strconv.Itoa(n),
			subjects: names,
			measure: inTurn(func(ctx context.Context, name string) (sample, error) {
				took, err := ask[luaSelected](ctx, place{e.cores.server, 1}, "lua-select", luaSelectOrder{name, n, e.dur})
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				return sample{nsPerFind: took.Nanoseconds}, nil
			}),
		})
	}
	return t
}

// luaEchoTable is that of the echo suite, with a script for a server.
func luaEchoTable(e env, names []string, what string, notes []string) table {
	t := echoTables(e)[0]
	t.title = fmt.Sprintf("interp: an echo server on socket.select, messages of %s, %s of %v", eachSize(e.sizes), counted(e.reps, "round"), e.dur)
	t.pairs = pairsWith(names, luaProgram)
	t.legend = slices.Concat([]string{what}, t.legend, notes)
	t.trials = nil
	for _, c := range connsBySize(e, contest{server: "lua-server", load: "echo-load", burst: 1}) {
		t.trials = append(t.trials, c.trial(e, c.label(e), names, loadResult.sample))
	}
	return t
}

type luaSelectOrder struct {
	Interpreter string
	Sockets     int
	Window      time.Duration
}

type luaSelected struct{ Nanoseconds float64 }

// runLuaSelect is the role of a script that prints the answer itself.
func runLuaSelect(order luaSelectOrder, _ answerFunc) error {
	sizes := fmt.Sprintf("local SOCKETS, SECONDS = %d, %g ", order.Sockets, order.Window.Seconds())
	return runLua(order.Interpreter, sizes+selectScript)
}

// runLuaServer is the role of a script that prints its address itself.
func runLuaServer(order serverOrder, _ answerFunc) error {
	return runLua(order.Subject, echoScript)
}

func runLua(interpreter, script string) error {
	if err := raiseFileLimit(); err != nil {
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

// runC puts the interpreter in this process's place: on the same core, and with
// the process id by which the processor time is taken.
func runC(script string) error {
	path, err := exec.LookPath(luaProgram)
	if err != nil {
		return err
	}
	// The end of the standard input is to end this process, as every child. A
	// script does not look at that; the signal of the pipe ends it.
	if _, err := unix.FcntlInt(0, unix.F_SETOWN, unix.Getpid()); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(0, unix.F_SETFL, unix.O_ASYNC); err != nil {
		return err
	}
	// A text that begins with a comment would be taken for an option.
	return unix.Exec(path, []string{luaProgram, "-e", " " + script}, os.Environ())
}
