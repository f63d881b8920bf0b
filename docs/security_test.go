package docs

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// SECURITY.md lists every file, but tests, in which Go does not check the use of memory.
func TestSecurityListsUnsafeFiles(t *testing.T) {
	require.Equal(t, unsafeFiles(t), listedFiles(t, "## Unsafe code"))
}

// The tests that SECURITY.md names for the attacks are in the packages that it names for
// them. A package with /... has them in a folder below.
func TestSecurityNamesTestsThatThereAre(t *testing.T) {
	var pkg string
	tests := 0
	for _, line := range securityTable(t, "## Attacks") {
		for _, word := range inCode.FindAllStringSubmatch(line[len(line)-1], -1) {
			switch name := word[1]; {
			case strings.HasPrefix(name, "./"):
				pkg = strings.TrimPrefix(name, "./")
			case strings.HasPrefix(name, "Test"):
				tests++
				require.True(t, hasTest(t, pkg, name), "%s has no test %s", pkg, name)
			}
		}
	}
	require.NotZero(t, tests)
}

func hasTest(t *testing.T, pkg, name string) bool {
	folder, below := strings.CutSuffix(pkg, "/...")
	pattern := "*_test.go"
	if below {
		pattern = "*/" + pattern
	}
	files, err := filepath.Glob(filepath.Join(root, folder, pattern))
	require.NoError(t, err)
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		return strings.Contains(string(text), "\nfunc "+name+"(")
	})
}

// unsafeFiles returns the files that import unsafe, link to names of another package, or
// are assembly.
func unsafeFiles(t *testing.T) (files []string) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != root {
				return fs.SkipDir
			}
			return nil
		}
		name, _ := filepath.Rel(root, path)
		switch {
		case strings.HasSuffix(name, "_test.go"):
		case filepath.Ext(name) == ".s", filepath.Ext(name) == ".go" && isUnsafe(t, path):
			files = append(files, filepath.ToSlash(name))
		}
		return nil
	})
	require.NoError(t, err)
	slices.Sort(files)
	return files
}

func isUnsafe(t *testing.T, path string) bool {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	for _, i := range file.Imports {
		if i.Path.Value == `"unsafe"` || i.Path.Value == `"C"` {
			return true
		}
	}
	for _, group := range file.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:linkname ") {
				return true
			}
		}
	}
	return false
}

// listedFiles returns what the first column of the table below a heading of SECURITY.md names.
func listedFiles(t *testing.T, heading string) (files []string) {
	for _, line := range securityTable(t, heading) {
		for name := range strings.SplitSeq(line[0], ",") {
			files = append(files, strings.TrimSpace(name))
		}
	}
	slices.Sort(files)
	return files
}

// securityTable returns the cells of the table below a heading of SECURITY.md, without the
// line of the columns' names.
func securityTable(t *testing.T, heading string) (lines [][]string) {
	_, section, found := strings.Cut(document(t, "SECURITY.md"), "\n"+heading)
	require.True(t, found, "SECURITY.md has no section %q", heading)
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "|") && strings.HasSuffix(line, "|") {
			lines = append(lines, strings.Split(strings.Trim(line, "|"), "|"))
		}
	}
	require.Greater(t, len(lines), 2)
	return lines[2:]
}
