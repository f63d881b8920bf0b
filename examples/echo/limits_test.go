package main

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/stretchr/testify/require"
)

// dial connects and sends a word. The server echoes the word when it serves the
// connection.
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

	// The server does not serve the third connection while there are two.
	require.NoError(t, third.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := third.Read(make([]byte, 4))
	require.ErrorContains(t, err, "timeout")

	require.NoError(t, first.Close())
	served(t, third)
	second.Close()
	third.Close()
	p.stop()
}

// Without descriptors the program waits, and uses no processor time.
func TestOutOfDescriptors(t *testing.T) {
	// The time that a program takes that has enough descriptors.
	ample := launch(t, weirtest.Command(t.Context(), "-address", "127.0.0.1:0"))
	for range 60 {
		c := dial(t, ample)
		served(t, c)
		require.NoError(t, c.Close())
	}
	ample.stop()
	usual := ample.Cmd.ProcessState.UserTime() + ample.Cmd.ProcessState.SystemTime()

	limited := weirtest.Command(t.Context())
	limited.Args = []string{"sh", "-c", `ulimit -n 40; exec "$0" -address 127.0.0.1:0`, limited.Path}
	limited.Path = "/bin/sh"
	p := launch(t, limited)
	var clients []net.Conn
	for range 60 {
		clients = append(clients, dial(t, p))
	}
	line := p.Await("accepting slowly")
	require.Contains(t, line, "too many open files")

	// It logs the error once. By then it has tried again several times.
	select {
	case line := <-p.Log:
		require.Fail(t, "it is said twice", line)
	case <-time.After(500 * time.Millisecond):
	}

	// The server serves the connections that wait as others leave.
	for _, c := range clients {
		served(t, c)
		require.NoError(t, c.Close())
	}
	p.stop()
	state := p.Cmd.ProcessState
	require.Less(t, state.UserTime()+state.SystemTime(), 2*usual+300*time.Millisecond, "processor time")
}

func TestHelp(t *testing.T) {
	programtest.Helps(t, "-address", "-timeout", "-max", "-grace")
}

func TestBadArguments(t *testing.T) {
	programtest.Refuses(t, []programtest.Refusal{
		{Args: "-address 7007", Code: 2, Want: []string{"-address", `"7007"`}},
		{Args: "-address ::1:7007", Code: 2, Want: []string{"-address", `"::1:7007"`}},
		{Args: "-address 127.0.0.1:70000", Code: 2, Want: []string{"-address", `"70000"`, "65535"}},
		{Args: "-address 127.0.0.1:", Code: 2, Want: []string{"-address", `""`}},
		{Args: "-timeout 5", Code: 2, Want: []string{"-timeout", `"5"`}},
		{Args: "-timeout -1s", Code: 2, Want: []string{"-timeout", "-1s"}},
		{Args: "-max 0", Code: 2, Want: []string{"-max", "0"}},
		{Args: "-max many", Code: 2, Want: []string{"-max", `"many"`}},
		{Args: "-grace -1s", Code: 2, Want: []string{"-grace", "-1s"}},
		{Args: "-port 7", Code: 2, Want: []string{"-port", "-help"}},
		{Args: "7007", Code: 2, Want: []string{`"7007"`}},
		{Args: "-address 192.0.2.1:0", Code: 1, Want: []string{"-address", "192.0.2.1:0", "bind"}},
	})
}

func TestAddressInUse(t *testing.T) {
	p := start(t)
	out, err := weirtest.Command(context.Background(), "-address", p.Addr).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), p.Addr)
	require.Contains(t, string(out), "address already in use")
	p.stop()
}
