package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/stretchr/testify/require"
)

// The program closes a client that stays when the grace period is over, and not before.
// It exits with status 0.
func TestStopWithClientConnected(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			const grace = 300 * time.Millisecond
			p := start(t, "-grace", grace.String())
			c := talk(t, p.stayer())
			require.Equal(t, []byte("hello"), c.exchange([]byte("hello")))

			begun := time.Now()
			p.Signal(sig)
			require.Empty(t, c.rest())
			require.GreaterOrEqual(t, time.Since(begun), grace)
			require.Contains(t, p.Await("grace period is over"), "closing=1")
			state, log := p.Ended()
			require.Zero(t, state.ExitCode(), log)
			require.Contains(t, log, "stopped")
		})
	}
}

func TestStopWithoutClients(t *testing.T) {
	p := start(t, "-grace", "1h")
	p.stop()
}

// The signal comes in the middle of a transfer. The program also echoes the rest. It ends
// when the client ends, before the grace period is over.
func TestStopLosesNothingInFlight(t *testing.T) {
	p := start(t, "-grace", "1h")
	c := talk(t, p.socat())
	data := random(16 << 20)
	half := len(data) / 2
	got := c.exchange(data[:half])

	stopping := make(chan struct{})
	go func() {
		quarter := half + half/2
		c.Write(data[half:quarter]) // more than fits, because the client does not read yet
		<-stopping
		c.Write(data[quarter:])
		c.Close()
	}()
	p.Signal(syscall.SIGTERM)
	require.Contains(t, p.Await("stopping"), "connections=1")
	close(stopping)
	got = append(got, c.rest()...)
	same(t, data, got)
	state, log := p.Ended()
	require.Zero(t, state.ExitCode(), log)
}

// The program serves the clients that have connected before the signal, even those in the
// backlog: here all but the first.
func TestStopServesTheBacklog(t *testing.T) {
	p := start(t, "-max", "1", "-grace", "1h")
	first := dial(t, p)
	served(t, first)
	var waiting []net.Conn
	for range 20 {
		waiting = append(waiting, dial(t, p))
	}
	last := talk(t, p.socat())
	_, err := last.Write([]byte("last"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return queuedAt(t, p) == len(waiting)+1 }, programtest.Patience, time.Millisecond)
	p.Signal(syscall.SIGTERM)
	require.Contains(t, p.Await("stopping"), "connections=22")
	require.NoError(t, first.Close())
	for _, c := range waiting {
		require.NoError(t, c.(*net.TCPConn).CloseWrite())
	}
	require.Equal(t, "last", string(last.finish()))
	for _, c := range waiting {
		served(t, c)
	}
	state, log := p.Ended()
	require.Zero(t, state.ExitCode(), log)
}

// The program also closes clients that it has not served within the grace period.
func TestGracePeriodIsForTheBacklogToo(t *testing.T) {
	p := start(t, "-max", "1", "-grace", "200ms")
	served(t, dial(t, p))
	waiting := dial(t, p)
	require.Eventually(t, func() bool { return queuedAt(t, p) == 1 }, programtest.Patience, time.Millisecond)
	p.Signal(syscall.SIGTERM)
	require.Contains(t, p.Await("grace period is over"), "closing=2")
	state, log := p.Ended()
	require.Zero(t, state.ExitCode(), log)
	_, err := waiting.Read(make([]byte, 4))
	require.Error(t, err)
}

// queuedAt returns how many connections are in the program's backlog.
func queuedAt(t *testing.T, p *program) int {
	_, port, err := net.SplitHostPort(p.Addr)
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	table, err := os.ReadFile("/proc/net/tcp")
	require.NoError(t, err)
	for line := range strings.Lines(string(table)) {
		// sl local_address rem_address st tx_queue:rx_queue: proc_pid_net(5)
		f := strings.Fields(line)
		if f[1] == fmt.Sprintf("0100007F:%04X", n) && f[3] == "0A" {
			_, queue, _ := strings.Cut(f[4], ":")
			n, err := strconv.ParseInt(queue, 16, 32)
			require.NoError(t, err)
			return int(n)
		}
	}
	require.Fail(t, "nobody listens at "+p.Addr)
	return 0
}

func TestStopAcceptsNoMore(t *testing.T) {
	p := start(t, "-grace", "1h")
	c := talk(t, p.socat())
	require.Equal(t, []byte("hello"), c.exchange([]byte("hello")))
	p.Signal(syscall.SIGTERM)
	p.Await("stopping")

	late := talk(t, p.nc())
	late.Close()
	require.Error(t, late.cmd.Wait(), "the connection is refused")
	require.Equal(t, []byte("still"), c.exchange([]byte("still")))
	require.Empty(t, c.finish())
	state, log := p.Ended()
	require.Zero(t, state.ExitCode(), log)
}

func TestSecondSignalDoesNotWait(t *testing.T) {
	p := start(t, "-grace", "1h")
	c := talk(t, p.socat())
	require.Equal(t, []byte("hello"), c.exchange([]byte("hello")))
	p.Signal(syscall.SIGTERM)
	p.Await("stopping")
	p.Signal(syscall.SIGTERM)
	state, _ := p.Ended()
	require.Equal(t, syscall.SIGTERM, state.Sys().(syscall.WaitStatus).Signal())
}
