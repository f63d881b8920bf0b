//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// candidates returns all changes that the options allow.
func candidates(o options) (all []change, err error) {
	var lines map[string][]span
	if o.changed != "" {
		if lines, err = changedLines(o.changed); err != nil {
			return nil, err
		}
	}
	for _, directory := range o.packages {
		files, err := filesOf(directory)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			found, err := changes(directory, file)
			if err != nil {
				return nil, err
			}
			for _, c := range found {
				if lines != nil && !within(lines[c.file], c.line) {
					continue
				}
				if strings.HasPrefix(fmt.Sprintf("%s:%d", c.file, c.line), o.match) {
					all = append(all, c)
				}
			}
		}
	}
	return all, nil
}

// shuffle brings the changes into an order that the seed chooses.
func shuffle(all []change, seed uint64) {
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
}

// filesOf returns the files of a package that the go command builds here, tests
// excluded.
func filesOf(directory string) (files []string, err error) {
	out, err := output("go", "list", "-json=GoFiles", "./"+filepath.ToSlash(directory))
	if err != nil {
		return nil, err
	}
	var p struct{ GoFiles []string }
	if err := json.Unmarshal(out, &p); err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for _, name := range p.GoFiles {
		files = append(files, filepath.Join(directory, name))
	}
	return files, nil
}

// A span is some successive lines.
type span struct{ first, last int }

func within(spans []span, line int) bool {
	for _, s := range spans {
		if s.first <= line && line <= s.last {
			return true
		}
	}
	return false
}

var hunk = regexp.MustCompile(`^@@ -\S+ \+(\d+)(?:,(\d+))? @@`)

// changedLines returns the lines of each file that differ from a revision.
func changedLines(revision string) (map[string][]span, error) {
	out, err := output("git", "diff", "-U0", "--no-color", "--no-prefix", revision, "--", "*.go")
	if err != nil {
		return nil, err
	}
	lines, file := map[string][]span{}, ""
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		if name, ok := strings.CutPrefix(s.Text(), "+++ "); ok {
			file = name
		} else if m := hunk.FindStringSubmatch(s.Text()); m != nil {
			first, _ := strconv.Atoi(m[1])
			n := 1
			if m[2] != "" {
				n, _ = strconv.Atoi(m[2])
			}
			lines[file] = append(lines[file], span{first, first + n - 1})
		}
	}
	return lines, nil
}

// output runs a command and returns what it prints.
func output(name string, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
