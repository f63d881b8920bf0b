//go:build linux

package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
)

// A change is one small edit of one file. It keeps the numbers of the lines.
type change struct {
	directory  string // of the package
	file       string // directory and name
	line       int
	function   string // that holds it; "" outside of functions
	kind       string
	from, with string // the text before and after
	among      string // which one it is, such as ", 2 of 3", if its function has several of the kind and text
	start, end int    // of from, in bytes
	at         place  // where the code can choose between before and after; zero if nowhere
	body       int    // of the function, in bytes; 0 outside of functions
}

// String says where the change is and what it does.
func (c change) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", c.file, c.line, c.function, c.what())
}

// what says what the change does.
func (c change) what() string { return fmt.Sprintf("%s `%s`%s", c.kind, brief(c.from), c.among) }

// key names the change in harmless.txt. It has no line number, so that it stays right
// when other lines change.
func (c change) key() string { return fmt.Sprintf("%s %s %s", c.file, c.function, c.what()) }

// brief returns the text in one line, shortened.
func brief(text string) string {
	const most = 70
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = text[:most] + " …"
	}
	return text
}

// A finder collects the changes that a file allows.
type finder struct {
	source   []byte
	tokens   *token.File
	base     change
	function string
	body     int
	found    []change
	places   []place
}

// changes returns the changes that a file allows.
func changes(directory, file string) ([]change, error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	f := &finder{source: source, tokens: set.File(tree.FileStart), base: change{directory: directory, file: file}}
	for _, d := range tree.Decls {
		f.function, f.body = "", 0
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Body != nil {
				f.function, f.body = nameOf(d), f.tokens.Offset(d.Body.Lbrace)+1
				ast.Inspect(d.Body, f.visit)
			}
		case *ast.GenDecl:
			if d.Tok == token.CONST || d.Tok == token.VAR {
				ast.Inspect(d, f.visit)
			}
		}
	}
	number(f.found)
	for i := range f.found {
		f.found[i].at = smallest(f.places, f.found[i])
	}
	return f.found, nil
}

// number tells changes of a file apart that have one key.
func number(all []change) {
	same := map[string][]int{}
	for i, c := range all {
		same[c.key()] = append(same[c.key()], i)
	}
	for _, list := range same {
		for n, i := range list {
			if len(list) > 1 {
				all[i].among = fmt.Sprintf(", %d of %d", n+1, len(list))
			}
		}
	}
}

// nameOf returns the name of a function, with its type if it is a method.
func nameOf(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "." + d.Name.Name
		default:
			return d.Name.Name
		}
	}
}

// add notes a change of the text from one position to another.
func (f *finder) add(kind string, from, to token.Pos, with func(text string) string) {
	c := f.base
	c.kind, c.function, c.body = kind, f.function, f.body
	c.start, c.end = f.tokens.Offset(from), f.tokens.Offset(to)
	c.line = f.tokens.Line(from)
	c.from = string(f.source[c.start:c.end])
	c.with = with(c.from)
	f.found = append(f.found, c)
}

// swapped has, for an operator, the one that takes its place.
var swapped = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL,
	token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD,
}

// visit notes the changes that one node allows.
func (f *finder) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ImportSpec, *ast.ArrayType:
		return false // constants in types say how large something is
	case *ast.IfStmt:
		f.condition(n.Cond)
	case *ast.ForStmt:
		if n.Cond != nil {
			f.never(n.Cond)
		}
	case *ast.CaseClause:
		f.statements(n.Body)
	case *ast.CommClause:
		f.statements(n.Body)
	case *ast.BlockStmt:
		f.statements(n.List)
	case *ast.BinaryExpr:
		if other, ok := swapped[n.Op]; ok {
			if n.Op != token.ADD && n.Op != token.SUB {
				f.place(n, expression)
			}
			old := n.Op.String()
			f.add("swap "+old+" in", n.Pos(), n.End(), func(s string) string {
				at := f.tokens.Offset(n.OpPos) - f.tokens.Offset(n.Pos())
				return s[:at] + other.String() + s[at+len(old):]
			})
		}
	case *ast.BasicLit:
		if n.Kind == token.INT {
			if v, err := strconv.ParseInt(n.Value, 0, 62); err == nil {
				f.add("one more than", n.Pos(), n.End(), func(string) string { return strconv.FormatInt(v+1, 10) })
			}
		}
	case *ast.ReturnStmt:
		for _, e := range n.Results {
			if x, ok := e.(*ast.Ident); ok && (x.Name == "true" || x.Name == "false") {
				f.add("the opposite of", x.Pos(), x.End(), func(s string) string {
					return strconv.FormatBool(s == "false")
				})
			}
		}
	}
	return true
}

// condition notes the changes of an if's condition. "never" keeps the names in use, so
// that it builds.
func (f *finder) condition(cond ast.Expr) {
	f.add("not", cond.Pos(), cond.End(), func(s string) string { return "!(" + s + ")" })
	f.never(cond)
}

func (f *finder) never(cond ast.Expr) {
	f.place(cond, expression)
	f.add("never", cond.Pos(), cond.End(), func(s string) string { return "(" + s + ") && false" })
}

// statements notes the removal of each statement that can be missing. It stays behind
// an if that is false, so that the names in it are in use.
func (f *finder) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.ReturnStmt:
			if len(s.Results) > 0 {
				f.place(s, result)
				continue
			}
		case *ast.ExprStmt, *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt, *ast.BranchStmt:
		default:
			continue
		}
		f.place(s, statement)
		f.add("without", s.Pos(), s.End(), func(text string) string { return "if false { " + text + " }" })
	}
}
