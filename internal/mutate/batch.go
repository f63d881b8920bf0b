//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A batch is the changes of one package whose trials share a binary of its tests.
type batch struct {
	directory string
	changes   []numbered
	binary    string                   // "" if it does not build
	took      map[string]time.Duration // how long each test takes alone
	reach     map[int][]string         // the tests that reach a change, by its number
}

// prepare builds the binary, and runs each test alone without a change, to learn which
// changes it reaches. It returns the tests that fail.
func (l *lab) prepare(ctx context.Context, directory string, all []change, workers int) (b *batch, failing []string, err error) {
	b = &batch{directory: directory, took: map[string]time.Duration{}, reach: map[int][]string{}}
	for i, c := range all {
		b.changes = append(b.changes, numbered{c, i + 1, c.at.form == nowhere})
	}
	b.separate(ctx, l, b.changes)
	overlay, err := l.writeChoices(directory, b.changes)
	if err != nil {
		return b, nil, err
	}
	defer os.RemoveAll(filepath.Dir(overlay))
	if b.binary, err = l.build(ctx, directory, overlay); err != nil {
		for i := range b.changes { // such as a function that must not use more stack
			b.changes[i].alone = true
		}
		if b.binary, err = l.build(ctx, directory, ""); err != nil {
			return b, nil, err
		}
	}
	tests, err := testsOf(ctx, directory, b.binary, l.tests)
	if err != nil {
		return b, nil, err
	}
	var mu sync.Mutex
	each(workers, tests, func(test string) {
		took, reached, err := l.survey(ctx, b, test)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failing = append(failing, test)
			return
		}
		b.took[test] = took
		for _, n := range reached {
			b.reach[n] = append(b.reach[n], test)
		}
	})
	return b, failing, ctx.Err()
}

// each calls f for each of the list, in several goroutines.
func each[T any](workers int, list []T, f func(T)) {
	work := make(chan T)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for x := range work {
				f(x)
			}
		})
	}
	for _, x := range list {
		work <- x
	}
	close(work)
	all.Wait()
}

// separate finds the changes that do not build as choices: each gets a binary of its own.
func (b *batch) separate(ctx context.Context, l *lab, part []numbered) {
	choosing := slices.DeleteFunc(slices.Clone(part), func(c numbered) bool { return c.alone })
	if len(choosing) == 0 || ctx.Err() != nil {
		return
	}
	if overlay, err := l.writeChoices(b.directory, choosing); err == nil {
		err = exec.CommandContext(ctx, "go", "build", "-overlay="+overlay, "-o", os.DevNull, "./"+filepath.ToSlash(b.directory)).Run()
		os.RemoveAll(filepath.Dir(overlay))
		if err == nil {
			return
		}
	}
	if len(choosing) == 1 {
		b.changes[choosing[0].n-1].alone = true
		return
	}
	b.separate(ctx, l, choosing[:len(choosing)/2])
	b.separate(ctx, l, choosing[len(choosing)/2:])
}

// writeChoices writes the files of a package with choices, and an overlay.
func (l *lab) writeChoices(directory string, all []numbered) (overlay string, err error) {
	texts, byFile, name := map[string]string{}, map[string][]numbered{}, ""
	most := 0
	for _, c := range all {
		byFile[c.file] = append(byFile[c.file], c)
		most = max(most, c.n)
	}
	for file, changes := range byFile {
		source, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		texts[file] = choices(string(source), changes)
		name = string(packageClause.FindSubmatch(source)[1])
	}
	texts[filepath.Join(directory, "mutant_choice.go")] = fmt.Sprintf(chooser, name, most+1)
	return l.writeOverlay(texts)
}

var packageClause = regexp.MustCompile(`(?m)^package (\w+)`)

// testsOf returns the names of the tests, examples and fuzz targets that match.
func testsOf(ctx context.Context, directory, binary, match string) (tests []string, err error) {
	if match == "" {
		match = "."
	}
	cmd := exec.CommandContext(ctx, binary, "-test.list", match)
	cmd.Dir = directory
	out, err := cmd.Output()
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "Test") || strings.HasPrefix(line, "Example") || strings.HasPrefix(line, "Fuzz") {
			tests = append(tests, line)
		}
	}
	return tests, err
}

// survey runs a test without a change, and returns the numbers of the changes that it
// reaches.
func (l *lab) survey(ctx context.Context, b *batch, test string) (took time.Duration, reached []int, err error) {
	report, err := os.CreateTemp(l.work, "report")
	if err != nil {
		return 0, nil, err
	}
	report.Close()
	defer os.Remove(report.Name())
	for range attempts {
		start := time.Now()
		_, err = l.test(ctx, b.directory, b.binary, only(test), surveyLimit, "MUTANT_REPORT="+report.Name())
		took = time.Since(start)
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	text, _ := os.ReadFile(report.Name())
	for ; len(text) >= 4; text = text[4:] {
		reached = append(reached, int(binary.NativeEndian.Uint32(text)))
	}
	slices.Sort(reached) // a test that starts a child reaches some twice
	return took, slices.Compact(reached), err
}

const surveyLimit = 2 * time.Minute

func only(tests ...string) string { return "^(" + strings.Join(tests, "|") + ")$" }

// tryIn tries a change by the tests that reach it.
func (l *lab) tryIn(ctx context.Context, b *batch, c numbered) (v verdict, by string) {
	tests := b.reach[c.n]
	if c.body == 0 { // the start of the package reaches it
		tests = nil
		for test := range b.took {
			tests = append(tests, test)
		}
	}
	if len(tests) == 0 {
		return hole, " that no test reaches"
	}
	if l.reach {
		return reached, ""
	}
	limit := grace
	for _, test := range tests {
		limit += 2 * b.took[test]
	}
	if c.alone {
		return l.try(ctx, c.change, only(tests...), limit)
	}
	return l.repeat(ctx, c.directory, b.binary, only(tests...), limit, fmt.Sprint("MUTANT=", c.n))
}
