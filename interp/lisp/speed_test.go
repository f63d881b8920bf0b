package lisp_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// speedTasks has the programs whose speed TestSpeed compares with CPython's. Both
// run each task in short pieces, in turn, and the test takes the fastest piece of
// each. So other load on the machine has little influence.
var speedTasks = []struct{ name, lisp, python string }{
	{"fib", "(defun task () (fib 18)) (defun fib (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))",
		"def fib(n):\n    return n if n < 2 else fib(n-1) + fib(n-2)\ndef task():\n    fib(18)\n"},
	{"a loop", "(defun task () (let ((i 0)) (while (< i 50000) (setq i (+ i 1)))))",
		"def task():\n    i = 0\n    while i < 50000: i += 1\n"},
	{"a loop with a global variable", "(defun task () (setq g 0) (while (< g 20000) (setq g (+ g 1))))",
		"def task():\n    global g\n    g = 0\n    while g < 20000: g += 1\n"},
}

const pythonLoop = `
import sys, time
for line in sys.stdin:
    best = 1e9
    for _ in range(20):
        begun = time.perf_counter(); task(); best = min(best, time.perf_counter() - begun)
    print(best, flush=True)
`

// A loop of calls and arithmetic takes at most the time that it takes in CPython. The
// test needs CPython.
func TestSpeed(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes all slow")
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			require.NoError(t, err, "apt-get install python3")
		}
		t.Skip("python3 is not installed")
	}
	for _, task := range speedTasks {
		t.Run(task.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), python, "-c", task.python+pythonLoop)
			in, err := cmd.StdinPipe()
			require.NoError(t, err)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			defer func() { in.Close(); cmd.Wait() }()
			lines := bufio.NewReader(out)
			interp := start(t)
			interp.value(task.lisp)
			ours, theirs := time.Hour, time.Hour
			for round := range 200 {
				_, err := in.Write([]byte("\n"))
				require.NoError(t, err)
				line, err := lines.ReadString('\n')
				require.NoError(t, err)
				seconds, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
				require.NoError(t, err)
				theirs = min(theirs, time.Duration(seconds*1e9))
				for range 20 {
					begun := time.Now()
					_, err := interp.Eval(context.Background(), "(task)")
					require.NoError(t, err)
					ours = min(ours, time.Since(begun))
				}
				if round >= 10 && ours <= theirs {
					break
				}
			}
			t.Logf("%v, CPython %v", ours, theirs)
			require.LessOrEqual(t, ours, theirs)
		})
	}
}
