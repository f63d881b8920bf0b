//go:build linux

package main

import (
	"bytes"
	"cmp"
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
	"strconv"
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
)

func (v verdict) String() string {
	return [...]string{"noticed", "without effect", "HOLE", "does not build", "UNSOUND", "unfinished"}[v]
}

// A lab tries changes. It may be used by several goroutines.
type lab struct {
	work  string // a directory for changed files and test binaries
	short bool

	mu    sync.Mutex
	tests map[string][]*test         // of a package
	hot   map[string]map[string]bool // names of tests that have noticed a change, by the file

	binaries map[string][]*binary // of a package; made before the trials
}

func newLab(work string, short bool) *lab {
	return &lab{work: work, short: short, tests: map[string][]*test{}, hot: map[string]map[string]bool{}, binaries: map[string][]*binary{}}
}

// tryAll tries changes until o.n of them were tried or the context is done, prints
// what became of each, and counts the verdicts.
func tryAll(ctx context.Context, o options, all []change, known map[string]bool, work string, out io.Writer) map[verdict]int {
	l := newLab(work, o.short)
	count := map[verdict]int{}
	for _, d := range o.packages { // one at a time: others would make them slower
		if !concerns(all, d) {
			continue
		}
		soon := all[:min(len(all), cmp.Or(o.n+o.n/4, len(all)))] // some will not build
		by, err := "", l.buildTogether(ctx, d, unknown(soon, known))
		if err == nil {
			by, err = l.measure(ctx, d)
		}
		if ctx.Err() != nil {
			fmt.Fprintf(out, "%-14s %s: the time was over before its tests had run without a change\n", unfinished, d)
			return count
		}
		if err != nil {
			fmt.Fprintf(out, "%-14s %s: %s %v\n", unsound, d, by, err)
			count[unsound]++
			return count
		}
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
				if known[c.key()] {
					tell(c, harmless, "", 0)
					continue
				}
				start := time.Now()
				v, by := l.try(ctx, c)
				if by != "" {
					by = " by " + by
				}
				tell(c, v, by, time.Since(start))
			}
		})
	}
	workers.Wait()
	return count
}

// unknown returns the changes that are not known to be harmless.
func unknown(all []change, known map[string]bool) []change {
	return slices.DeleteFunc(slices.Clone(all), func(c change) bool { return known[c.key()] })
}

func concerns(all []change, directory string) bool {
	for _, c := range all {
		if c.directory == directory {
			return true
		}
	}
	return false
}

// measure runs a package's tests without a change, and notes the time that each takes.
func (l *lab) measure(ctx context.Context, directory string) (by string, err error) {
	tests, err := testsOf(directory)
	if err != nil {
		return "", err
	}
	l.tests[directory] = tests
	s := subject{directory: directory}
	if built := l.binaries[directory]; len(built) > 0 {
		s.binary = built[0].name
	} else if s.binary, err = l.build(ctx, directory, nil); err != nil {
		return "", err
	}
	by, took, err := l.failure(ctx, s, tests, 5*time.Minute)
	for _, t := range tests {
		t.took = took[t.name]
	}
	return by, err
}

// grace is added to twice the ordinary time of tests. A test that takes longer hangs.
var grace = 20 * time.Second // tests change it

// A subject is what the tests of a package test.
type subject struct {
	directory string // of the package
	binary    string
	number    int // of the change in a binary with many; 0 for none of them
}

// try runs the tests of the package with the change. by says which test has noticed it.
func (l *lab) try(ctx context.Context, c change) (v verdict, by string) {
	if s, b := l.subjectOf(c); b != nil {
		v, by = l.ask(ctx, c, s)
		at := slices.IndexFunc(l.tests[c.directory], func(t *test) bool { return t.name == topOf(by) })
		if v != noticed || at < 0 || l.passes(ctx, c.directory, b, l.tests[c.directory][at]) {
			return v, by
		}
	}
	source, err := os.ReadFile(c.file)
	if err != nil {
		return unbuildable, err.Error()
	}
	text := slices.Replace(source, c.start, c.end, []byte(c.with)...)
	binary, err := l.build(ctx, c.directory, map[string][]byte{c.file: text})
	if ctx.Err() != nil {
		return unfinished, ""
	}
	if err != nil {
		return unbuildable, ""
	}
	defer os.Remove(binary)
	return l.ask(ctx, c, subject{directory: c.directory, binary: binary})
}

// ask runs the tests on a subject that has the change.
func (l *lab) ask(ctx context.Context, c change, s subject) (v verdict, by string) {
	for _, batch := range batches(l.tests[c.directory], c, l.hotFor(c.file)) {
		by, _, err := l.failure(ctx, s, batch, grace)
		if ctx.Err() != nil {
			return unfinished, ""
		}
		if err != nil {
			l.heat(c.file, by)
			return noticed, by
		}
	}
	return hole, ""
}

// hotFor returns the names of the tests that have noticed a change of the file.
func (l *lab) hotFor(file string) map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.hot[file])
}

// heat notes that a test has noticed a change of the file.
func (l *lab) heat(file, by string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hot[file] == nil {
		l.hot[file] = map[string]bool{}
	}
	l.hot[file][topOf(by)] = true
}

// topOf returns the name of the test that has the subtest, or name itself.
func topOf(name string) string {
	top, _, _ := strings.Cut(name, "/")
	top, _, _ = strings.Cut(top, " ")
	return top
}

// build builds the tests of a package, with files in the place of those of the tree or
// beside them.
func (l *lab) build(ctx context.Context, directory string, files map[string][]byte) (binary string, err error) {
	work, err := os.MkdirTemp(l.work, "build")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	replace := map[string]string{}
	for file, text := range files {
		name := filepath.Join(work, filepath.Base(file))
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return "", err
		}
		original, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		replace[original] = name
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(work, "overlay.json")
	if err := os.WriteFile(overlay, data, 0o600); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(l.work, "test")
	if err != nil {
		return "", err
	}
	f.Close()
	// -e makes the compiler tell all errors.
	args := []string{"test", "-c", "-vet=off", "-gcflags=-e", "-overlay=" + overlay, "-o", f.Name(), "./" + filepath.ToSlash(directory)}
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("go test -c: %w: %s", err, bytes.TrimSpace(out))
	}
	return f.Name(), nil
}

var (
	failed  = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)|^(panic: [^\n]*|fatal error: [^\n]*)`)
	running = regexp.MustCompile(`(?m)^panic: test timed out[^\n]*\n\s+running tests:\n\s+(\S+) \(`)
	ended   = regexp.MustCompile(`(?m)^--- (?:PASS|SKIP): (\S+) \((\S+s)\)`)
)

// failure runs tests until one fails, or hangs, that also fails alone: a busy machine
// makes a test fail now and then. by is what has failed, and took has the tests that
// have passed. Tests may take patience longer than twice their ordinary time.
func (l *lab) failure(ctx context.Context, s subject, tests []*test, patience time.Duration) (by string, took map[string]time.Duration, err error) {
	took = map[string]time.Duration{}
	for again := true; len(tests) > 0; {
		by, passed, err := l.run(ctx, s, tests, patience)
		maps.Copy(took, passed)
		if err == nil || ctx.Err() != nil {
			return by, took, err
		}
		name := topOf(by)
		at := slices.IndexFunc(tests, func(t *test) bool { return t.name == name })
		if at < 0 { // a crash outside of tests, or a failure after all of them
			if !again || strings.HasPrefix(by, "panic") || strings.HasPrefix(by, "fatal") {
				return by, took, err
			}
			again = false
			continue
		}
		if _, _, alone := l.run(ctx, s, tests[at:at+1], patience); alone != nil {
			return by, took, err
		}
		tests = slices.DeleteFunc(slices.Clone(tests), func(t *test) bool {
			_, ok := took[t.name]
			return ok || t.name == name
		})
	}
	return "", took, nil
}

// run runs tests of a package until one fails. by is the first failure that they
// report, and took has the tests that have passed.
func (l *lab) run(ctx context.Context, s subject, tests []*test, patience time.Duration) (by string, took map[string]time.Duration, err error) {
	limit, names := patience, []string{}
	for _, t := range tests {
		limit += 2 * t.took
		names = append(names, t.name)
	}
	// The tests end themselves and say which of them runs, unless they cannot.
	ctx, cancel := context.WithTimeout(ctx, limit+grace)
	defer cancel()
	args := []string{"-test.failfast", "-test.v", "-test.timeout=" + limit.String(), "-test.run=^(" + strings.Join(names, "|") + ")$"}
	if l.short {
		args = append(args, "-test.short")
	}
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Dir = s.directory
	cmd.Env = append(os.Environ(), choice+"="+strconv.Itoa(s.number), "TMPDIR="+l.work) // a test that is killed leaves its files behind
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// Tests start children, which would keep the output open.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	took = map[string]time.Duration{}
	for _, m := range ended.FindAllStringSubmatch(out.String(), -1) {
		took[m[1]], _ = time.ParseDuration(m[2])
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "a hang", took, context.DeadlineExceeded
	}
	if m := running.FindSubmatch(out.Bytes()); m != nil {
		return string(m[1]) + ", a hang", took, err
	}
	if m := failed.FindSubmatch(out.Bytes()); m != nil {
		return string(bytes.Join(m[1:], nil)), took, err
	}
	return "an exit", took, err
}
