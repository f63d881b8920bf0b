package docs

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The phrases of the documentation for what may call a method, and from where.
const (
	safe          = "It is concurrency-safe"
	oneAtATime    = "It is for one goroutine at a time"
	loopAlone     = "Only the loop may call it"
	callbackAlone = "Only the connection's callbacks may call it"
	turnAlone     = "Only the call that has the turn may call it"
)

// otherWords say the same as the phrases. A reader would look for a difference.
var otherWords = regexp.MustCompile(`(?i)\bany goroutine|several goroutines may|thread-safe|goroutine-safe|concurrent(ly)? use|safe for concurrent|call it on the loop`)

// restricted lists methods that may not be called at any time, and the phrase that must
// say so. All other methods are as the documentation of their type says.
var restricted = map[string]string{
	"loop.Loop.Now": loopAlone, "loop.Handled.ExpireAt": loopAlone,
	"loop.Gate.Wake": safe, "loop.Gate.Interrupt": safe,
	"loop.Blocking.Wait": turnAlone, "loop.Blocking.WaitAtMost": turnAlone, "loop.Blocking.Pause": turnAlone,
	"loop.Blocking.Await": turnAlone, "loop.Blocking.Repeat": turnAlone, "loop.Blocking.Receive": turnAlone, "loop.Blocking.End": turnAlone,
	"net.Dialer.SetMultipathTCP": oneAtATime, "net.ListenConfig.SetMultipathTCP": oneAtATime,
	"net.UnixListener.SetUnlinkOnClose": oneAtATime,
	"server.Conn.Buffered":              callbackAlone, "server.Conn.Peek": callbackAlone, "server.Conn.Next": callbackAlone,
	"server.Conn.Discard": callbackAlone, "server.Conn.Read": callbackAlone,
	"server.Conn.SetTimeouts": callbackAlone, "server.Conn.Detach": callbackAlone,
	"server.PacketConn.Send": loopAlone, "server.PacketConn.SendTo": loopAlone, "server.PacketConn.SendFrom": loopAlone,
	"server.PacketConn.AskedAddr": loopAlone,
}

// packageDoc reads the documentation of a package of the repository.
func packageDoc(t *testing.T, dir string) (*doc.Package, *token.FileSet) {
	fset := token.NewFileSet()
	var files []*ast.File
	paths, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	require.NoError(t, err)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		require.NoError(t, err)
		if file.Name.Name != "weir" && file.Name.Name != dir {
			continue // for other systems
		}
		files = append(files, file)
	}
	require.NotEmpty(t, files)
	p, err := doc.NewFromFiles(fset, files, module+"/"+dir)
	require.NoError(t, err)
	return p, fset
}

// flat returns a text with single spaces, so that a phrase may be on two lines.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }

// changes reports whether a type has state that its methods may change: then its
// documentation must say what may call them. An error does not change.
func changes(typ *doc.Type) bool {
	byPointer := false
	for _, m := range typ.Methods {
		if m.Name == "Error" {
			return false
		}
		byPointer = byPointer || strings.HasPrefix(m.Recv, "*")
	}
	return byPointer
}

// The documentation says by fixed phrases from where a method may be called: each type
// for all its methods, and a method that differs for itself.
func TestDocumentationSaysWhatIsConcurrencySafe(t *testing.T) {
	left := maps.Clone(restricted)
	for _, dir := range []string{".", "loop", "socket", "server", "net", "poller", "timers", "debug", "metrics"} {
		p, _ := packageDoc(t, dir)
		if len(p.Funcs) > 0 {
			require.Contains(t, flat(p.Doc), "All functions are concurrency-safe.", "the documentation of package %s", p.Name)
		}
		for _, typ := range p.Types {
			name := p.Name + "." + typ.Name
			text := flat(typ.Doc)
			if changes(typ) {
				assert.Equal(t, 1, strings.Count(text, safe)+strings.Count(text, oneAtATime),
					"the documentation of %s says one of %q and %q, once", name, safe, oneAtATime)
			}
			assert.Empty(t, otherWords.FindString(text), "the documentation of %s uses one of the fixed phrases", name)
			for _, m := range typ.Methods {
				method := name + "." + m.Name
				text := flat(m.Doc)
				assert.Empty(t, otherWords.FindString(text), "the documentation of %s uses one of the fixed phrases", method)
				want := restricted[method]
				for _, phrase := range []string{safe, oneAtATime, loopAlone, callbackAlone, turnAlone} {
					assert.Equal(t, phrase == want, strings.Contains(text, phrase), "%s: %q", method, phrase)
				}
				delete(left, method)
			}
		}
	}
	require.Empty(t, left, "these methods do not exist")
}
