package weirtest

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asProgram is the environment variable that makes a test binary run the program. Its value
// is the number of the process that runs the tests. If
// the program were a binary of its own, go test would not know that the test depends on
// it, and would reuse old results after a change of the code.
const asProgram = "WEIR_TEST_AS_PROGRAM"

// ProgramMain is for TestMain. It runs the program if Command has started the process, and the
// tests otherwise. The program, and a successor that it starts, end when the process of the
// tests has died.
func ProgramMain(m *testing.M, program func()) {
	if parent, _ := strconv.Atoi(os.Getenv(asProgram)); parent != 0 {
		go func() {
			for range time.Tick(time.Second) {
				if unix.Kill(parent, 0) == unix.ESRCH {
					os.Exit(1)
				}
			}
		}()
		program()
		return
	}
	// nohup(1), and a shell that runs the tests in the background, make them ignore signals,
	// and a program would inherit that. It gets the default instead of a caught signal.
	for _, sig := range []os.Signal{unix.SIGHUP, unix.SIGINT} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	os.Setenv("GORACE", "atexit_sleep_ms=10") // without this each program waits a second at its end
	os.Exit(m.Run())
}

// Command returns a command that runs the program of ProgramMain with arguments. It ends when
// ctx is done.
func Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"="+strconv.Itoa(os.Getpid()))
	return cmd
}
