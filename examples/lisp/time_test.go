package lisp_test

import (
	"encoding/binary"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/stretchr/testify/require"
)

// requireNow compares an answer of RFC 868 with the clock.
func requireNow(t *testing.T, answer []byte, asked time.Time) {
	t.Helper()
	require.Len(t, answer, 4)
	from1900 := time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	got := int64(binary.BigEndian.Uint32(answer)) + from1900
	require.GreaterOrEqual(t, got, asked.Unix())
	require.LessOrEqual(t, got, time.Now().Unix())
}

func TestTime(t *testing.T) {
	addr := serve(t, "time.lisp", "127.0.0.1", "0")
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	for name, cmd := range map[string]func(*testing.T) *exec.Cmd{
		"socat": func(t *testing.T) *exec.Cmd { return programtest.Tool(t, "socat", "-t", "60", "-", "UDP:"+addr) },
		"nc":    func(t *testing.T) *exec.Cmd { return programtest.Tool(t, "nc.openbsd", "-u", host, port) },
	} {
		t.Run(name, func(t *testing.T) {
			c := cmd(t)
			asked := time.Now()
			c.Stdin = strings.NewReader("what time is it?\n")
			out, err := c.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, c.Start())
			answer := make([]byte, 4)
			_, err = io.ReadFull(out, answer)
			require.NoError(t, err)
			requireNow(t, answer, asked)
			c.Process.Kill()
			c.Wait()
		})
	}

	// The request of the RFC is an empty datagram. Two clients take turns.
	var clients [2]net.Conn
	for i := range clients {
		clients[i], err = net.Dial("udp", addr)
		require.NoError(t, err)
		defer clients[i].Close()
		require.NoError(t, clients[i].SetDeadline(time.Now().Add(patience)))
	}
	for range 3 {
		for _, c := range clients {
			asked := time.Now()
			_, err := c.Write(nil)
			require.NoError(t, err)
			answer := make([]byte, 9)
			n, err := c.Read(answer)
			require.NoError(t, err)
			requireNow(t, answer[:n], asked)
		}
	}
}
