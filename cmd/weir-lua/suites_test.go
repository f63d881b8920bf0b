//go:build !race

package main

import (
	"bufio"
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
)

// The tests of this file are left out of race builds, in which the suites take minutes.

// sourcesVariable is the environment variable for the directory that has the sources of
// Debian's Lua packages, each in a directory of its own. .ci/suites fills it.
const sourcesVariable = "WEIR_LUA_SOURCES"

// installed is where Debian puts modules that are written in Lua.
const installed = "/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua"

// suiteOf returns a copy of a directory of the sources. The tests of a suite write files.
func suiteOf(t *testing.T, path string) string {
	t.Helper()
	sources := os.Getenv(sourcesVariable)
	if sources == "" {
		machine.Missing(t, "%s is not set: see .ci/suites", sourcesVariable)
	}
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(sources, path))))
	return dir
}

// An interpreter makes a command that runs a script in a directory.
type interpreter func(ctx context.Context, dir string, args ...string) *exec.Cmd

// both returns Lua 5.1 in C, and weir-lua.
func both(t *testing.T) (c, ours interpreter) {
	t.Helper()
	lua := machine.NeedTool(t, "lua5.1")
	if exec.Command(lua, "-e", `require "socket"`).Run() != nil {
		machine.Missing(t, "LuaSocket is not installed: apt-get install lua-socket")
	}
	shims := absolute(t, "testdata/suites/shims")
	own := "./src/?.lua;" + installed
	c = func(ctx context.Context, dir string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, lua, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "LUA_PATH="+own)
		return cmd
	}
	ours = func(ctx context.Context, dir string, args ...string) *exec.Cmd {
		cmd := weirtest.Command(ctx, args...)
		cmd.Dir, cmd.Env = dir, append(cmd.Env, "LUA_PATH="+shims+"/?.lua;"+own, filesOfProgram+"=1200")
		return cmd
	}
	return c, ours
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	return path
}

// single are the tests of LuaSocket that run alone.
var single = []string{
	"excepttest.lua", "ltn12test.lua", "mimetest.lua", "stufftest.lua", "tcp-getoptions", "test_bind.lua",
	"test_getaddrinfo.lua", "test_socket_error.lua", "udp-zero-length-send", "udp-zero-length-send-recv", "urltest.lua",
}

// leftOut are the other files in the directory of LuaSocket's tests, and why no test runs them
// alone.
var leftOut = map[string]string{
	"testsrvr.lua": "TestServerAndClientOfLuaSocket", "testclnt.lua": "TestServerAndClientOfLuaSocket",
	"utestsrvr.lua": "for LuaSocket 2: fails on C, too", "utestclnt.lua": "for LuaSocket 2: fails on C, too",
	"hello.lua":          "prints the version",
	"testsupport.lua":    "no test: functions of the others",
	"find-connect-limit": "connects to a server in the Internet until it fails",
	"dicttest.lua":       "needs a DICT server",
	"ftptest.lua":        "needs an FTP server with the author's accounts",
	"httptest.lua":       "needs an Apache server with the author's settings",
	"smtptest.lua":       "needs a mail server and the author's mailboxes",
	"testmesg.lua":       "needs a mail server",
	"tftptest.lua":       "needs a TFTP server and socket.tftp",
	"udpconnectclnt.lua": "waits for a person to start its server", "udpconnectsrvr.lua": "sends to fixed ports for a person",
	"unixdgramclnt.lua": "sends lines that a person types", "unixdgramsrvr.lua": "never ends",
	"unixstreamclnt.lua": "sends lines that a person types", "unixstreamsrvr.lua": "never ends",
}

// varying are the parts of the output of a test that differ from one run to the next: addresses
// of objects, ports and times, whether the kernel takes 600,000 bytes before the peer closes, and
// a check of the limit of 1024 descriptors that select has in C alone.
var varying = regexp.MustCompile(`0x[0-9a-f]+|done in .*s|failed: output buffer is at least \d+ bytes long!|graceful 'closed' received after \d+ bytes were sent|(?m)^(too many sockets|unable to create enough|try using ulimit).*\n`)

// passed counts the checks of LuaSocket's tests, which report each by a word.
var passed = regexp.MustCompile(`(?mi)\b(ok|good|good!|passed.*|proper timeout\w*|.* done|.*match\w*|.* are ok)$`)

// Each test of LuaSocket that runs alone prints the same on C and here.
func TestSuiteOfLuaSocket(t *testing.T) {
	c, ours := both(t)
	dir := suiteOf(t, "luasocket/test")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	known := slices.Concat(single, slices.Collect(maps.Keys(leftOut)))
	for _, e := range entries {
		if e.Type().IsRegular() && !slices.Contains([]string{".html", ".png", ""}, filepath.Ext(e.Name())) {
			require.Contains(t, known, e.Name(), "a test that no list names")
		}
	}
	run := absolute(t, "testdata/suites/luasocket.lua")
	for _, file := range single {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(file, "tcp-getoptions") || strings.HasPrefix(file, "test_bind") {
				machine.NeedIPv6(t)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
			defer cancel()
			var texts []string
			for _, lua := range []interpreter{c, ours} {
				out, err := lua(ctx, dir, run, file, "127.0.0.1", "0", "1").CombinedOutput()
				require.NoError(t, err, "%s", out)
				texts = append(texts, varying.ReplaceAllString(string(out), ""))
			}
			require.Equal(t, texts[0], texts[1])
			t.Logf("%d lines as on C", strings.Count(texts[1], "\n"))
		})
	}
}

// LuaSocket's client tests its server. Each pair of C and ours prints the same. A second of the
// test is short at first. If a busy machine is too slow for that, the test runs with longer ones.
func TestServerAndClientOfLuaSocket(t *testing.T) {
	machine.NeedFiles(t, 1200)
	c, ours := both(t)
	dir := suiteOf(t, "luasocket/test")
	interpreters := map[string]interpreter{"C": c, "weir-lua": ours}
	outputs := make(chan string, 4)
	t.Run("pairs", func(t *testing.T) {
		for server := range interpreters {
			for client := range interpreters {
				t.Run(client+" to "+server, func(t *testing.T) {
					t.Parallel()
					outputs <- varying.ReplaceAllString(pairing(t, dir, interpreters, server, client), "")
				})
			}
		}
	})
	close(outputs)
	first := <-outputs
	for out := range outputs {
		require.Equal(t, first, out)
	}
	t.Logf("%d checks in each pair, as on C", len(passed.FindAllString(first, -1)))
}

// pairing returns what a client prints beside a server.
func pairing(t *testing.T, dir string, interpreters map[string]interpreter, server, client string) (out string) {
	var err error
	for _, scale := range []string{"0.2", "0.6", "2"} {
		arguments := func(file, port, name string) []string {
			args := []string{absolute(t, "testdata/suites/luasocket.lua"), file, "127.0.0.1", port, scale}
			if name == "C" {
				args = append(args, "untimed")
			}
			return args
		}
		ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
		defer cancel()
		port, end := serve(t, interpreters[server](ctx, dir, arguments("testsrvr.lua", "0", server)...))
		var text []byte
		text, err = interpreters[client](ctx, dir, arguments("testclnt.lua", port, client)...).CombinedOutput()
		failed := err != nil || bytes.Contains(text, []byte("ERROR"))
		if failed {
			cancel() // the server may wait for ever
		}
		if out = string(text) + end(); !failed {
			return out
		}
		t.Logf("with seconds of %s: %v", scale, err)
	}
	require.Fail(t, "the test fails", "%v: %s", err, out)
	return ""
}

// serve starts a server. It returns the port of the server, and a function that waits for its end
// and returns what it printed about problems.
func serve(t *testing.T, s *exec.Cmd) (port string, end func() string) {
	stdout, err := s.StdoutPipe()
	require.NoError(t, err)
	var problems bytes.Buffer
	s.Stderr = &problems
	require.NoError(t, s.Start())
	lines := bufio.NewScanner(stdout)
	for port == "" && lines.Scan() {
		_, port, _ = strings.Cut(lines.Text(), "port ")
	}
	require.NotEmpty(t, port, "the server ends: %s", &problems)
	return port, func() string {
		for lines.Scan() {
		}
		if s.Wait() == nil {
			return ""
		}
		return problems.String()
	}
}

// testLine is the result of a test that busted ran.
var testLine = regexp.MustCompile(`(?m)^(not )?ok \d+ - .*$`)

// The suites of busted's libraries have the same results on C and here. They test the language:
// metatables, error levels, weak tables, iteration and patterns.
func TestSuitesOfLibraries(t *testing.T) {
	c, ours := both(t)
	if _, err := os.Stat("/usr/share/lua/5.1/busted/runner.lua"); err != nil {
		machine.Missing(t, "busted is not installed: apt-get install lua-busted")
	}
	run := absolute(t, "testdata/suites/busted.lua")
	for name, helper := range map[string]string{
		"lua-binaryheap": "", "lua-luassert": "spec/helper.lua", "lua-mediator": "", "lua-say": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := suiteOf(t, name)
			args := []string{run, "-o", "TAP", "-p", "_spec", "spec"}
			if helper != "" {
				args = append(args, "--helper="+helper)
			}
			os.Remove(filepath.Join(dir, ".busted")) // it asks for a measurement of the coverage
			ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
			defer cancel()
			var results [][]string
			for _, lua := range []interpreter{c, ours} {
				out, _ := lua(ctx, dir, args...).CombinedOutput()
				lines := testLine.FindAllString(string(out), -1)
				require.NotEmpty(t, lines, "%s", out)
				results = append(results, lines)
			}
			require.Equal(t, results[0], results[1])
			t.Logf("%d tests, as on C", len(results[1]))
		})
	}
}

// The tests of coxpcall have the same result on C and here: protected calls in coroutines.
func TestSuiteOfCoxpcall(t *testing.T) {
	c, ours := both(t)
	dir := suiteOf(t, "lua-coxpcall")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var texts []string
	for _, lua := range []interpreter{c, ours} {
		out, err := lua(ctx, filepath.Join(dir, "tests"), "test.lua").CombinedOutput()
		require.NoError(t, err, "%s", out)
		texts = append(texts, string(out))
	}
	require.Equal(t, texts[0], texts[1])
	t.Logf("%s checks, as on C", strings.TrimSpace(strings.TrimPrefix(texts[1], "OK")))
}
