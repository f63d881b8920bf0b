package lua

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/seed-2334f180/weir/interp/builtins"
	glua "github.com/yuin/gopher-lua"
)

// gopher-lua's files have three faults. Their errors have Go's words and a wrong number. The
// iterators of io.lines and file:lines cut lines of more than 4096 bytes into pieces. io.lines
// of a file that cannot be opened raises no error.

func installFiles(L *glua.LState) {
	repairLibrary(L.GetGlobal("os"), map[string]glua.LGFunction{"execute": execute, "remove": removeFile, "rename": renameFile})
	library, ok := L.GetGlobal("io").(*glua.LTable)
	if !ok {
		return
	}
	open, ok := library.RawGetString("open").(*glua.LFunction)
	if !ok || !open.IsG {
		return
	}
	repaired := func(L *glua.LState) int { return openFile(L, open.GFunction) }
	repairLibrary(library, map[string]glua.LGFunction{
		"open": repaired,
		"lines": func(L *glua.LState) int {
			if L.GetTop() == 0 {
				L.Push(L.GetField(library, "input"))
				L.Call(0, 1)
				return pushLines(L, L.Get(-1), false)
			}
			name := L.CheckString(1)
			L.SetTop(1)
			if n := open.GFunction(L); L.Get(-n) == glua.LNil {
				L.ArgError(1, name+": "+openProblem(L, n).text)
			}
			return pushLines(L, L.Get(-1), true)
		},
	})
	methods, _ := L.GetField(L.GetTypeMetatable("FILE*"), "__index").(*glua.LTable)
	repairLibrary(methods, map[string]glua.LGFunction{
		"lines": func(L *glua.LState) int { return pushLines(L, L.CheckUserData(1), false) },
	})
}

// pushLines pushes an iterator over the lines of a file, which may close the file at its end.
func pushLines(L *glua.LState, file glua.LValue, closes bool) int {
	call := func(L *glua.LState, method string, results int, args ...glua.LValue) {
		L.Push(L.GetField(file, method))
		L.Push(file)
		for _, v := range args {
			L.Push(v)
		}
		L.Call(1+len(args), results)
	}
	L.Push(L.NewFunction(func(L *glua.LState) int {
		call(L, "read", 1, glua.LString("*l"))
		if closes && L.Get(-1) == glua.LNil {
			call(L, "close", 0)
		}
		return 1
	}))
	return 1
}

// openFile is io.open.
func openFile(L *glua.LState, open glua.LGFunction) int {
	name := L.CheckString(1)
	n := open(L)
	if n < 2 || L.Get(-n) != glua.LNil {
		return n
	}
	return openProblem(L, n).push(L, name)
}

// A fileProblem is why a call on a file failed, as scripts see it.
type fileProblem struct {
	text   string
	number int
}

// openProblem finds the problem in the n results of gopher-lua's io.open: nil, the text
// "open NAME: PROBLEM", and a number without a meaning.
func openProblem(L *glua.LState, n int) fileProblem {
	text := L.Get(-n + 1).String()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	const mostErrnos = 134
	for errno := syscall.Errno(1); errno < mostErrnos; errno++ {
		if errno.Error() == text {
			return problemOf(errno)
		}
	}
	return fileProblem{text: text}
}

func problemOf(err error) fileProblem {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return fileProblem{builtins.Strerror(errno), int(errno)}
	}
	return fileProblem{text: err.Error()}
}

// push pushes nil, the message and the number of the error.
func (p fileProblem) push(L *glua.LState, name string) int {
	L.Push(glua.LNil)
	L.Push(glua.LString(name + ": " + p.text))
	L.Push(glua.LNumber(p.number))
	return 3
}

func removeFile(L *glua.LState) int {
	name := L.CheckString(1)
	return fileDone(L, name, os.Remove(name))
}

func renameFile(L *glua.LState) int {
	from, to := L.CheckString(1), L.CheckString(2)
	return fileDone(L, from, os.Rename(from, to))
}

func fileDone(L *glua.LState, name string, err error) int {
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = syscall.ENOENT
		}
		return problemOf(err).push(L, name)
	}
	L.Push(glua.LTrue)
	return 1
}

// execute is os.execute: it runs a command of the shell, and returns its status as wait(2)
// does, or -1. Without a command it returns 1: there is a shell. gopher-lua's returns only 0 or 1.
func execute(L *glua.LState) int {
	if L.GetTop() == 0 || L.Get(1) == glua.LNil {
		return done(L)
	}
	cmd := exec.Command("/bin/sh", "-c", L.CheckString(1))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	status := -1
	_ = cmd.Run() // the state says how it ended
	if cmd.ProcessState != nil {
		status = int(cmd.ProcessState.Sys().(syscall.WaitStatus))
	}
	L.Push(glua.LNumber(status))
	return 1
}
