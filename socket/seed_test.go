package socket

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// seedMethods has the methods of the class, and read-line of its parent. For each it has
// the method of this package, and an example or a test that calls it.
var seedMethods = []struct {
	name    string
	method  string // a method of *Socket; New is a function
	shownBy string
}{
	{"accept", "Accept", "ExampleSocket_Accept"},
	{"char-in-buffer", "CharInBuffer", "ExampleSocket_CharInBuffer"},
	{"char-in-buffer", "SetCharInBuffer", "ExampleSocket_SetCharInBuffer"},
	{"clear-input", "ClearInput", "ExampleSocket_ClearInput"},
	{"connect", "Connect", "ExampleSocket_Connect"},
	{"constructor", "New", "ExampleNew"},
	{"destructor", "Close", "ExampleSocket_Close"},
	{"eof", "EOF", "ExampleSocket_EOF"},
	{"fread", "Fread", "ExampleSocket_Fread"},
	{"fwrite", "Fwrite", "ExampleSocket_Fwrite"},
	{"getsockopt", "Getsockopt", "ExampleSocket_Getsockopt"},
	{"listen", "Listen", "ExampleSocket_Listen"},
	{"read-char", "ReadRune", "ExampleSocket_ReadRune"},
	{"read-string", "ReadString", "ExampleSocket_ReadString"},
	{"recv", "Recv", "ExampleSocket_Recv"},
	{"recv-from", "RecvFrom", "ExampleSocket_RecvFrom"},
	{"send", "Send", "ExampleSocket_Send"},
	{"send-to", "SendTo", "ExampleSocket_SendTo"},
	{"setsockopt", "Setsockopt", "ExampleSocket_Setsockopt"},
	{"showbin", "Dump", "ExampleSocket_Dump"},
	{"unread-char", "UnreadRune", "ExampleSocket_CharInBuffer"}, // package fmt calls UnreadRune in an example of its own
	{"write-char", "WriteRune", "ExampleSocket_WriteRune"},
	{"write-line", "WriteLine", "ExampleSocket_WriteLine"},
	{"write-string", "WriteString", "ExampleSocket_WriteString"},
	{"read-line", "ReadLine", "ExampleSocket_ReadLine"},
}

// Every method of the class exists and is in the table of the package documentation. An
// example that runs, or a test, calls it.
func TestSeedMethodsAreCovered(t *testing.T) {
	_ = New // the constructor is not a method
	shows := testFunctions(t)
	table := packageDoc(t)
	covered := map[string]bool{}
	for _, m := range seedMethods {
		if m.method != "New" {
			_, ok := reflect.TypeFor[*Socket]().MethodByName(m.method)
			require.True(t, ok, "%s: *Socket has no method %s", m.name, m.method)
		}
		calls, ok := shows[m.shownBy]
		require.True(t, ok, "%s: there is no %s that runs", m.name, m.shownBy)
		require.True(t, calls[m.method], "%s: %s does not call %s", m.name, m.shownBy, m.method)
		require.True(t, table[m.name][m.method], "%s: doc.go does not say that it is %s", m.name, m.method)
		covered[m.name] = true
	}
	require.Len(t, covered, 23+1)
}

// testFunctions returns the tests, and the examples that have an output and so run. For
// each it returns the functions that it calls, itself or in its function literals.
func testFunctions(t *testing.T) map[string]map[string]bool {
	paths, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	found := map[string]map[string]bool{}
	for _, path := range paths {
		file := parse(t, path)
		runs := map[string]bool{}
		for _, e := range doc.Examples(file) {
			runs["Example"+e.Name] = e.Output != "" || e.EmptyOutput
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && (runs[f.Name.Name] || strings.HasPrefix(f.Name.Name, "Test")) {
				found[f.Name.Name] = callsIn(f)
			}
		}
	}
	return found
}

func callsIn(f *ast.FuncDecl) map[string]bool {
	calls := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if s, ok := call.Fun.(*ast.SelectorExpr); ok {
				calls[s.Sel.Name] = true
			}
		}
		return true
	})
	return calls
}

// packageDoc returns the table in the package documentation: for each name of the class,
// the words behind it. The constructor and the destructor have a second line, for the
// names that programs never call.
func packageDoc(t *testing.T) map[string]map[string]bool {
	file := parse(t, "doc.go")
	table := map[string]map[string]bool{}
	var last map[string]bool
	for line := range strings.Lines(file.Doc.Text()) {
		if !strings.HasPrefix(line, "\t") {
			continue
		}
		words := strings.Fields(line)
		if len(words) == 1 {
			table[strings.Trim(words[0], "()")] = last
			continue
		}
		last = map[string]bool{}
		for _, w := range words[1:] {
			last[strings.Trim(w, ",")] = true
		}
		table[words[0]] = last
	}
	return table
}

func parse(t *testing.T, path string) *ast.File {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	require.NoError(t, err)
	return file
}
