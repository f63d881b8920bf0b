package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A suite has the changed tests of net.
type suite struct {
	dir     string
	explain bool              // print what is taken out
	lenient bool              // what is taken out needs no entry in the list
	left    map[string]string // for each test or file to leave out, the reason
	leftOut int               // how many tests were left out
	sources map[string][]byte // by the file's name
	fset    *token.FileSet
	imports types.Importer
}

// load reads the tests, and takes out what needs net's own names.
func (s *suite) load() error {
	s.sources = make(map[string][]byte)
	all, err := filepath.Glob(filepath.Join(s.dir, "*_test.go"))
	if err != nil {
		return err
	}
	known := make(map[string]bool)
	for _, path := range all {
		name := filepath.Base(path)
		if ok, err := build.Default.MatchFile(s.dir, name); err != nil || !ok {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		known[name] = true
		for _, test := range testsIn(text) {
			known[test] = true
			if s.left[name] != "" || s.left[test] != "" {
				s.leftOut++
			}
		}
		if s.left[name] == "" {
			s.sources[name] = changed(text)
		}
	}
	for name := range s.left {
		if top, _, _ := strings.Cut(name, "/"); !known[top] {
			fmt.Fprintf(os.Stderr, "stdnet: note: the list has %s, and this Go release has not\n", name)
		}
	}
	if err := s.importer(); err != nil {
		return err
	}
	return s.prune()
}

// testsIn returns the names of the tests in a file.
func testsIn(text []byte) (names []string) {
	f, err := parser.ParseFile(token.NewFileSet(), "", text, 0)
	if err != nil {
		return nil
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && isTest(fn) {
			names = append(names, fn.Name.Name)
		}
	}
	return names
}

func isTest(fn *ast.FuncDecl) bool {
	if fn.Recv != nil || fn.Name.Name == "TestMain" {
		return false
	}
	return strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Example")
}

// changed makes a file of net's tests one of package shim.
func changed(text []byte) []byte {
	if bytes.Contains(text, []byte("\npackage net\n")) {
		text = bytes.Replace(text, []byte("\npackage net\n"), []byte("\npackage shim; import . \""+module+"/net\"\n"), 1)
		text = append(text, "\nvar _ = ErrClosed\n"...)
		if bytes.Contains(text, []byte("\nfunc setupTestData()")) {
			text = append(text, "\nfunc init() { prepare = setupTestData }\n"...)
		}
	} else {
		text = bytes.Replace(text, []byte("\npackage net_test\n"), []byte("\npackage shim_test\n"), 1)
		text = bytes.Replace(text, []byte("\t\"net\"\n"), []byte("\tnet \""+module+"/net\"\n"), 1)
		text = bytes.Replace(text, []byte("\t. \"net\"\n"), []byte("\t. \""+module+"/net\"\n"), 1)
	}
	for _, c := range changes {
		text = c.from.ReplaceAll(text, []byte(c.to))
	}
	return text
}

// changes replace internal packages and unexported methods of the standard library by
// their substitutes in package shim.
var changes = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`\t"internal/testenv"`), "\t\"" + here + "/testenv\""},
	{regexp.MustCompile(`\t"internal/race"`), "\t\"" + module + "/internal/race\""},
	{regexp.MustCompile(`\t"internal/asan"`), "\t\"" + here + "/asan\""},
	{regexp.MustCompile(`\t"internal/syscall/unix"`), "\tunix \"" + here + "/kernel\""},
	{regexp.MustCompile(`func \((\w+) \*(TCPListener|UDPConn)\) port\(\)`), "func _($1 *$2)"},
	{regexp.MustCompile(`(\b\w+(?:\[0\])?(?:\.\(\*\w+\))?)\.port\(\)`), "portOf($1)"},
	{regexp.MustCompile(`isUsingMPTCPProto\(tcp\.fd\)`), "isUsingMPTCPProto(tcp)"},
	{regexp.MustCompile(`func (expectSendfile|forceGoDNS|forceCgoDNS)\(`), "func net_$1("},
	{regexp.MustCompile(`\b(\w+)\.isWildcard\(\)`), "isWildcard($1)"},
	{regexp.MustCompile(`\bfd\.laddr\.\(\*\w+\)\.isWildcard\(\)`), "isWildcard(fd.laddr)"},
	{regexp.MustCompile(`\ba\.family\(\)`), "familyOf(a)"},
	{regexp.MustCompile(`(default:\s+)(return fmt.Errorf\("OpError.Source or Addr is unknown type)`), "${1}if fmt.Sprintf(\"%T\", addr) == \"net.fileAddr\" { continue }; $2"},
	{regexp.MustCompile(`func \(e \*OpError\) isValid\(\)`), "func validOpError(e *OpError)"},
	{regexp.MustCompile(`\berr\.isValid\(\)`), "validOpError(err)"},
	{regexp.MustCompile(`\*poll\.DeadlineExceededError`), "deadlineError"},
	{regexp.MustCompile(`\*timeoutError`), "endedError"},
	{regexp.MustCompile(`\bpoll\.ErrNetClosing\b`), "ErrClosed"},
	{regexp.MustCompile(`\bpoll\.ErrNotPollable\b`), "errNotPollable"},
	{regexp.MustCompile(`\bln\.\(\*(?:TCPListener|UDPConn)\)\.fd\b`), "fdOf(ln)"},
	{regexp.MustCompile(`\bpoll\.ErrFileClosing\b`), "os.ErrClosed"},
	{regexp.MustCompile(`func TestMain\(m \*testing\.M\)`), "func netMain(m *testing.M)"},
}

// importer returns the importer for the packages that the tests import.
func (s *suite) importer() error {
	wanted := map[string]bool{here + "/shim": true}
	for name, text := range s.sources {
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			wanted[path] = true
		}
	}
	args := []string{"list", "-e", "-export", "-deps", "-json=ImportPath,Export"}
	for path := range wanted {
		args = append(args, path)
	}
	slices.Sort(args[5:])
	list := exec.Command("go", args...)
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	exports := make(map[string]string)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export string }
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		exports[p.ImportPath] = p.Export
	}
	s.fset = token.NewFileSet()
	s.imports = importer.ForCompiler(s.fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("%s is not exported", path)
		}
		if strings.HasPrefix(path, "internal/") || strings.Contains(path, "/internal/") && !strings.HasPrefix(path, module) {
			return nil, errors.New("internal")
		}
		return os.Open(exports[path])
	})
	return nil
}

// prune takes out the declarations that do not compile, and those that use them, until
// the rest compiles. A test among them must be in the list of what is left out.
func (s *suite) prune() error {
	var unlisted []string
	for round := 0; ; round++ {
		bad := s.check()
		if len(bad) == 0 {
			break
		}
		if round == 50 {
			return fmt.Errorf("the tests cannot be made to compile: %v", bad)
		}
		for _, d := range bad {
			if s.explain {
				fmt.Fprintf(os.Stderr, "stdnet: %s: %s: %s\n", d.file, d.what, d.why)
			}
			for _, name := range d.tests {
				if s.left[name] == "" {
					unlisted = append(unlisted, fmt.Sprintf("%s: %s: %s", d.file, name, d.why))
				}
			}
			text := s.sources[d.file]
			for i := d.from; i < d.to; i++ {
				if text[i] != '\n' {
					text[i] = ' '
				}
			}
			copy(text[d.from:d.to], d.instead)
		}
	}
	if len(unlisted) > 0 && !s.lenient {
		return fmt.Errorf("these tests do not compile with Weir's net, and the list does not say why:\n%s", strings.Join(unlisted, "\n"))
	}
	return nil
}

// A part is what is taken out of a file.
type part struct {
	file     string
	from, to int
	instead  string
	tests    []string
	what     string // the declaration, for a reader
	why      string // what the compiler says
}

// check returns the parts that do not compile.
func (s *suite) check() (bad []part) {
	fset := token.NewFileSet()
	packages := make(map[string][]*ast.File)
	shim, _ := filepath.Glob("internal/stdnet/shim/*.go")
	for _, path := range shim {
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return []part{{file: path, why: err.Error()}}
		}
		packages[f.Name.Name] = append(packages[f.Name.Name], f)
	}
	files := make(map[string]*ast.File)
	for name, text := range s.sources {
		f, err := parser.ParseFile(fset, name, text, 0)
		if err != nil {
			return []part{{file: name, why: err.Error()}}
		}
		files[name] = f
		packages[f.Name.Name] = append(packages[f.Name.Name], f)
	}
	for name, list := range packages {
		config := types.Config{Importer: s.imports, Error: func(err error) {
			var e types.Error
			if !errors.As(err, &e) {
				return
			}
			at := fset.Position(e.Pos)
			f := files[at.Filename]
			if f == nil {
				fmt.Fprintln(os.Stderr, "stdnet:", e)
				return
			}
			p := enclosing(fset, f, e.Pos)
			p.why = e.Msg
			if !slices.ContainsFunc(bad, func(b part) bool { return b.file == p.file && b.from == p.from }) {
				bad = append(bad, p)
			}
		}}
		_, _ = config.Check(name, fset, list, nil)
	}
	return bad
}

// enclosing returns the declaration around a position, or the specification around it in
// a declaration with several.
func enclosing(fset *token.FileSet, f *ast.File, pos token.Pos) part {
	file := fset.Position(pos).Filename
	at := func(n ast.Node) part {
		return part{file: file, from: fset.Position(n.Pos()).Offset, to: fset.Position(n.End()).Offset}
	}
	for _, d := range f.Decls {
		if pos < d.Pos() || pos > d.End() {
			continue
		}
		switch d := d.(type) {
		case *ast.FuncDecl:
			p := at(d)
			p.what = d.Name.Name
			if isTest(d) {
				p.tests = []string{d.Name.Name}
			}
			return p
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if pos < spec.Pos() || pos > spec.End() {
					continue
				}
				if d.Lparen.IsValid() {
					return at(spec)
				}
			}
			return at(d)
		}
	}
	return part{file: file, from: 0, to: 0}
}
