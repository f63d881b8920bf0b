package lua

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	glua "github.com/yuin/gopher-lua"
)

const patience = weirtest.Patience

func TestMain(m *testing.M) { weirtest.Main(m) }

// A script is a state that has the library, and the text that it has printed.
type script struct {
	*glua.LState
	out bytes.Buffer
}

// newScript makes a state that finds the tests' own modules, and the modules in some
// directories.
func newScript(t *testing.T, paths ...string) *script {
	t.Helper()
	s := &script{LState: glua.NewState(glua.Options{RegistrySize: 256, RegistryMaxSize: 1 << 20, RegistryGrowStep: 1024})}
	t.Cleanup(s.close)
	require.NoError(t, Preload(s.LState))
	paths = append(paths, "testdata/lib/?.lua")
	s.SetField(s.GetGlobal("package"), "path", glua.LString(strings.Join(paths, ";")))
	s.SetGlobal("print", s.NewFunction(func(L *glua.LState) int {
		for i := range L.GetTop() {
			if i > 0 {
				s.out.WriteByte('\t')
			}
			s.out.WriteString(textOf(L, L.Get(i+1)).String())
		}
		s.out.WriteByte('\n')
		return 0
	}))
	return s
}

// close closes the state and its sockets. The collector may run too late for a
// process that may have few descriptors.
func (s *script) close() {
	s.RemoveContext()
	if library, ok := s.GetField(s.GetField(s.GetGlobal("package"), "loaded"), "socket").(*glua.LTable); ok {
		if s.CallByParam(glua.P{Fn: s.GetField(library, "udp"), NRet: 1, Protect: true}) == nil {
			m := s.Get(-1).(*glua.LUserData).Value.(*object).m
			for _, o := range m.fds.objects {
				if o := o.Value(); o != nil {
					o.drop()
				}
			}
		}
	}
	s.Close()
}

// run runs a text, and returns what it printed.
func (s *script) run(t *testing.T, text string) string {
	t.Helper()
	s.out.Reset()
	f, err := Load(s.LState, strings.NewReader(text), "script")
	require.NoError(t, err)
	s.Push(f)
	require.NoError(t, s.PCall(0, 0, nil))
	return s.out.String()
}

// runFile runs a file, and returns what it printed.
func (s *script) runFile(t *testing.T, file string) string {
	t.Helper()
	s.out.Reset()
	f, err := LoadFile(s.LState, file)
	require.NoError(t, err)
	s.Push(f)
	require.NoError(t, s.PCall(0, 0, nil))
	return s.out.String()
}

// tool returns the path of a program that a test needs. If the program is missing,
// it skips the test; where no test may be skipped, it fails the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			require.NoError(t, err)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

// oracle runs a script on LuaSocket in C, with the scripts' own modules on its path.
func oracle(t *testing.T, file string, args ...string) (string, error) {
	t.Helper()
	lua := tool(t, "lua5.4")
	if err := exec.Command(lua, "-e", `require "socket"`).Run(); err != nil {
		if os.Getenv("CI") == "true" {
			require.NoError(t, err, "LuaSocket is not installed")
		}
		t.Skip("LuaSocket (Debian's lua-socket) is not installed")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, lua, append([]string{file}, args...)...)
	cmd.Env = append(os.Environ(), "LUA_PATH=testdata/lib/?.lua;;")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return string(out), err
}

// scripts are the names of the tests' scripts.
func scripts(t *testing.T) (names []string) {
	files, err := filepath.Glob("testdata/*.lua")
	require.NoError(t, err)
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f, ".lua"))
	}
	require.NotEmpty(t, names)
	return names
}

// needs skips the test if the machine cannot run a script.
func needs(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(name + ".lua")
	require.NoError(t, err)
	if ipv6.Match(text) {
		machine.NeedIPv6(t)
	}
	if filepath.Base(name) == "server" { // 200 clients and their servers
		machine.NeedFiles(t, 512)
	}
}

// ipv6 matches the scripts that open sockets of IPv6.
var ipv6 = regexp.MustCompile(`inet6|tcp6|udp6|connect6|"::`)

func pipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { read.Close(); write.Close() })
	return read, write
}
