// Package docs tests the documents of the repository: what they name exists, and the
// Go code in them compiles.
package docs

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/seed-2334f180/weir"

// root is the directory of the repository.
const root = ".."

// names has what the Go files of the repository declare: Name, package.Name,
// Type.member, package.Type.member.
type names struct {
	declared map[string]bool
	embedded map[string][]string // of a type: the names of its embedded types
}

func (n *names) add(pkg string, parts ...string) {
	name := strings.Join(parts, ".")
	n.declared[name] = true
	n.declared[pkg+"."+name] = true
}

// has reports whether a name exists. A member may come from an embedded type.
func (n *names) has(name string) bool {
	if n.declared[name] {
		return true
	}
	parts := strings.Split(name, ".")
	if len(parts) < 2 {
		return false
	}
	owner, member := parts[len(parts)-2], parts[len(parts)-1]
	return slices.ContainsFunc(n.embedded[owner], func(t string) bool { return n.has(t + "." + member) })
}

// declarations reads all Go files.
func declarations(t *testing.T) *names {
	n := &names{map[string]bool{}, map[string][]string{}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != root):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		n.read(file)
		return nil
	})
	require.NoError(t, err)
	return n
}

func (n *names) read(file *ast.File) {
	pkg := file.Name.Name
	n.declared[pkg] = true
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				n.add(pkg, d.Name.Name)
			} else {
				n.add(pkg, baseName(d.Recv.List[0].Type), d.Name.Name)
				n.add(pkg, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.ValueSpec:
					for _, name := range s.Names {
						n.add(pkg, name.Name)
					}
				case *ast.TypeSpec:
					n.readType(pkg, s)
				}
			}
		}
	}
}

func (n *names) readType(pkg string, s *ast.TypeSpec) {
	owner := s.Name.Name
	n.add(pkg, owner)
	var members *ast.FieldList
	switch t := s.Type.(type) {
	case *ast.StructType:
		members = t.Fields
	case *ast.InterfaceType:
		members = t.Methods
	default:
		return
	}
	for _, f := range members.List {
		if len(f.Names) == 0 {
			n.embedded[owner] = append(n.embedded[owner], baseName(f.Type))
		}
		for _, name := range f.Names {
			n.add(pkg, owner, name.Name)
			n.add(pkg, name.Name)
		}
	}
}

// baseName returns the name of a type without its package, pointer and parameters.
func baseName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return baseName(e.X)
	case *ast.IndexExpr:
		return baseName(e.X)
	case *ast.IndexListExpr:
		return baseName(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

var (
	inCode     = regexp.MustCompile("`([^`\n]+)`")
	chains     = regexp.MustCompile("(?s)```text\n(.*?)```")
	goBlocks   = regexp.MustCompile("(?s)```go\n(.*?)```")
	identifier = regexp.MustCompile(`^[A-Za-z]\w*(\.[A-Za-z]\w*)*$`)
	pathOfFile = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)+/?$|^[A-Z]+\.md$`)
	links      = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
)

// elsewhere lists names in code letters that are not declared here, by document.
var elsewhere = []string{"runtime.KeepAlive", "nc", "net.Conn", "net.Listener", "weak.Pointer", "select", "getfd"}

// The files and the names that architecture.md and embedding.md name exist.
func TestDocumentsNameWhatThereIs(t *testing.T) {
	known := declarations(t)
	for _, name := range []string{"docs/architecture.md", "docs/embedding.md"} {
		t.Run(name, func(t *testing.T) { checkNames(t, known, document(t, name)) })
	}
}

func checkNames(t *testing.T, known *names, text string) {
	var words []string
	for _, m := range inCode.FindAllStringSubmatch(text, -1) {
		words = append(words, m[1])
	}
	for _, m := range chains.FindAllStringSubmatch(text, -1) {
		for _, w := range strings.FieldsFunc(m[1], func(r rune) bool { return r == '→' || r == '\n' }) {
			words = append(words, strings.TrimSpace(w))
		}
	}
	for _, w := range words {
		switch {
		case slices.Contains(elsewhere, w):
		case pathOfFile.MatchString(w):
			_, err := os.Stat(filepath.Join(root, w))
			if os.IsNotExist(err) && !strings.Contains(w, ".") {
				continue // it may be a part of a path, or an import
			}
			require.NoError(t, err)
		case identifier.MatchString(w):
			if !known.has(w) {
				t.Errorf("%s is named, and no Go file declares it", w)
			}
		}
	}
}

// The links to files of the repository lead to files.
func TestLinksLeadSomewhere(t *testing.T) {
	for _, name := range documents(t) {
		for _, m := range links.FindAllStringSubmatch(document(t, name), -1) {
			_, err := os.Stat(filepath.Join(root, filepath.Dir(name), m[1]))
			require.NoError(t, err, "a link in %s", name)
		}
	}
}

// The Go code in the documents compiles. A block is a file that begins with "package",
// or declarations, or statements. To blocks without a package clause the test adds
// one, and the imports.
func TestCodeCompiles(t *testing.T) {
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	temporary := t.TempDir()
	top, err := filepath.Abs(root)
	require.NoError(t, err)
	var packages []string
	for _, name := range documents(t) {
		for i, m := range goBlocks.FindAllStringSubmatch(document(t, name), -1) {
			dir := fmt.Sprintf("%s_%d", strings.NewReplacer("/", "_", ".", "_").Replace(name), i+1)
			written := filepath.Join(temporary, dir+".go")
			require.NoError(t, os.WriteFile(written, []byte(complete(m[1])), 0o600))
			overlay.Replace[filepath.Join(top, "docs", "code", dir, "main.go")] = written
			packages = append(packages, "./docs/code/"+dir)
		}
	}
	list, err := json.Marshal(overlay)
	require.NoError(t, err)
	file := filepath.Join(temporary, "overlay.json")
	require.NoError(t, os.WriteFile(file, list, 0o600))
	build := exec.Command("go", append([]string{"build", "-overlay", file}, packages...)...)
	build.Dir = top
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// complete makes a Go file of a block. No package is main, because a build links
// those.
func complete(block string) string {
	if strings.HasPrefix(block, "package ") {
		return strings.Replace(block, "package main", "package code", 1)
	}
	if strings.HasPrefix(block, "import ") { // the import alone, which the compiler wants to be used
		return "package code\n\n" + strings.ReplaceAll(block, "import \"", "import _ \"")
	}
	return withImports(block)
}

// programOf makes the file of a program of declarations.
func programOf(declarations string) string {
	return strings.Replace(withImports(declarations), "package code", "package main", 1)
}

// withImports makes a Go file of declarations or statements.
func withImports(block string) string {
	imports := map[string]string{
		"bufio": "bufio", "bytes": "bytes", "context": "context", "fmt": "fmt", "http": "net/http", "io": "io", "log": "log", "os": "os",
		"time": "time", "tls": "crypto/tls", "unix": "golang.org/x/sys/unix", "errors": "errors", "binary": "encoding/binary",
		"exec": "os/exec", "signal": "os/signal", "slices": "slices", "strings": "strings",
		"weir": module, "loop": module + "/loop", "net": module + "/net", "poller": module + "/poller",
		"builtins": module + "/interp/builtins", "server": module + "/server", "socket": module + "/socket", "timers": module + "/timers",
		"simnet": module + "/simnet", "synctest": "testing/synctest", "testing": "testing",
	}
	var b strings.Builder
	b.WriteString("package code\n\nimport (\n")
	for name, path := range imports {
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(block) {
			fmt.Fprintf(&b, "\t%s %q\n", name, path)
		}
	}
	b.WriteString(")\n\n")
	if regexp.MustCompile(`(?m)^(func|type|var|const) `).MatchString(block) {
		return b.String() + block
	}
	return b.String() + "func run() {\n" + block + "}\n"
}

// documents lists the Markdown files, except those that are written by programs.
func documents(t *testing.T) (all []string) {
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, path := range found {
			name, err := filepath.Rel(root, path)
			require.NoError(t, err)
			all = append(all, filepath.ToSlash(name))
		}
	}
	return all
}

func document(t *testing.T, name string) string {
	text, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(text)
}
