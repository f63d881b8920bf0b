package lua

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// gopher-lua assigns to local variables one after the other. Lua first evaluates
// the whole right side. After a, b = b, a both variables are the same in gopher-lua
// (its issue 440), and LuaSocket's own files fail. So Load changes the syntax tree
// before it compiles: such a statement first stores its values in new variables. Load
// also completes for loops: see complete.

// Load compiles a chunk, as LState.Load does. Unlike that, an assignment to several
// variables may use them on its right side, as in a, b = b, a, and a for loop may give
// fewer than three values, as in "for k, v in next, t do". In a state that
// Preload has prepared, require, load, loadstring, loadfile and dofile use Load.
func Load(L *glua.LState, r io.Reader, name string) (*glua.LFunction, error) {
	source, err := io.ReadAll(r)
	if err != nil {
		return nil, &glua.ApiError{Type: glua.ApiErrorFile, Object: glua.LString(err.Error()), Cause: err}
	}
	chunk, err := parse.Parse(bytes.NewReader(source), name)
	if err != nil {
		lines := 1 + bytes.Count(source, []byte("\n"))
		return nil, syntaxError(syntaxMessage(err, name, lines), err)
	}
	repair(reflect.ValueOf(chunk))
	proto, err := glua.Compile(chunk, name)
	if err != nil {
		return nil, syntaxError(err.Error(), err)
	}
	return L.NewFunctionFromProto(proto), nil
}

func syntaxError(text string, err error) error {
	return &glua.ApiError{Type: glua.ApiErrorSyntax, Object: glua.LString(text), Cause: err}
}

// LoadFile compiles a file as Load does. It skips a first line that begins with "#".
func LoadFile(L *glua.LState, path string) (*glua.LFunction, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &glua.ApiError{Type: glua.ApiErrorFile, Object: glua.LString(err.Error()), Cause: err}
	}
	defer f.Close()
	r := bufio.NewReader(f)
	first, err := r.Peek(1)
	if err != nil && err != io.EOF { // for example, of a directory: the parser would report a syntax error
		return nil, &glua.ApiError{Type: glua.ApiErrorFile, Object: glua.LString(err.Error()), Cause: err}
	}
	if err == nil && first[0] == '#' {
		if _, err := r.ReadString('\n'); err == nil {
			return Load(L, io.MultiReader(strings.NewReader("\n"), r), path) // the newline keeps the line numbers right
		}
	}
	return Load(L, r, path)
}

// repair rewrites the statements of a tree, at all depths.
func repair(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			repair(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			repair(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			repair(v.Index(i))
			switch stmt := v.Index(i).Interface().(type) {
			case *ast.AssignStmt:
				if entangled(stmt) {
					v.Index(i).Set(reflect.ValueOf(untangled(stmt)))
				}
			case *ast.GenericForStmt:
				complete(stmt)
			}
		}
	}
}

// complete gives a for loop the three values that it needs: the iterator, its state and
// the first key. gopher-lua leaves what an earlier expression wrote in the places of
// missing values, so that a loop over next, t skips elements.
func complete(loop *ast.GenericForStmt) {
	const needed = 3
	if severalValues(loop.Exprs[len(loop.Exprs)-1]) {
		for len(loop.Names) < len(loop.Exprs) { // gopher-lua completes the values of a last call only then
			loop.Names = append(loop.Names, "(for more)")
		}
		return
	}
	for len(loop.Exprs) < needed {
		loop.Exprs = append(loop.Exprs, placed(&ast.NilExpr{}, loop))
	}
}

// severalValues reports whether an expression may have any number of values.
func severalValues(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		return !e.AdjustRet
	case *ast.Comma3Expr:
		return !e.AdjustRet
	}
	return false
}

// entangled reports whether a statement assigns to a variable that it also
// uses.
func entangled(stmt *ast.AssignStmt) bool {
	if len(stmt.Lhs) < 2 {
		return false
	}
	var assigned []string
	var used []ast.Expr
	for _, e := range stmt.Lhs {
		if name, ok := e.(*ast.IdentExpr); ok {
			assigned = append(assigned, name.Value)
		} else {
			used = append(used, e)
		}
	}
	return len(assigned) > 0 && mentions(reflect.ValueOf(append(used, stmt.Rhs...)), assigned)
}

// mentions reports whether one of the names occurs in an expression.
func mentions(v reflect.Value, names []string) bool {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return false
		}
		if name, ok := v.Interface().(*ast.IdentExpr); ok {
			return slices.Contains(names, name.Value)
		}
		return mentions(v.Elem(), names)
	case reflect.Struct:
		for i := range v.NumField() {
			if mentions(v.Field(i), names) {
				return true
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if mentions(v.Index(i), names) {
				return true
			}
		}
	}
	return false
}

// untangled returns the statement in a form that uses new variables: first for the
// tables and keys on the left, then for the values.
func untangled(stmt *ast.AssignStmt) ast.Stmt {
	var temps temporaries
	values := &ast.LocalAssignStmt{Exprs: stmt.Rhs}
	assign := &ast.AssignStmt{}
	for _, e := range stmt.Lhs {
		if at, ok := e.(*ast.AttrGetExpr); ok {
			at.Object = temps.hold(at.Object)
			if _, constant := at.Key.(ast.ConstExpr); !constant {
				at.Key = temps.hold(at.Key)
			}
		}
		name := temps.name()
		values.Names = append(values.Names, name)
		assign.Lhs = append(assign.Lhs, e)
		assign.Rhs = append(assign.Rhs, placed(&ast.IdentExpr{Value: name}, stmt))
	}
	block := &ast.DoBlockStmt{Stmts: append(temps.stmts, placed(values, stmt), placed(assign, stmt))}
	return placed(block, stmt)
}

// temporaries makes variables with names that no script can have.
type temporaries struct {
	stmts []ast.Stmt
	count int
}

func (t *temporaries) name() string {
	t.count++
	return "(assignment " + strconv.Itoa(t.count) + ")"
}

// hold puts an expression into a variable.
func (t *temporaries) hold(e ast.Expr) ast.Expr {
	name := t.name()
	t.stmts = append(t.stmts, placed(&ast.LocalAssignStmt{Names: []string{name}, Exprs: []ast.Expr{e}}, e))
	return placed(&ast.IdentExpr{Value: name}, e)
}

// placed sets the line numbers of a node to those of another node.
func placed[T ast.PositionHolder](node T, at ast.PositionHolder) T {
	node.SetLine(at.Line())
	node.SetLastLine(at.LastLine())
	return node
}

// installLoaders makes require and the functions that load chunks use Load.
func installLoaders(L *glua.LState, library *glua.LTable) {
	for name, f := range map[string]glua.LGFunction{
		"dofile":     doFile,
		"load":       loadPieces,
		"loadfile":   loadFile,
		"loadstring": loadString,
	} {
		if L.GetGlobal(name) != glua.LNil {
			L.SetGlobal(name, L.NewFunction(f))
		}
	}
	const ofFiles = 2 // the first loader reads package.preload
	if loaders, ok := library.RawGetString("loaders").(*glua.LTable); ok && loaders.Len() >= ofFiles {
		loaders.RawSetInt(ofFiles, L.NewFunction(findModule))
	}
}

// findModule loads a module for require from the files of package.path.
func findModule(L *glua.LState) int {
	name := strings.ReplaceAll(L.CheckString(1), ".", "/")
	path, ok := L.GetField(L.GetGlobal("package"), "path").(glua.LString)
	if !ok {
		L.RaiseError("package.path must be a string")
	}
	var tried strings.Builder
	for pattern := range strings.SplitSeq(string(path), ";") {
		file := strings.ReplaceAll(pattern, "?", name)
		if _, err := os.Stat(file); err != nil {
			tried.WriteString("\n\tno file '" + file + "'")
			continue
		}
		f, err := LoadFile(L, file)
		if err != nil {
			L.RaiseError("%s", err.Error())
		}
		L.Push(f)
		return 1
	}
	L.Push(glua.LString(strings.TrimPrefix(tried.String(), "\n\t")))
	return 1
}

func loadString(L *glua.LState) int {
	text := L.CheckString(1)
	f, err := Load(L, strings.NewReader(text), chunkName(optString(L, 2, text)))
	return loaded(L, f, err)
}

func loadFile(L *glua.LState) int {
	f, err := fileArgument(L)
	return loaded(L, f, err)
}

// fileArgument loads the file that the first argument names. Without an argument it
// loads the standard input.
func fileArgument(L *glua.LState) (*glua.LFunction, error) {
	if L.GetTop() == 0 {
		return Load(L, os.Stdin, "<stdin>")
	}
	return LoadFile(L, L.CheckString(1))
}

// loadPieces is load(function [, name]). The function returns the pieces of the
// chunk, and nil or an empty string at the end.
func loadPieces(L *glua.LState) int {
	next := L.CheckFunction(1)
	name := chunkName(optString(L, 2, "=(load)"))
	var text strings.Builder
	for {
		L.Push(next)
		L.Call(0, 1)
		piece := L.Get(-1)
		L.Pop(1)
		if piece == glua.LNil || piece.String() == "" {
			break
		}
		if !glua.LVCanConvToString(piece) {
			return fail(L, "reader function must return a string")
		}
		text.WriteString(piece.String())
	}
	f, err := Load(L, strings.NewReader(text.String()), name)
	return loaded(L, f, err)
}

func loaded(L *glua.LState, f *glua.LFunction, err error) int {
	if err != nil {
		return fail(L, err.Error())
	}
	L.Push(f)
	return 1
}

func doFile(L *glua.LState) int {
	f, err := fileArgument(L)
	if err != nil {
		L.RaiseError("%s", err.Error())
	}
	top := L.GetTop()
	L.Push(f)
	L.Call(0, glua.MultRet)
	return L.GetTop() - top
}
