package scripts

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/interp/lisp"
	"golang.org/x/sys/unix"
)

//go:embed speed.lua
var speedScript string

//go:embed http.lua
var httpScript string

// LuaTasks has the tasks of speed.lua, and what each does once.
var LuaTasks = []struct{ Name, Label string }{
	{"lines", "receive a line of 40 bytes"},
	{"send", "send 64 bytes"},
}

// A SpeedOrder names a task, and for how long to do it.
type SpeedOrder struct {
	Interpreter, Task string
	Window            time.Duration
}

// A LuaSpeed says how often a task was done in a second of processor time.
type LuaSpeed struct{ PerSecond float64 }

// runLuaSpeed is a role: the script prints the answer itself.
func runLuaSpeed(order SpeedOrder, _ child.Answer) error {
	return runLua(order.Interpreter, fmt.Sprintf("local TASK, SECONDS = %q, %g ", order.Task, order.Window.Seconds())+speedScript)
}

// An HTTPOrder names the interpreter that serves, and the bytes of an answer's body.
type HTTPOrder struct {
	Interpreter string
	Size        int
}

// runLuaHTTP is a role: the script prints its address itself.
func runLuaHTTP(order HTTPOrder, _ child.Answer) error {
	return runLua(order.Interpreter, fmt.Sprintf("local SIZE = %d ", order.Size)+httpScript)
}

// Python is the peer of the Lisp.
const Python = "python3"

// LispTasks are programs of the same meaning in Lisp and Python. Each defines a function
// task.
var LispTasks = []struct{ Name, Label, lisp, python string }{
	{
		"loop", "a loop of a million steps",
		"(defun task () (let ((i 0)) (while (< i 1000000) (setq i (+ i 1)))))",
		"def task():\n    i = 0\n    while i < 1000000: i += 1\n",
	},
	{
		"fib", "fib(25)",
		"(defun fib (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (defun task () (fib 25))",
		"def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\ndef task():\n    fib(25)\n",
	},
	{
		"string", "a string of 100,000 pieces",
		`(defun task () (let ((s "")) (dotimes (i 100000) (setq s (concat s "piece"))) (length s)))`,
		"def task():\n    s = ''\n    for i in range(100000): s += 'piece'\n    return len(s)\n",
	},
}

// pythonRepeats prints the median processor time of task, in milliseconds.
const pythonRepeats = `
import json, statistics, time
times, end = [], time.process_time() + %g
while len(times) < 3 or time.process_time() < end:
    begun = time.process_time(); task(); times.append(time.process_time() - begun)
print(json.dumps({"Milliseconds": statistics.median(times) * 1000}))
`

// processorTime returns that of this process, which is time.process_time of Python.
func processorTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) // every Linux has this clock
	return time.Duration(t.Nano())
}

// A LispSpeed has the median processor time of a task.
type LispSpeed struct{ Milliseconds float64 }

// measureLispSpeed is a role: the process does a task of LispTasks in Lisp, or becomes
// Python, which then prints the answer itself.
func measureLispSpeed(order SpeedOrder, answer child.Answer) error {
	for _, task := range LispTasks {
		if task.Name != order.Task {
			continue
		}
		if order.Interpreter == Python {
			return become(Python, "-c", task.python+fmt.Sprintf(pythonRepeats, order.Window.Seconds()))
		}
		in := lisp.New(lisp.Options{})
		defer in.Close()
		ctx, cancel := context.WithCancel(context.Background()) // as an interactive interpreter has one
		defer cancel()
		if _, err := in.Eval(ctx, task.lisp); err != nil {
			return err
		}
		var times []float64
		for spent := time.Duration(0); len(times) < 3 || spent < order.Window; {
			begun := processorTime()
			if _, err := in.Eval(ctx, "(task)"); err != nil {
				return err
			}
			took := processorTime() - begun
			spent += took
			times = append(times, float64(took)/float64(time.Millisecond))
		}
		return answer(LispSpeed{measure.SpreadOf(times).Median})
	}
	return fmt.Errorf("%q: no such task", order.Task)
}
