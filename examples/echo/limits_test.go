package main

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/stretchr/testify/require"
)

// dial connects, and sends a word that is echoed when the connection is served.
func dial(t *testing.T, p *program) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = c.Write([]byte("word"))
	require.NoError(t, err)
	return c
}

func served(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(programtest.Patience)))
	buf := make([]byte, 4)
	n, err := c.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "word", string(buf[:n]))
}

func TestMaxLetsTheRestWait(t *testing.T) {
	p := start(t, "-max", "2")
	first, second, third := dial(t, p), dial(t, p), dial(t, p)
	served(t, first)
	served(t, second)

	// Whoever came third is not served while there are two.
	require.NoError(t, third.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := third.Read(make([]byte, 4))
	require.ErrorContains(t, err, "timeout")

	require.NoError(t, first.Close())
	served(t, third)
	second.Close()
	third.Close()
	p.stop()
}

// Without descriptors the program waits for some, and spends no time on it.
func TestOutOfDescriptors(t *testing.T) {
	limited := programtest.Command()
	limited.Args = []string{"sh", "-c", `ulimit -n 40; exec "$0" -address 127.0.0.1:0`, limited.Path}
	limited.Path = "/bin/sh"
	p := launch(t, limited)
	var clients []net.Conn
	for range 60 {
		clients = append(clients, dial(t, p))
	}
	line := p.Await("accepting slowly")
	require.Contains(t, line, "too many open files")

	// As long as nothing changes it says no more; by then it has tried again
	// several times.
	select {
	case line := <-p.Log:
		require.Fail(t, "it is said twice", line)
	case <-time.After(500 * time.Millisecond):
	}

	// Those that waited are served as the others leave.
	for _, c := range clients {
		served(t, c)
		require.NoError(t, c.Close())
	}
	p.stop()
	state := p.Cmd.ProcessState
	require.Less(t, state.UserTime()+state.SystemTime(), 400*time.Millisecond, "processor time")
}

func TestHelp(t *testing.T) {
	out, err := programtest.Command("--help").Output()
	require.NoError(t, err)
	for _, flag := range []string{"-address", "-timeout", "-max", "-grace"} {
		require.Contains(t, string(out), "\n  "+flag+" ")
	}
}

func TestBadArguments(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want []string // what the message names
	}{
		{"-address 7007", 2, []string{"-address", `"7007"`}},
		{"-address ::1:7007", 2, []string{"-address", `"::1:7007"`}},
		{"-address 127.0.0.1:70000", 2, []string{"-address", `"70000"`, "65535"}},
		{"-address 127.0.0.1:", 2, []string{"-address", `""`}},
		{"-timeout 5", 2, []string{"-timeout", `"5"`}},
		{"-timeout -1s", 2, []string{"-timeout", "-1s"}},
		{"-max 0", 2, []string{"-max", "0"}},
		{"-max many", 2, []string{"-max", `"many"`}},
		{"-grace -1s", 2, []string{"-grace", "-1s"}},
		{"-port 7", 2, []string{"-port", "-help"}},
		{"7007", 2, []string{`"7007"`}},
		{"-address 192.0.2.1:0", 1, []string{"-address", "192.0.2.1:0", "bind"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			out, err := programtest.Command(strings.Fields(c.args)...).CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit)
			require.Equal(t, c.code, exit.ExitCode())
			require.Equal(t, 1, strings.Count(string(out), "\n"), string(out))
			for _, want := range c.want {
				require.Contains(t, string(out), want)
			}
		})
	}
}

func TestAddressInUse(t *testing.T) {
	p := start(t)
	out, err := programtest.Command("-address", p.Addr).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), p.Addr)
	require.Contains(t, string(out), "address already in use")
	p.stop()
}
