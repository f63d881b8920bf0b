//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
	unfinished                 // the budget ended first
	doubtful                   // tests fail together, and each of them passes alone
	reached                    // not tried
)

func (v verdict) String() string {
	return [...]string{"noticed", "without effect", "HOLE", "does not build", "unfinished", "doubtful", "reached"}[v]
}

// A lab tries changes. It may be used by several goroutines.
type lab struct {
	work  string // a directory for changed files and test binaries
	short bool
	tests string // a regular expression; "" for all
	reach bool   // it tries nothing
}

// tryAll tries changes until o.n of them were tried or the context is done, prints
// what became of each, and counts the verdicts.
func tryAll(ctx context.Context, o options, all []change, known map[string]int, work string, out io.Writer) (count map[verdict]int, err error) {
	l := &lab{work: work, short: o.short, tests: o.tests, reach: o.reach}
	count = map[verdict]int{}
	var mu sync.Mutex
	tell := func(c change, v verdict, by string, took time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		count[v]++
		if v != unbuildable && v != reached {
			fmt.Fprintf(out, "%-14s %v%s (%.1fs)\n", v, c, by, took.Seconds())
		}
	}
	if o.n == 0 {
		o.n = len(all)
	}
	for tried := 0; tried < o.n && len(all) > 0 && ctx.Err() == nil; {
		round := all[:min(o.n-tried, len(all))]
		all = all[len(round):]
		byPackage := map[string][]change{}
		for _, c := range round {
			if known[c.key()] > 0 {
				tell(c, harmless, "", 0)
				continue
			}
			byPackage[c.directory] = append(byPackage[c.directory], c)
		}
		before := count[unbuildable]
		for _, directory := range slices.Sorted(maps.Keys(byPackage)) {
			err = errors.Join(err, l.tryPackage(ctx, directory, byPackage[directory], o.workers, tell, out))
		}
		tried += len(round) - (count[unbuildable] - before)
	}
	return count, err
}

// tryPackage tries changes of one package. It returns an error if its tests do not build.
func (l *lab) tryPackage(ctx context.Context, directory string, all []change, workers int, tell func(change, verdict, string, time.Duration), out io.Writer) error {
	b, failing, err := l.prepare(ctx, directory, all, workers)
	if b.binary != "" {
		defer os.Remove(b.binary)
	}
	for _, test := range failing {
		fmt.Fprintf(out, "left out: %s of %s fails without a change\n", test, directory)
	}
	each(workers, b.changes, func(c numbered) {
		if err != nil || ctx.Err() != nil {
			tell(c.change, unfinished, "", 0)
			return
		}
		start := time.Now()
		v, by := l.tryIn(ctx, b, c)
		tell(c.change, v, by, time.Since(start))
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// attempts is how often the tests run when their failures do not repeat: a busy machine
// makes a test fail now and then.
const attempts = 3

// grace is added to twice the ordinary time of the tests. With more time, the change
// counts as noticed.
var grace = 10 * time.Second // tests change it

// try builds the package with the change and runs some of its tests. by says which test
// has noticed the change.
func (l *lab) try(ctx context.Context, c change, tests string, limit time.Duration) (v verdict, by string) {
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
	return l.repeat(ctx, c.directory, binary, tests, limit)
}

// repeat runs tests until their result is certain.
func (l *lab) repeat(ctx context.Context, directory, binary, tests string, limit time.Duration, env ...string) (v verdict, by string) {
	for range attempts {
		var err error
		by, err = l.test(ctx, directory, binary, tests, limit, env...)
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
		if _, err := l.test(ctx, directory, binary, only(top), limit, env...); err != nil {
			return noticed, " by " + by
		}
	}
	return doubtful, " by " + by
}

// write writes the changed file and the overlay that puts it in its place, and returns
// the overlay's name.
func (l *lab) write(c change) (overlay string, err error) {
	source, err := os.ReadFile(c.file)
	if err != nil {
		return "", err
	}
	return l.writeOverlay(map[string]string{c.file: string(source[:c.start]) + c.with + string(source[c.end:])})
}

// writeOverlay writes files, and an overlay that puts them in the place of the files of
// these names, and returns the overlay's name. Its directory holds the files.
func (l *lab) writeOverlay(texts map[string]string) (overlay string, err error) {
	directory, err := os.MkdirTemp(l.work, "change")
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range texts {
		original, err := filepath.Abs(name)
		if err != nil {
			return "", err
		}
		replace[original] = filepath.Join(directory, filepath.Base(name))
		if err := os.WriteFile(replace[original], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
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

// test runs the tests of a package that match, or all tests if tests is "", until one
// fails. by is the first failure that they report.
func (l *lab) test(ctx context.Context, directory, binary, tests string, limit time.Duration, env ...string) (by string, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	args := []string{"-test.failfast", "-test.timeout=" + limit.String()}
	if tests != "" {
		args = append(args, "-test.run="+tests)
	}
	if l.short {
		args = append(args, "-test.short")
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = directory
	cmd.Env = append(os.Environ(), "TMPDIR="+l.work) // a test that is killed leaves its files behind
	cmd.Env = append(cmd.Env, env...)
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
