// Stdnet runs the tests of Go's net, and of net/http, with Weir's package net in
// net's place. It takes them from the Go distribution that runs it.
//
// The tests of net become a package of their own: it changes the import, and takes
// out the parts that need what net does not export. A list in the repository names
// each test that is left out, and why. net/http is built over Weir as a whole. For httpd,
// its tests are run once more, and package httpd serves all their servers without TLS.
//
//	go run ./internal/stdnet [-race] [-v] [-run regexp] [net | net/http | httpd]
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const (
	module = "github.com/seed-2334f180/weir"
	here   = module + "/internal/stdnet"
)

func main() {
	race := flag.Bool("race", false, "run under the race detector")
	verbose := flag.Bool("v", false, "print what the tests print")
	run := flag.String("run", "", "run only the tests that match")
	keep := flag.String("keep", "", "write the changed tests to this directory")
	explain := flag.Bool("explain", false, "say what is taken out of the tests")
	listed := flag.Bool("listed", false, "run the tests of net that the list leaves out and that compile: those that pass need no entry")
	flag.Parse()
	j := &judge{race: *race, verbose: *verbose, explain: *explain, listed: *listed, only: *run, keep: *keep}
	packages := flag.Args()
	if len(packages) == 0 {
		packages = []string{"net", "net/http"}
	}
	for _, name := range packages {
		if err := j.judge(name); err != nil {
			fmt.Fprintln(os.Stderr, "stdnet:", err)
			os.Exit(1)
		}
	}
}

// A judge runs the tests of packages.
type judge struct {
	race, verbose, explain, listed bool
	only, keep                     string
}

// judge builds a package's tests and runs them.
func (j *judge) judge(name string) error {
	work, err := os.MkdirTemp("", "weir-stdnet-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	goroot := strings.TrimSpace(string(out))
	r := &run{judge: j, name: name, dir: filepath.Join(goroot, "src", name), binary: filepath.Join(work, "tests")}
	switch name {
	case "net":
		r.left, err = readList("internal/stdnet/left-out.txt")
		if err != nil {
			return err
		}
		s := &suite{explain: j.explain, dir: r.dir, left: r.left}
		if j.listed {
			s.left, s.lenient = nil, true
			j.only, r.left = only(r.left), nil
		}
		if err := s.load(); err != nil {
			return err
		}
		if err := s.keep(j.keep); err != nil {
			return err
		}
		r.leftOut = s.leftOut
		err = s.build(work, r.binary, j.race)
	case "net/http":
		err = buildHTTP(goroot, work, r.binary, j.race, false)
	case "httpd":
		r.dir = filepath.Join(goroot, "src", "net/http")
		r.left, err = readList("internal/stdnet/left-out-httpd.txt")
		if err != nil {
			return err
		}
		r.leftOut = len(r.left)
		err = buildHTTP(goroot, work, r.binary, j.race, true)
	default:
		err = fmt.Errorf("the tests of %s are not for this", name)
	}
	if err != nil {
		return err
	}
	return r.run()
}

// only returns the pattern of the tests in a list.
func only(list map[string]string) string {
	var names []string
	for name := range list {
		if strings.HasPrefix(name, "Test") {
			names = append(names, "^"+strings.ReplaceAll(name, "/", "$/^")+"$")
		}
	}
	slices.Sort(names)
	return strings.Join(names, "|")
}

// keep writes the changed tests to a directory.
func (s *suite) keep(dir string) error {
	if dir == "" {
		return nil
	}
	for name, text := range s.sources {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// build compiles the tests. They are files of package shim by an overlay alone.
func (s *suite) build(work, binary string, race bool) error {
	o := &overlay{make(map[string]string), work}
	shim, err := filepath.Abs("internal/stdnet/shim")
	if err != nil {
		return err
	}
	for name, text := range s.sources {
		if err := o.put(filepath.Join(shim, "std_"+name), text); err != nil {
			return err
		}
	}
	path, err := o.write()
	if err != nil {
		return err
	}
	args := []string{"test", "-c", "-vet=off", "-overlay", path, "-o", binary}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./internal/stdnet/shim")...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building the tests of net: %w", err)
	}
	return nil
}

// A run is one of a package's tests.
type run struct {
	*judge
	name, dir, binary string
	left              map[string]string
	leftOut           int

	passed, failed, skipped []string
}

// run runs the tests in the package's directory, where their data is, and counts.
func (r *run) run() error {
	cmd := exec.Command(r.binary, r.args()...)
	cmd.Dir = r.dir
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	last := r.read(output)
	err = cmd.Wait()
	if err != nil && len(r.failed) == 0 && !r.verbose {
		os.Stdout.Write(last)
	}
	fmt.Printf("tests of %s: %d pass, %d fail, %d skip themselves; %d are left out by the list\n",
		r.name, len(r.passed), len(r.failed), len(r.skipped), r.leftOut)
	for _, name := range r.skipped {
		fmt.Println("  skips itself:", name)
	}
	for _, name := range r.failed {
		fmt.Println("  fails:", name)
	}
	if len(r.passed) == 0 && err == nil {
		return fmt.Errorf("no test has run")
	}
	return err
}

func (r *run) args() []string {
	args := []string{"-test.v", "-test.timeout=20m"}
	if r.only != "" {
		args = append(args, "-test.run", r.only)
	}
	var skip []string
	for name := range r.left {
		if strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Example") {
			skip = append(skip, "^"+strings.ReplaceAll(name, "/", "$/^")+"$")
		}
	}
	if len(skip) > 0 {
		slices.Sort(skip)
		args = append(args, "-test.skip", strings.Join(skip, "|"))
	}
	return args
}

// read reads what the tests print, and prints what failing ones do. It returns
// what the last one has printed.
func (r *run) read(output io.Reader) []byte {
	var recent bytes.Buffer
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if r.verbose {
			fmt.Println(line)
		}
		recent.WriteString(line + "\n")
		mark, rest, _ := strings.Cut(line, ": ")
		name, _, _ := strings.Cut(rest, " ")
		switch mark {
		case "--- PASS":
			r.passed = append(r.passed, name)
		case "--- SKIP":
			r.skipped = append(r.skipped, name)
		case "--- FAIL":
			r.failed = append(r.failed, name)
			if !r.verbose {
				os.Stdout.Write(recent.Bytes())
			}
		}
		if strings.HasPrefix(line, "=== RUN") && !strings.Contains(line, "/") {
			recent.Reset()
		}
	}
	return recent.Bytes()
}

// readList reads the list of what is left out: a name, and the reason.
func readList(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	list := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, reason, _ := strings.Cut(line, " ")
		if reason = strings.TrimSpace(reason); reason == "" {
			return nil, fmt.Errorf("%s: %s has no reason", path, name)
		}
		list[name] = reason
	}
	return list, nil
}
