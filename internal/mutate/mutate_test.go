//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	grace = 2 * time.Second
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
			t.Skipf("skipped: git does not work: %v: %s", err, out)
		}
	}
	require.NoError(t, os.WriteFile("sample/sample.go", []byte(strings.Replace(sample, "n > 3", "n > 2", 1)), 0o600))
	for line := range strings.Lines(list("-changed", "HEAD")) {
		require.True(t, strings.Contains(line, "possible changes") || strings.HasPrefix(line, "sample/sample.go:4:"), line)
	}
}

// tryTests tries the change of Untested with other tests.
func tryTests(t *testing.T, tests string) (v verdict, by string) {
	t.Helper()
	module(t)
	require.NoError(t, os.WriteFile("sample/sample_test.go", []byte(tests), 0o600))
	l := newLab(t.TempDir(), false)
	by, err := l.measure(t.Context(), "sample")
	require.NoError(t, err, by)
	all, err := changes("sample", "sample/sample.go")
	require.NoError(t, err)
	for _, c := range all {
		if c.kind == "the opposite of" {
			return l.try(t.Context(), c)
		}
	}
	t.Fatal("there is no such change")
	return
}

// A test that does not end counts as one that fails, when its time is up.
func TestHangIsNoticed(t *testing.T) {
	v, by := tryTests(t, strings.Replace(sampleTest, "for n, want", "for !Untested(0) {\n\t}\n\tfor n, want", 1))
	require.Equal(t, noticed, v)
	require.Equal(t, "TestTested, a hang", by)
}

// A test that fails by chance passes alone, and does not count. The tests behind it do.
func TestFailureByChance(t *testing.T) {
	const chance = `package sample

import (
	"os"
	"testing"
)

func TestByChance(t *testing.T) {
	if !Untested(0) && os.Mkdir("failed", 0o700) == nil {
		t.Fatal("once")
	}
}

func TestBehind(t *testing.T) {
	if REPLACE {
		t.Fatal()
	}
}
`
	v, by := tryTests(t, strings.Replace(chance, "REPLACE", "Tested(4) != 3", 1))
	require.Equal(t, hole, v, by)
	v, by = tryTests(t, strings.Replace(chance, "REPLACE", "!Untested(0)", 1))
	require.Equal(t, noticed, v)
	require.Equal(t, "TestBehind", by)
}

// The tests that most probably notice a change run first, and the slow ones last.
func TestBatches(t *testing.T) {
	using := func(name, file string, uses ...string) *test {
		t := &test{name: name, file: file, uses: map[string]bool{}}
		for _, u := range uses {
			t.uses[u] = true
		}
		return t
	}
	long := using("TestLong", "tlsinput_test.go", "decrypt")
	long.took = slow
	all := []*test{
		using("TestOther", "conn_test.go"), long, using("TestTLS", "tls_idle_test.go"),
		using("TestDecrypt", "conn_test.go", "decrypt"), using("TestHot", "conn_test.go"),
	}
	var names []string
	for _, b := range batches(all, change{file: "server/tlsinput.go", function: "Conn.decrypt"}, map[string]bool{"TestHot": true}) {
		for _, t := range b {
			names = append(names, t.name)
		}
		names = append(names, "")
	}
	require.Equal(t, []string{"TestDecrypt", "TestHot", "", "TestTLS", "", "TestOther", "", "TestLong", ""}, names)
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

// On a slow machine the budget may end before the first trial. That is no fault of the tests.
func TestBudgetThatEndsEarly(t *testing.T) {
	module(t)
	var out bytes.Buffer
	holes, err := run(t.Context(), optionsFor(t, "-budget", "1ns"), &out)
	require.NoError(t, err, out.String())
	require.Zero(t, holes)
	require.Contains(t, out.String(), "unfinished")
}
