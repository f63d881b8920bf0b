package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { weirtest.ProgramMain(m, main) }

// start runs the server for a directory with a page, and a big file.
func start(t *testing.T, args ...string) (p *programtest.Program, big []byte) {
	t.Helper()
	dir := t.TempDir()
	big = make([]byte, 16<<20)
	rand.Read(big)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.html"), []byte("<p>hello"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "big"), big, 0o600))
	for name, target := range map[string]string{"outside": "/etc/passwd", "up": "../../../../etc", "loop": "loop"} {
		require.NoError(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	require.NoError(t, unix.Mknod(filepath.Join(dir, "socket"), unix.S_IFSOCK|0o600, 0))
	p = programtest.Start(t, append([]string{"-address", "127.0.0.1:0", "-root", dir}, args...)...)
	return p, big
}

func curl(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return programtest.Tool(t, "curl", append([]string{"--silent", "--show-error", "--max-time", "60"}, args...)...)
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	require.NoError(t, err, complaint.String())
	return string(out)
}

func TestFiles(t *testing.T) {
	p, big := start(t)
	require.Equal(t, "<p>hello", output(t, curl(t, "http://"+p.Addr+"/")))
	got := output(t, curl(t, "http://"+p.Addr+"/big"))
	require.True(t, string(big) == got, "%d bytes", len(got))
	got = output(t, curl(t, "--range", "5-14", "http://"+p.Addr+"/big"))
	require.Equal(t, string(big[5:15]), got)
	for path, code := range map[string]string{
		"/missing": "404", "/../etc/passwd": "404", "/..%2f..%2fetc/passwd": "404", "/api/none": "404",
		// These files exist, and the server does not serve them.
		"/outside": "403", "/outside/": "403", "/up/passwd": "403", "/loop": "403", "/fifo": "403", "/fifo/": "403", "/socket": "403",
		// Such names cannot exist.
		"/big/x": "404", "/%00": "404", "/big%00": "404", "/" + strings.Repeat("x", 300): "404", "/" + strings.Repeat("x/", 3000): "404",
		"/big%2": "400",
	} {
		got := output(t, curl(t, "--path-as-is", "--location", "--output", "/dev/null", "--write-out", "%{http_code}", "http://"+p.Addr+path))
		require.Equal(t, code, got, path)
	}
	p.Stop()
}

func TestStatus(t *testing.T) {
	p, _ := start(t)
	var status struct {
		Requests int64
		Seconds  float64
	}
	for i := range int64(3) {
		out := output(t, curl(t, "--fail", "http://"+p.Addr+"/api/status"))
		require.NoError(t, json.Unmarshal([]byte(out), &status))
		require.Equal(t, i+1, status.Requests)
		require.Positive(t, status.Seconds)
	}
	p.Stop()
}

func TestEcho(t *testing.T) {
	p, _ := start(t)
	for body, want := range map[string]string{
		`{"a":[1,2,3]}`:                        "200 {\"a\":[1,2,3]}\n",
		`[12345678901234567890, 1e999]`:        "200 [12345678901234567890,1e999]\n",
		`{"a":`:                                "400 {\"error\":",
		`"` + strings.Repeat("x", 2<<20) + `"`: "413 {\"error\":",
	} {
		cmd := curl(t, "--data-binary", "@-", "--header", "Expect:", "--write-out", "%{stderr}%{http_code} ", "http://"+p.Addr+"/api/echo")
		cmd.Stdin = strings.NewReader(body)
		var code, out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &code
		_ = cmd.Run() // curl may complain that the server has not read everything
		require.True(t, strings.HasPrefix(code.String()+out.String(), want), "%s%s", code.String(), out.String())
	}
	require.Equal(t, "405", output(t, curl(t, "--request", "DELETE", "--output", "/dev/null", "--write-out", "%{http_code}", "http://"+p.Addr+"/api/echo")))
	p.Stop()
}

func TestManyClients(t *testing.T) {
	p, _ := start(t)
	out := output(t, curl(t, "--fail", "--parallel", "--parallel-immediate", "--parallel-max", "100", "http://"+p.Addr+"/?[1-500]"))
	require.Equal(t, strings.Repeat("<p>hello", 500), out)
	p.Stop()
}

// Under load no request fails, and the program stops cleanly.
func TestLoad(t *testing.T) {
	p, _ := start(t)
	out := output(t, programtest.Tool(t, "wrk", "-t", "2", "-c", "50", "-d", "1s", "http://"+p.Addr+"/api/status"))
	count := regexp.MustCompile(`(\d+) requests in`).FindStringSubmatch(out)
	require.NotNil(t, count, out)
	n, err := strconv.Atoi(count[1])
	require.NoError(t, err)
	require.Greater(t, n, 50, out)
	require.NotContains(t, out, "Socket errors")
	require.NotContains(t, out, "Non-2xx")
	p.Stop()
}

func TestIdleAndSlowClientsAreCut(t *testing.T) {
	for _, c := range []struct{ flag, send, want string }{
		{"-idle", "GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"},
		{"-header-timeout", "GET / HT", ""},
	} {
		machine.WithTime(t, 200*time.Millisecond, func(limit time.Duration) bool {
			p, _ := start(t, c.flag, limit.String())
			begun := time.Now()
			conn, err := net.Dial("tcp", p.Addr)
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(begun.Add(programtest.Patience)))
			_, sent := io.WriteString(conn, c.send)
			got, err := io.ReadAll(conn)
			if errors.Join(sent, err) != nil || !strings.Contains(string(got), c.want) {
				return false // the machine stood still for longer than the limit
			}
			require.GreaterOrEqual(t, time.Since(begun), limit)
			p.Stop()
			return true
		})
	}
}

// If a file is being sent when the signal comes, the client gets the whole file.
func TestStopEndsRequests(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p, big := start(t, "-grace", "1h")
		conn, err := net.Dial("tcp", p.Addr)
		require.NoError(t, err)
		defer conn.Close()
		fmt.Fprint(conn, "GET /big HTTP/1.0\r\n\r\n")
		head := make([]byte, 100) // the answer has begun, and the buffers cannot hold its end
		_, err = io.ReadFull(conn, head)
		require.NoError(t, err)
		p.Signal(sig)
		p.Await("stopping")
		rest, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.True(t, bytes.HasSuffix(append(head, rest...), big), "%d bytes", len(rest))
		_, err = net.Dial("tcp", p.Addr)
		require.ErrorIs(t, err, unix.ECONNREFUSED)
		state, log := p.Ended()
		require.Zero(t, state.ExitCode(), log)
	}
}

// The program closes a client that does not read when the grace period is over.
func TestStopAfterTheGracePeriod(t *testing.T) {
	const grace = 200 * time.Millisecond
	p, _ := start(t, "-grace", grace.String())
	conn, err := net.Dial("tcp", p.Addr)
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprint(conn, "GET /big HTTP/1.0\r\n\r\n")
	_, err = io.ReadFull(conn, make([]byte, 100))
	require.NoError(t, err)
	begun := time.Now()
	p.Signal(syscall.SIGTERM)
	p.Await("grace period is over")
	require.GreaterOrEqual(t, time.Since(begun), grace)
	state, log := p.Ended()
	require.Zero(t, state.ExitCode(), log)
}

func TestHelp(t *testing.T) {
	programtest.Helps(t, "-address", "-root", "-header-timeout", "-idle", "-grace")
}

func TestBadArguments(t *testing.T) {
	programtest.Refuses(t, []programtest.Refusal{
		{Args: "-address 7", Code: 2, Want: []string{"-address", `"7"`}},
		{Args: "-address x:http", Code: 2, Want: []string{"-address", `"http"`}},
		{Args: "-header-timeout -1s", Code: 2, Want: []string{"-header-timeout", "-1s"}},
		{Args: "-idle -1s", Code: 2, Want: []string{"-idle", "-1s"}},
		{Args: "-grace 5", Code: 2, Want: []string{"-grace", `"5"`}},
		{Args: "more", Code: 2, Want: []string{`"more"`}},
		{Args: "-root /no/such/directory", Code: 1, Want: []string{"-root", "/no/such/directory", "no such file"}},
		{Args: "-address 192.0.2.1:0", Code: 1, Want: []string{"-address", "192.0.2.1:0", "bind"}},
	})
}

func TestHangup(t *testing.T) {
	p, _ := start(t)
	programtest.StopsOnHangup(t, p)
}
