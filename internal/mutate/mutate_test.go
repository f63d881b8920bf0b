//go:build linux

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
)

// sample is a package whose tests notice the changes of one function, and not those of
// the other.
const sample = `package sample

func Tested(n int) int {
	if n > 3 {
		n = 3
	}
	return n
}

func Untested(n int) bool {
	return true
}
`

const sampleTest = `package sample

import "testing"

func TestTested(t *testing.T) {
	for n, want := range map[int]int{2: 2, 3: 3, 4: 3, 9: 3} {
		if Tested(n) != want {
			t.Fatal(n)
		}
	}
}
`

// module makes a module with the package, and makes it the current directory.
func module(t *testing.T) {
	t.Helper()
	before := grace
	grace = 5 * time.Second
	t.Cleanup(func() { grace = before })
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sample"), 0o700))
	for name, text := range map[string]string{
		"go.mod": "module example.org/m\n\ngo 1.26\n", "sample/sample.go": sample, "sample/sample_test.go": sampleTest,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	t.Chdir(dir)
}

func optionsFor(t *testing.T, args ...string) options {
	t.Helper()
	o, err := parse(append([]string{"-packages", "sample", "-n", "0", "-harmless", "none.txt"}, args...))
	require.NoError(t, err)
	return o
}

// The run finds the function that no test calls, and no hole in the other.
func TestRunFindsHoles(t *testing.T) {
	module(t)
	var out bytes.Buffer
	holes, err := run(t.Context(), optionsFor(t, "-budget", "10m"), &out)
	require.NoError(t, err)
	text := out.String()
	require.Positive(t, holes, text)
	equivalent := 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "HOLE") {
			continue
		}
		if strings.Contains(line, "Tested: swap >") && !strings.Contains(line, "Untested") {
			equivalent++ // 3 becomes 3 either way
			continue
		}
		require.Contains(t, line, "Untested", text)
	}
	require.Equal(t, 1, equivalent, text)
	require.Contains(t, text, "noticed        sample/sample.go:4: Tested: not `n > 3` by TestTested", text)

	// A change that is listed as harmless is no hole.
	require.NoError(t, os.WriteFile("h.txt", []byte("# a comment\n\nsample/sample.go Untested the opposite of `true` # nobody looks\n"), 0o600))
	out.Reset()
	fewer, err := run(t.Context(), optionsFor(t, "-harmless", "h.txt", "-match", "sample/sample.go:11"), &out)
	require.NoError(t, err)
	require.Zero(t, fewer, out.String())
	require.Contains(t, out.String(), "1 without effect")
}

// A seed gives the same sample always. Only lines that differ from a revision are changed.
func TestSample(t *testing.T) {
	module(t)
	list := func(args ...string) string {
		var out bytes.Buffer
		_, err := run(t.Context(), optionsFor(t, append(args, "-list")...), &out)
		require.NoError(t, err)
		return out.String()
	}
	require.Equal(t, list("-seed", "5"), list("-seed", "5"))
	require.NotEqual(t, list("-seed", "5"), list("-seed", "6"))

	for _, args := range [][]string{
		{"init", "-q"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "x"},
	} {
		out, err := exec.Command("git", args...).CombinedOutput()
		if err != nil {
			machine.Missing(t, "git does not work: %v: %s", err, out)
		}
	}
	require.NoError(t, os.WriteFile("sample/sample.go", []byte(strings.Replace(sample, "n > 3", "n > 2", 1)), 0o600))
	for line := range strings.Lines(list("-changed", "HEAD")) {
		require.True(t, strings.Contains(line, "possible changes") || strings.HasPrefix(line, "sample/sample.go:4:"), line)
	}
}

// A test that does not end counts as one that fails, when its time is up.
func TestHangIsNoticed(t *testing.T) {
	module(t)
	l := &lab{work: t.TempDir()}
	require.NoError(t, os.WriteFile("sample/sample_test.go", []byte(strings.Replace(sampleTest, "for n, want", "for !Untested(0) {\n\t}\n\tfor n, want", 1)), 0o600))
	all, err := changes("sample", "sample/sample.go")
	require.NoError(t, err)
	for _, c := range all {
		if c.kind == "the opposite of" {
			v, by := l.try(t.Context(), c, "", grace)
			require.Equal(t, noticed, v)
			require.Contains(t, by, "a hang")
			return
		}
	}
	t.Fatal("there is no such change")
}

func TestBadOptions(t *testing.T) {
	for _, args := range [][]string{{"-n", "-1"}, {"-workers", "0"}, {"-budget", "-1s"}, {"extra"}} {
		_, err := parse(args)
		require.Error(t, err, args)
	}
	module(t)
	require.NoError(t, os.WriteFile("bad.txt", []byte("no reason\n"), 0o600))
	_, err := readHarmless("bad.txt")
	require.ErrorContains(t, err, "bad.txt:1")
}

// A listed change of code that is gone is an error, and so is one that is listed twice.
func TestStaleHarmless(t *testing.T) {
	module(t)
	const right = "sample/sample.go Untested the opposite of `true` # nobody looks\n"
	for text, want := range map[string]string{
		right: "",
		right + "\nsample/sample.go Untested the opposite of `false` # gone\n": "h.txt:3: the code does not have",
		"sample/gone.go Untested the opposite of `true` # gone\n":              "h.txt:1: the code does not have",
		right + right: "h.txt:2: line 1 lists the change, too",
		"sample/sample.go Tested one more than `3` # either of two\n": `h.txt:1: the code has several such changes: say which of them, such as ", 2 of 2"`,
	} {
		require.NoError(t, os.WriteFile("h.txt", []byte(text), 0o600))
		_, err := run(t.Context(), optionsFor(t, "-harmless", "h.txt", "-list"), io.Discard)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, want)
	}
}

// The list of the repository is about the code of the repository.
func TestHarmlessIsUpToDate(t *testing.T) {
	t.Chdir("../..")
	_, err := readHarmless("internal/mutate/harmless.txt")
	require.NoError(t, err)
}

// On a slow machine the budget may end before the first trial. That is no fault of the tests.
func TestBudgetThatEndsEarly(t *testing.T) {
	module(t)
	var out bytes.Buffer
	holes, err := run(t.Context(), optionsFor(t, "-budget", "1ns"), &out)
	require.NoError(t, err, out.String())
	require.Zero(t, holes)
	require.Contains(t, out.String(), "unfinished")
}
