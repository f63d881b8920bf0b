// Stdnet runs the tests of Go's net with Weir's package net in its place. It takes
// them from the Go distribution that runs it, and changes only what makes them a
// package of their own: the import, and the parts that need what net does not
// export. A list in the repository names each test that is left out, and why.
//
//	go run ./internal/stdnet [-race] [-v] [-run regexp]
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
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
	flag.Parse()
	if err := judge(*race, *verbose, *explain, *run, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "stdnet:", err)
		os.Exit(1)
	}
}

// judge builds the tests and runs them.
func judge(race, verbose, explain bool, run, keep string) error {
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
	left, err := readList("internal/stdnet/left-out.txt")
	if err != nil {
		return err
	}
	s := &suite{explain: explain, goroot: goroot, dir: filepath.Join(goroot, "src", "net"), left: left}
	if err := s.load(); err != nil {
		return err
	}
	if keep != "" {
		for name, text := range s.sources {
			if err := os.WriteFile(filepath.Join(keep, name), text, 0o644); err != nil {
				return err
			}
		}
	}
	binary := filepath.Join(work, "net.test")
	if err := s.build(work, binary, race); err != nil {
		return err
	}
	return s.run(binary, run, verbose)
}

// build compiles the tests. They are files of package shim by an overlay alone.
func (s *suite) build(work, binary string, race bool) error {
	overlay := struct{ Replace map[string]string }{make(map[string]string)}
	shim, err := filepath.Abs("internal/stdnet/shim")
	if err != nil {
		return err
	}
	for name, text := range s.sources {
		path := filepath.Join(work, name)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
		overlay.Replace[filepath.Join(shim, "std_"+name)] = path
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return err
	}
	path := filepath.Join(work, "overlay.json")
	if err := os.WriteFile(path, list, 0o644); err != nil {
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

// run runs the tests in net's directory, where their data is, and counts.
func (s *suite) run(binary, run string, verbose bool) error {
	args := []string{"-test.v", "-test.timeout=10m"}
	if run != "" {
		args = append(args, "-test.run", run)
	}
	var skip []string
	for name := range s.left {
		if strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Example") {
			skip = append(skip, "^"+strings.ReplaceAll(name, "/", "$/^")+"$")
		}
	}
	slices.Sort(skip)
	args = append(args, "-test.skip", strings.Join(skip, "|"))
	cmd := exec.Command(binary, args...)
	cmd.Dir = s.dir
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var passed, failed, skipped []string
	var recent bytes.Buffer
	for lines := bufio.NewScanner(output); lines.Scan(); {
		line := lines.Text()
		if verbose {
			fmt.Println(line)
		}
		recent.WriteString(line + "\n")
		mark, rest, _ := strings.Cut(line, ": ")
		name, _, _ := strings.Cut(rest, " ")
		switch mark {
		case "--- PASS":
			passed = append(passed, name)
		case "--- SKIP":
			skipped = append(skipped, name)
		case "--- FAIL":
			failed = append(failed, name)
			if !verbose {
				os.Stdout.Write(recent.Bytes())
			}
		}
		if strings.HasPrefix(line, "=== RUN") && !strings.Contains(line, "/") {
			recent.Reset()
		}
	}
	err = cmd.Wait()
	if err != nil && len(failed) == 0 && !verbose {
		os.Stdout.Write(recent.Bytes())
	}
	fmt.Printf("tests of net: %d pass, %d fail, %d skip themselves; %d are left out by the list\n",
		len(passed), len(failed), len(skipped), s.leftOut)
	for _, name := range skipped {
		fmt.Println("  skips itself:", name)
	}
	for _, name := range failed {
		fmt.Println("  fails:", name)
	}
	if len(passed) == 0 && err == nil {
		return fmt.Errorf("no test has run")
	}
	return err
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
