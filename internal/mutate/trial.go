//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A verdict says what became of a change.
type verdict int

const (
	noticed     verdict = iota // a test has failed, or did not end
	harmless                   // listed as without effect
	hole                       // all tests have passed
	unbuildable                // the compiler refuses it
	unsound                    // the tests fail without a change
	unfinished                 // the budget ended first
	doubtful                   // tests fail together, and each of them passes alone
)

func (v verdict) String() string {
	return [...]string{"noticed", "without effect", "HOLE", "does not build", "UNSOUND", "unfinished", "doubtful"}[v]
}

// A lab tries changes. It may be used by several goroutines.
type lab struct {
	work  string // a directory for changed files and test binaries
	short bool
	tests string // a regular expression; "" for all

	mu    sync.Mutex
	usual map[string]time.Duration // how long a package's tests take
}

// tryAll tries changes until o.n of them were tried or the context is done, prints
// what became of each, and counts the verdicts.
func tryAll(ctx context.Context, o options, all []change, known map[string]int, work string, out io.Writer) map[verdict]int {
	l := &lab{work: work, short: o.short, tests: o.tests, usual: map[string]time.Duration{}}
	count := map[verdict]int{}
	for _, d := range o.packages { // one at a time: others would make them slower
		if !concerns(all, d) {
			continue
		}
		took, by, err := l.measure(ctx, d)
		if err != nil {
			fmt.Fprintf(out, "%-14s %s: %s %v\n", unsound, d, by, err)
			count[unsound]++
			return count
		}
		l.usual[d] = took
	}
	var mu sync.Mutex
	next, tried := 0, 0
	take := func() (c change, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil || next == len(all) || o.n > 0 && tried >= o.n {
			return c, false
		}
		next, tried = next+1, tried+1
		return all[next-1], true
	}
	tell := func(c change, v verdict, by string, took time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		count[v]++
		if v == unbuildable {
			tried--
			return
		}
		fmt.Fprintf(out, "%-14s %v%s (%.1fs)\n", v, c, by, took.Seconds())
	}
	var workers sync.WaitGroup
	for range o.workers {
		workers.Go(func() {
			for c, ok := take(); ok; c, ok = take() {
				if known[c.key()] > 0 {
					tell(c, harmless, "", 0)
					continue
				}
				start := time.Now()
				v, by := l.try(ctx, c)
				tell(c, v, by, time.Since(start))
			}
		})
	}
	workers.Wait()
	return count
}

func concerns(all []change, directory string) bool {
	for _, c := range all {
		if c.directory == directory {
			return true
		}
	}
	return false
}

// measure runs a package's tests without a change, and returns the time they take.
func (l *lab) measure(ctx context.Context, directory string) (took time.Duration, by string, err error) {
	binary, err := l.build(ctx, directory, "")
	if err != nil {
		return 0, "", err
	}
	defer os.Remove(binary)
	for range attempts {
		start := time.Now()
		by, err = l.test(ctx, directory, binary, l.tests, 5*time.Minute)
		took = time.Since(start)
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return took, by, err
}

// attempts is how often the tests run when their failures do not repeat: a busy machine
// makes a test fail now and then.
const attempts = 3

// grace is added to twice the ordinary time of a package's tests. With more time, the
// change counts as noticed.
var grace = 10 * time.Second // tests change it

// try builds the package with the change and runs its tests. by says which test has
// noticed the change.
func (l *lab) try(ctx context.Context, c change) (v verdict, by string) {
	overlay, err := l.write(c)
	if err != nil {
		return unbuildable, err.Error()
	}
	defer os.RemoveAll(filepath.Dir(overlay))
	binary, err := l.build(ctx, c.directory, overlay)
	if ctx.Err() != nil {
		return unfinished, ""
	}
	if err != nil {
		return unbuildable, ""
	}
	defer os.Remove(binary)
	l.mu.Lock()
	limit := 2*l.usual[c.directory] + grace
	l.mu.Unlock()
	for range attempts {
		by, err = l.test(ctx, c.directory, binary, l.tests, limit)
		switch {
		case ctx.Err() != nil:
			return unfinished, ""
		case err == nil:
			return hole, ""
		}
		// A test that fails by chance passes alone.
		if !strings.HasPrefix(by, "Test") {
			return noticed, " by " + by
		}
		top, _, _ := strings.Cut(by, "/")
		if _, err := l.test(ctx, c.directory, binary, "^"+top+"$", limit); err != nil {
			return noticed, " by " + by
		}
	}
	return doubtful, " by " + by
}

// write writes the changed file and the overlay that puts it in its place, and returns
// the overlay's name.
func (l *lab) write(c change) (overlay string, err error) {
	directory, err := os.MkdirTemp(l.work, "change")
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(c.file)
	if err != nil {
		return "", err
	}
	file := filepath.Join(directory, filepath.Base(c.file))
	text := append(append(append([]byte{}, source[:c.start]...), c.with...), source[c.end:]...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return "", err
	}
	original, err := filepath.Abs(c.file)
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(map[string]any{"Replace": map[string]string{original: file}})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(directory, "overlay.json")
	return overlay, os.WriteFile(overlay, data, 0o600)
}

// build builds the tests of a package.
func (l *lab) build(ctx context.Context, directory, overlay string) (binary string, err error) {
	f, err := os.CreateTemp(l.work, "test")
	if err != nil {
		return "", err
	}
	f.Close()
	args := []string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", f.Name(), "./" + filepath.ToSlash(directory)}
	if overlay != "" {
		args = append(args[:1:1], append([]string{"-overlay=" + overlay}, args[1:]...)...)
	}
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("go test -c: %w: %s", err, bytes.TrimSpace(out))
	}
	return f.Name(), nil
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)|^(panic: test timed out|panic: [^\n]*|fatal error: [^\n]*)|^\s+(Test\S+) \(\d`)

// test runs the tests of a package that match only, or all tests if that is "", until
// one fails. by is the first failure that they report.
func (l *lab) test(ctx context.Context, directory, binary, only string, limit time.Duration) (by string, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	args := []string{"-test.failfast", "-test.timeout=" + limit.String()}
	if only != "" {
		args = append(args, "-test.run="+only)
	}
	if l.short {
		args = append(args, "-test.short")
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = directory
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// Tests start children, which would keep the output open.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "a hang", context.DeadlineExceeded
	}
	m := failed.FindSubmatch(out.Bytes())
	if m == nil {
		return "an exit", err
	}
	return string(bytes.Join(m[1:], nil)), err
}
